"""Calibration on held-out donors: the weight of the prior, one temperature per level, and how well the result holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import cross_entropy

from model.tree import LabelTree
from schema.labels import TYPE_LEVEL, UNLABELLED, CellOntology

MOST_CELLS = 8192
"""Held-out cells on which temperatures are fitted: a few numbers need no more, and memory stays flat."""

_LOG_BOUND = 2.5

_CELLS_AT_ONCE = 1024


def fit_temperatures(logits: Tensor, label: Tensor, tree: LabelTree) -> Tensor:
    """Fit one temperature per level by maximum likelihood (Guo et al. 2017, arXiv:1706.04599, on a tree).

    P(node) is the product of P(child | parent) down its path, so each level is fitted by itself, on its own step.

    Parameters
    ----------
    logits
        float `[n_cells, n_leaves]` of cells of donors that were not trained on.
    label
        int64 `[n_cells]`, node index or UNLABELLED.
    tree
        The label tree.

    Returns
    -------
    Tensor
        float `[n_levels]`, between exp(-2.5) and exp(2.5); 1 at levels that no label reaches.
    """
    temperatures = torch.ones(tree.n_levels)
    scores = torch.cat([tree.node_scores(part.float()) for part in torch.split(logits, _CELLS_AT_ONCE)])
    lineage = tree.lineage[label]
    for level in range(tree.n_levels):
        node = lineage[:, level].where(label != UNLABELLED, UNLABELLED)
        steps = [_step(scores, node, group) for group in tree.siblings if int(tree.levels[group[0]]) == level + 1]
        if any(len(target) for _, target in steps):
            best = minimize_scalar(_mean_loss, bounds=(-_LOG_BOUND, _LOG_BOUND), args=(steps,), method="bounded")
            temperatures[level] = math.exp(best.x)
    return temperatures


def fit_excess_prior(logits: Tensor, label: Tensor, tree: LabelTree, log_prior: Tensor) -> float:
    """Return how much of the log prior the logits have too much, 0 to 1, by maximum likelihood with the temperatures.

    A network that has seen a rare type in a few cells says too little for it on cells of other donors: what it learnt
    of the type speaks weakly there, and the prior at full strength. Correcting temperature and bias together is
    bias-corrected temperature scaling (Alexandari et al. 2020, arXiv:1901.06852); here the bias has one direction.

    Parameters
    ----------
    logits
        float `[n_cells, n_leaves]` of cells of donors that were not trained on.
    label
        int64 `[n_cells]`, node index or UNLABELLED.
    tree
        The label tree.
    log_prior
        float `[n_leaves]`.
    """
    known = label != UNLABELLED
    if not bool(known.any()):
        return 0.0
    logits, label = logits[known], label[known]

    def loss(excess: float) -> float:
        rest = logits - excess * log_prior
        temperatures = fit_temperatures(rest, label, tree)
        parts = zip(torch.split(rest, _CELLS_AT_ONCE), torch.split(label, _CELLS_AT_ONCE), strict=True)
        said = [tree.node_log_probabilities(part, temperatures).gather(1, node[:, None]) for part, node in parts]
        return -float(torch.cat(said).double().mean())

    return float(minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 0.02}).x)


def _step(scores: Tensor, node: Tensor, group: list[int]) -> tuple[Tensor, Tensor]:
    """Return the scores of siblings, float `[n, n_siblings]`, and which of them it is, for the cells of one of them."""
    place = torch.full((scores.shape[1] + 1,), UNLABELLED)  # the last is what the node -1 picks
    place[group] = torch.arange(len(group))
    target = place[node]
    return scores[target != UNLABELLED][:, group], target[target != UNLABELLED]


def _mean_loss(log_temperature: float, steps: Sequence[tuple[Tensor, Tensor]]) -> float:
    temperature = math.exp(log_temperature)
    losses = [cross_entropy(scores / temperature, target, reduction="sum") for scores, target in steps if len(target)]
    return float(torch.stack(losses).double().sum() / sum(len(target) for _, target in steps))


class Reliability:
    """Confidences beside what came true, in bins of equal width, added up batch by batch.

    Attributes
    ----------
    bins
        float64 `[3, n_bins]`: cells, sum of their confidences, and how many were right.
    """

    def __init__(self, n_bins: int = 15) -> None:
        self.bins = torch.zeros(3, n_bins, dtype=torch.float64)

    def update(self, confidence: Tensor, correct: Tensor) -> None:
        """Add cells: probability of the called class, float `[n_cells]`, and whether it was right, bool `[n_cells]`."""
        n_bins = self.bins.shape[1]
        place = (confidence * n_bins).long().clamp_max(n_bins - 1)
        self.bins.index_add_(1, place, torch.stack([torch.ones_like(confidence), confidence, correct]).double())

    @property
    def n_cells(self) -> int:
        """Cells so far."""
        return int(self.bins[0].sum())

    @property
    def accuracy(self) -> float:
        """Share of cells that were right; NaN without any."""
        return float(self.bins[2].sum() / self.bins[0].sum())

    @property
    def error(self) -> float:
        """Expected calibration error: mean gap between confidence and accuracy, weighted by cells (Guo et al. 2017)."""
        return float((self.bins[1] - self.bins[2]).abs().sum() / self.bins[0].sum())


class CalibrationCheck:
    """What calibrated probabilities are worth on held-out donors, added up batch by batch in flat memory.

    Parameters
    ----------
    ontology
        Label tree.

    Attributes
    ----------
    levels
        Reliability of the most probable node at each level of the tree, level 1 first; cells count whose label says
        which node of that level it is.
    """

    def __init__(self, ontology: CellOntology) -> None:
        levels = range(1, int(ontology.levels.max()) + 1)
        self.levels = [Reliability() for _ in levels]
        self._nodes = [torch.from_numpy(ontology.nodes_at(level)) for level in levels]
        unlabelled = [UNLABELLED]  # what the label -1 picks
        self._truth = [torch.from_numpy(np.append(ontology.ancestor_at(level), unlabelled)) for level in levels]

    def update(self, node: Tensor, label: Tensor) -> None:
        """Add cells.

        Parameters
        ----------
        node
            float `[n_cells, n_nodes]`, calibrated probability of each node.
        label
            int64 `[n_cells]`, node index or UNLABELLED.
        """
        for reliability, nodes, truth in zip(self.levels, self._nodes, self._truth, strict=True):
            known = truth[label] != UNLABELLED
            confidence, called = node[known][:, nodes].max(dim=1)
            reliability.update(confidence, nodes[called] == truth[label][known])

    def metrics(self) -> dict[str, float]:
        """Return accuracy of the called type (level 2) and expected calibration error of every level, by name."""
        found = {
            f"val/level_{level}/ece": reliability.error
            for level, reliability in enumerate(self.levels, start=1)
            if reliability.n_cells
        }
        types = self.levels[TYPE_LEVEL - 1] if len(self.levels) >= TYPE_LEVEL else self.levels[-1]
        if types.n_cells:
            found |= {"val/cell_type/accuracy_calibrated": types.accuracy, "val/cell_type/ece": types.error}
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return for each level its cells, accuracy and calibration error, and its bins: cells, confidences, right."""
        return [
            {
                "level": level,
                "n_cells": reliability.n_cells,
                "accuracy": reliability.accuracy,
                "ece": reliability.error,
                "bins": reliability.bins.T.tolist(),
            }
            for level, reliability in enumerate(self.levels, start=1)
            if reliability.n_cells
        ]
