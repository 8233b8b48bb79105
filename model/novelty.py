"""How strange a cell is: energy of its logits and distance of its latent vector from the nodes seen in training."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn

from schema.labels import UNLABELLED

LEAST_CELLS = 5
"""Cells that a node needs for its centre."""

_LEAST_SPREAD = 1e-6


class EncodedCells(NamedTuple):
    """What the network says of labelled cells.

    Attributes
    ----------
    latent, logits
        float32 `[n_cells, n_latent]` and `[n_cells, n_leaves]`.
    label
        int64 `[n_cells]`, node index or UNLABELLED.
    """

    latent: Tensor
    logits: Tensor
    label: Tensor


class Novelty(nn.Module):
    """Novelty score of a cell: the mean of two standardised parts, about 0 for known cells, larger for stranger ones.

    Energy is minus the log-sum-exp of the logits (Liu et al. 2020, arXiv:2010.03759); distance is that of Mahalanobis
    to the nearest centre of a node, under one covariance (Lee et al. 2018, arXiv:1807.03888). Both are standardised on
    known cells of donors that were not trained on.

    Attributes
    ----------
    centre
        float32 `[n_nodes, n_latent]`, mean latent of the training cells labelled with a node.
    seen
        bool `[n_nodes]`, whether a node had enough cells for a centre.
    whiten
        float32 `[n_latent, n_latent]`, in which the covariance around the centres is one.
    mean, spread
        float32 `[2]`, of energy and distance.
    """

    centre: Tensor
    seen: Tensor
    whiten: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(self, n_nodes: int, n_latent: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(n_nodes, n_latent))
        self.register_buffer("seen", torch.zeros(n_nodes, dtype=torch.bool))
        self.register_buffer("whiten", torch.eye(n_latent))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("spread", torch.ones(2))

    def fit(self, training: EncodedCells, held_out: EncodedCells) -> None:
        """Take centres and covariance from training cells, mean and spread of the parts from held-out ones.

        Parameters
        ----------
        training
            Cells of the donors trained on.
        held_out
            Cells of other donors; where there are none, the training cells stand in.
        """
        labels, counts = torch.unique(training.label[training.label != UNLABELLED], return_counts=True)
        nodes = labels[counts >= LEAST_CELLS]
        if not len(nodes):
            return
        self.seen[nodes] = True
        for node in nodes.tolist():
            self.centre[node] = training.latent[training.label == node].mean(dim=0)
        used = self.seen[training.label] & (training.label != UNLABELLED)
        around = (training.latent - self.centre[training.label])[used].double().numpy()
        covariance, _ = ledoit_wolf(around, assume_centered=True)
        floor = _LEAST_SPREAD * np.trace(covariance) / len(covariance) + np.finfo(np.float64).tiny
        precision = np.linalg.inv(covariance + floor * np.eye(len(covariance)))
        self.whiten.copy_(torch.from_numpy(np.linalg.cholesky(precision)))
        parts = self.parts(*(held_out if len(held_out.label) else training)[:2])
        self.mean.copy_(parts.mean(dim=0))
        self.spread.copy_(parts.std(dim=0, correction=0).clamp_min(_LEAST_SPREAD))

    def forward(self, latent: Tensor, logits: Tensor) -> Tensor:
        """Return the novelty score, float32 `[n_cells]`, in standard deviations of known held-out cells.

        Parameters
        ----------
        latent, logits
            float `[n_cells, n_latent]` and `[n_cells, n_leaves]`.
        """
        return self.standardised(self.parts(latent, logits))

    def standardised(self, parts: Tensor) -> Tensor:
        """Return the score, float32 `[n_cells]`, of energy and distance float32 `[n_cells, 2]`."""
        return ((parts - self.mean) / self.spread).mean(dim=1)

    def parts(self, latent: Tensor, logits: Tensor, left_out: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Return energy and distance, float32 `[n_cells, 2]`.

        Parameters
        ----------
        latent, logits
            float `[n_cells, n_latent]` and `[n_cells, n_leaves]`.
        left_out
            bool `[n_nodes]` and bool `[n_leaves]`: nodes and leaves to do without, as if they had never been seen.
        """
        centres = self.centre[self.seen if left_out is None else self.seen & ~left_out[0]]
        kept = logits if left_out is None else logits[:, ~left_out[1]]
        distance = torch.cdist(latent @ self.whiten, centres @ self.whiten, compute_mode="donot_use_mm_for_euclid_dist")
        nearest = distance.amin(dim=1) if len(centres) else torch.zeros_like(latent[:, 0])
        return torch.stack([-kept.logsumexp(dim=1), nearest], dim=1)
