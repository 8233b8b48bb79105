"""The loss: hierarchical cross-entropy on the label tree."""

from __future__ import annotations

import torch
from torch import Tensor

from model.tree import LabelTree
from schema.labels import UNLABELLED


def hierarchical_cross_entropy(logits: Tensor, label: Tensor, tree: LabelTree, ancestor_weight: float) -> Tensor:
    """Return the mean of `hierarchical_losses` over labelled cells, scalar; 0 (with gradient 0) when there are none."""
    losses = hierarchical_losses(logits, label, tree, ancestor_weight)
    return losses.sum() / (label != UNLABELLED).sum().clamp_min(1)


def hierarchical_losses(logits: Tensor, label: Tensor, tree: LabelTree, ancestor_weight: float) -> Tensor:
    """Return -log P(label) of each cell, plus a share of the same for each ancestor of the label.

    A label may stand at any level: the probability of a node is the sum over its leaves, so a cell known only as
    "myeloid" teaches the lineage and leaves its subset open.

    Parameters
    ----------
    logits
        float `[n_cells, n_leaves]`.
    label
        int64 `[n_cells]`, node index or UNLABELLED.
    tree
        The label tree.
    ancestor_weight
        Weight of each ancestor beside the label's 1; 0 is plain cross-entropy at the label's level.

    Returns
    -------
    Tensor
        float32 `[n_cells]`; 0 for cells without label.
    """
    lineage = tree.lineage[label]
    weight = torch.where(lineage == label[:, None], 1.0, ancestor_weight)
    weight = weight.masked_fill((lineage < 0) | (label == UNLABELLED)[:, None], 0.0)
    log_leaf = torch.log_softmax(logits.float(), dim=1)
    log_node = torch.logsumexp(log_leaf[:, None, :].masked_fill(~tree.below[lineage], -torch.inf), dim=2)
    return -(log_node * weight).sum(dim=1)
