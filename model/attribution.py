"""Which genes drove a call: integrated gradients of a node's log probability with respect to normalised expression."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.network import Network
from model.preprocess import to_dense
from model.tree import LabelTree
from schema.batch import CellBatch

Score = Callable[[Tensor], Tensor]
"""Leaf logits, float `[n_cells, n_leaves]`, to what is explained, float `[n_cells]`."""

_LEAST_TURN = 1e-4
"""Where the baseline's hidden layer is next to nothing, points crowd no closer to it than this."""


class Attributions(NamedTuple):
    """What the genes of some cells did to a score.

    Attributes
    ----------
    genes
        float32 `[n_cells, n_genes]`, in the unit of the score; exactly 0 for genes that its file did not measure.
    gain
        float32 `[n_cells]`, score of the cell minus score of its baseline: what a row of `genes` sums to.
    """

    genes: Tensor
    gain: Tensor


def log_probability(tree: LabelTree, temperatures: Tensor, node: int, given: int | None = None) -> Score:
    """Return the score "calibrated log P(node)", or "log P(node | given)" for a node below another, in nats.

    Parameters
    ----------
    tree, temperatures
        Of the bundle (see `model.tree.LabelTree`).
    node, given
        Nodes of the tree; `given` is an ancestor of `node`.
    """

    def score(logits: Tensor) -> Tensor:
        found = tree.node_log_probabilities(logits, temperatures)
        return found[:, node] if given is None else found[:, node] - found[:, given]

    return score


@torch.no_grad()
def integrated_gradients(
    network: Network, cells: CellBatch, baseline: CellBatch | None, score: Score, n_steps: int
) -> Attributions:
    """Attribute a score to genes by integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365).

    Straight paths lead from the baseline to the cells. The first layer is linear, so the gradient is followed in the
    first hidden layer and taken to the genes once, after the integral: the result is the same.

    Parameters
    ----------
    network
        In evaluation mode, on the device of the cells.
    cells
        Raw counts; a few hundred cells at most, for their expression becomes dense.
    baseline
        The cell of the same file from which the path to each cell begins, one each; means over cells are then expected
        gradients (Erion et al. 2021, arXiv:1906.10670). None: all paths begin at the encoder's gene mean, which the
        network takes as "nothing is known".
    score
        What is explained.
    n_steps
        Points along each path, >= 1 (see `path_points`).
    """
    first = network.encoder.first
    end = _offset(network, cells)
    start = torch.zeros_like(end) if baseline is None else _offset(network, baseline)
    reached, begun = first.bias + end @ first.weight.T, first.bias + start @ first.weight.T
    gradient = _path_gradient(network, begun, reached, score, n_steps)
    genes = (gradient @ first.weight).mul_(end.sub_(start))
    return Attributions(genes, score(_logits(network, reached)) - score(_logits(network, begun)))


def _offset(network: Network, cells: CellBatch) -> Tensor:
    """Return expression minus the gene mean, float `[n_cells, n_genes]`, 0 where a gene was not measured."""
    return (to_dense(cells) - network.encoder.gene_mean).mul_(cells.present[cells.file])


def _path_gradient(network: Network, start: Tensor, end: Tensor, score: Score, n_steps: int) -> Tensor:
    """Return the gradient of the score, mean along paths in the first hidden layer, float `[n_paths, n_hidden]`."""
    direction = end - start
    turn = start.norm(dim=1) / direction.norm(dim=1).clamp_min(torch.finfo(start.dtype).tiny)
    points, weights = path_points(n_steps, turn)
    along = (start + points[:, :, None] * direction).flatten(0, 1).requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(score(_logits(network, along)).sum(), along)
    return (weights[:, :, None] * gradient.view(n_steps, *direction.shape)).sum(dim=0)


def _logits(network: Network, hidden: Tensor) -> Tensor:
    """Return leaf logits, float `[n, n_leaves]`, from the first hidden layer, float `[n, n_members * n_hidden]`."""
    return network.cell_type_head(network.encoder.after_first(hidden))  # type: ignore[no-any-return]


def path_points(n_steps: int, turn: Tensor) -> tuple[Tensor, Tensor]:
    """Return points and weights of a rule for the integral over 0 to 1, float `[n_steps, n_paths]` each.

    Gauss-Legendre in the logarithm of the path: with `a` the way gone and `e` a third of `turn`, in log(a + e). A
    layer norm sees only the direction of the hidden layer, which turns from start to end while `a` is about `turn`:
    at once where the path begins at the gene mean, and there evenly spaced points would miss it (docs/log.md).

    Parameters
    ----------
    n_steps
        Points of each path, >= 1.
    turn
        float `[n_paths]`, length of the first hidden layer at the start over length of the path.
    """
    nodes, gauss = (torch.from_numpy(part).to(turn)[:, None] / 2 for part in np.polynomial.legendre.leggauss(n_steps))
    early = (turn / 3).clamp(_LEAST_TURN, 1.0)
    length = torch.log1p(1 / early)
    points = early * torch.expm1((nodes + 0.5) * length)
    weights = gauss * (points + early)
    return points, weights / weights.sum(dim=0)  # a gradient that does not change is integrated exactly
