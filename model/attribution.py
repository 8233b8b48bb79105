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

N_PATHS = 8
"""Baseline cells from which a path leads to each cell."""

_LEAST_TURN = 1e-4
"""Where the baseline's hidden layer is next to nothing, points crowd no closer to it than this."""


class Attribution(NamedTuple):
    """What genes did to a score, mean over cells.

    Attributes
    ----------
    genes
        float64 `[n_genes]`, in the unit of the score; exactly 0 for genes that the cells' file did not measure.
    gain
        float64 scalar, score of the cells minus score of the baseline: what `genes` sums to.
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
) -> Attribution:
    """Attribute a score to genes, mean over cells: integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365).

    Straight paths lead from the baseline to the cells. The first layer is linear, so the gradient is followed in the
    first hidden layer and taken to the genes once, after the integral: the result is the same.

    Parameters
    ----------
    network
        In evaluation mode, on the device of the cells.
    cells
        Raw counts, at least one cell; a few hundred at most, for their expression becomes dense.
    baseline
        Cells of the same file from which the paths begin, at least one: each of `cells` is reached from up to
        `N_PATHS` of them in turn (expected gradients, Erion et al. 2021, arXiv:1906.10670). None: all paths begin at
        the encoder's gene mean, which the network takes as "nothing is known".
    score
        What is explained.
    n_steps
        Points along all paths to a cell, >= 1 (see `path_points`).
    """
    first = network.encoder.first
    ends = _offset(network, cells)
    starts = ends.new_zeros(1, ends.shape[1]) if baseline is None else _offset(network, baseline)
    n_paths = min(N_PATHS, len(starts))
    to = torch.arange(len(ends), device=ends.device).repeat(n_paths)
    since = (to + torch.arange(n_paths, device=ends.device).repeat_interleave(len(ends))) % len(starts)
    reached, begun = first.bias + ends @ first.weight.T, first.bias + starts @ first.weight.T
    gradient = _path_gradient(network, begun[since], reached[to], score, max(1, n_steps // n_paths))
    genes = _times_input(gradient, to, ends, first.weight) - _times_input(gradient, since, starts, first.weight)
    gain = score(_logits(network, reached))[to].double() - score(_logits(network, begun))[since].double()
    return Attribution(genes / len(to), gain.mean())


def _offset(network: Network, cells: CellBatch) -> Tensor:
    """Return expression minus the gene mean, float `[n_cells, n_genes]`, 0 where a gene was not measured."""
    return to_dense(cells).sub_(network.encoder.gene_mean).mul_(cells.present[cells.file])


def _times_input(gradient: Tensor, row: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    """Return the sum over paths of gradient times input at one of their ends, float64 `[n_genes]`.

    Parameters
    ----------
    gradient
        float `[n_paths, n_hidden]`.
    row
        int64 `[n_paths]`: row of `offset`, float `[n, n_genes]`, at that end.
    offset, weight
        Input, and first layer `[n_hidden, n_genes]`.
    """
    of_row = gradient.new_zeros(len(offset), gradient.shape[1]).index_add_(0, row, gradient)
    return (of_row @ weight).mul_(offset).sum(dim=0, dtype=torch.float64)


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
    """Return leaf logits, float `[n, n_leaves]`, from the first hidden layer, float `[n, n_hidden]`."""
    encoder = network.encoder
    return network.cell_type_head(encoder.last(encoder.blocks(hidden)))  # type: ignore[no-any-return]


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
    return points, gauss * length * (points + early)
