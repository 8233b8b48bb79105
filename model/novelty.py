"""How strange a cell is: its logits' energy, its latent vector's distance from known nodes, its counts' misfit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model.profiles import Profiles

WEIGHTS = (0.25, 0.75)
"""Of energy and distance in what the latent vector says: types that were left out were found better by distance."""

LATENT_SHARE = 0.5
"""Weight of that in the score; the misfit of the counts has the rest (docs/log.md)."""


class Novelty(nn.Module):
    """Novelty score of a cell: a mean of standardised parts, about 0 for known cells, larger for stranger ones.

    Energy is minus the log-sum-exp of the logits (Liu et al. 2020, arXiv:2010.03759); distance is that of Mahalanobis
    to the nearest centre of a node, under one covariance (Lee et al. 2018, arXiv:1807.03888); misfit is that of the
    counts (`model.profiles`). All are standardised on known cells of donors that were not trained on.

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
    profiles
        What the misfit is measured by.
    """

    centre: Tensor
    seen: Tensor
    whiten: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(self, *, n_nodes: int, n_latent: int, n_genes: int, n_types: int) -> None:
        super().__init__()
        self.profiles = Profiles(n_genes, n_types)
        self.register_buffer("centre", torch.zeros(n_nodes, n_latent))
        self.register_buffer("seen", torch.zeros(n_nodes, dtype=torch.bool))
        self.register_buffer("whiten", torch.eye(n_latent))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("spread", torch.ones(2))

    def forward(self, latent: Tensor, logits: Tensor, misfit: Tensor) -> Tensor:
        """Return the novelty score, float32 `[n_cells]`, in standard deviations of known held-out cells.

        Parameters
        ----------
        latent, logits
            float `[n_cells, n_latent]` and `[n_cells, n_leaves]`.
        misfit
            float32 `[n_cells]`, from `profiles`.
        """
        return self.score(self.parts(latent, logits), misfit)

    def score(self, parts: Tensor, misfit: Tensor) -> Tensor:
        """Return the score, float32 `[n_cells]`, of energy and distance float32 `[n_cells, 2]` and the misfit."""
        of_latent = (parts - self.mean) / self.spread @ parts.new_tensor(WEIGHTS)
        return LATENT_SHARE * of_latent + (1 - LATENT_SHARE) * misfit

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
