"""Probabilities on the label tree: parents are always the sum of their leaves, at any temperature."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from schema.labels import CellOntology

_LEAST_WEIGHT = 1e-300
"""Of a leaf beside the most probable one, so that its logarithm is finite."""


class LabelTree(nn.Module):
    """The shape of a label tree as tensors, and the arithmetic on it.

    Attributes
    ----------
    below
        bool `[n_nodes, n_leaves]`, leaves at or below a node.
    path
        bool `[n_nodes, n_nodes]`, whether the column is the row or an ancestor of it.
    lineage
        int64 `[n_nodes, n_levels]`, the node's ancestor or itself at each level; -1 below its own level.
    """

    below: Tensor
    path: Tensor
    lineage: Tensor
    levels: Tensor
    leaves: Tensor
    place_in_groups: Tensor

    def __init__(self, ontology: CellOntology) -> None:
        super().__init__()
        below = torch.from_numpy(ontology.leaves_below)
        self.register_buffer("below", below, persistent=False)
        path = (below[:, None, :] <= below[None, :, :]).all(dim=2)
        levels = torch.from_numpy(ontology.levels)
        path &= levels[None, :] <= levels[:, None]
        self.register_buffer("path", path, persistent=False)
        self.register_buffer("levels", levels, persistent=False)
        self.n_levels = int(levels.max())
        at_level = [path & (levels == level) for level in range(1, self.n_levels + 1)]
        nodes = torch.arange(len(levels))
        lineage = torch.stack([torch.where(found, nodes, -1).amax(dim=1) for found in at_level], dim=1)
        self.register_buffer("lineage", lineage, persistent=False)
        self.register_buffer("leaves", torch.from_numpy(ontology.leaves), persistent=False)
        self.siblings = [np.flatnonzero(ontology.parents == p).tolist() for p in np.unique(ontology.parents)]
        place = torch.from_numpy(np.argsort(np.concatenate(self.siblings)))
        self.register_buffer("place_in_groups", place, persistent=False)

    def node_scores(self, logits: Tensor) -> Tensor:
        """Return the log-sum-exp of the leaves below each node, float `[n_cells, n_nodes]`, from leaf logits.

        Summed in 64 bits, where no leaf is lost beside one whose logit is hundreds higher.
        """
        wide = logits.double()
        highest = wide.amax(dim=1, keepdim=True)
        weight = (wide - highest).exp().clamp_min(_LEAST_WEIGHT)
        return ((weight @ self.below.T.double()).log() + highest).to(logits.dtype)

    def conditional(self, scores: Tensor, temperatures: Tensor) -> Tensor:
        """Return log P(node | parent) under one temperature per level, float `[n_cells, n_nodes]`.

        Parameters
        ----------
        scores
            Node scores, float `[n_cells, n_nodes]`.
        temperatures
            float `[n_levels]`, > 0; 1 leaves the softmax as trained.
        """
        cooled = scores / temperatures[self.levels - 1]
        by_group = torch.cat([torch.log_softmax(cooled[:, group], dim=1) for group in self.siblings], dim=1)
        return by_group.index_select(1, self.place_in_groups)

    def node_log_probabilities(self, logits: Tensor, temperatures: Tensor) -> Tensor:
        """Return log P(node), float `[n_cells, n_nodes]`; children sum to their parent, level 1 sums to 1."""
        conditional = self.conditional(self.node_scores(logits), temperatures)
        return conditional @ self.path.to(conditional.dtype).T

    def leaf_probabilities(self, logits: Tensor, temperatures: Tensor) -> Tensor:
        """Return P(leaf), float `[n_cells, n_leaves]`, rows summing to 1."""
        return self.node_log_probabilities(logits, temperatures)[:, self.leaves].exp()
