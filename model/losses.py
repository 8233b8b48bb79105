"""Losses: hierarchical cross-entropy on the label tree, all-threshold loss on the stage scale."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from model.tree import LabelTree
from schema.labels import UNLABELLED


def hierarchical_cross_entropy(logits: Tensor, label: Tensor, tree: LabelTree, ancestor_weight: float) -> Tensor:
    """Return the mean over labelled cells of -log P(label), plus a share of the same for each ancestor.

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
        Scalar; 0 (with gradient 0) when no cell is labelled.
    """
    known = label != UNLABELLED
    if not bool(known.any()):
        return logits.sum() * 0.0
    logits, label = logits[known].float(), label[known]
    log_leaf = torch.log_softmax(logits, dim=1)
    node_log = torch.logsumexp(log_leaf[:, None, :].masked_fill(~tree.below, -torch.inf), dim=2)
    weight = tree.path[label].to(node_log.dtype) * ancestor_weight
    weight.scatter_(1, label[:, None], 1.0)
    return -(node_log * weight).sum() / len(label)


def cumulative_link_loss(logits: Tensor, tumor_stage: Tensor) -> Tensor:
    """Return the mean over samples and thresholds of the binary cross-entropy of "stage >= k".

    Parameters
    ----------
    logits
        float `[n_samples, n_levels - 1]`, of P(stage >= k), k = 1, 2, ...
    tumor_stage
        int64 `[n_samples]`, code on the scale or UNLABELLED.
    """
    known = tumor_stage != UNLABELLED
    if not bool(known.any()):
        return logits.sum() * 0.0
    thresholds = torch.arange(1, logits.shape[1] + 1, device=logits.device)
    target = (tumor_stage[known, None] >= thresholds).to(logits.dtype)
    return functional.binary_cross_entropy_with_logits(logits[known], target)
