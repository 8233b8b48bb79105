"""Cells of a sample to one vector: attention pooling by segment, as a state that grows batch by batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PoolState(NamedTuple):
    """What is known of each sample after some of its cells: a softmax in progress, and sums.

    A sample of any size is pooled in memory of this size; the result does not depend on how its cells were cut.

    Attributes
    ----------
    top
        float `[n_samples]`, largest attention score so far (-inf before the first cell).
    weight
        float `[n_samples]`, sum of exp(score - top).
    latent
        float `[n_samples, n_latent]`, sum of exp(score - top) * latent.
    composition
        float `[n_samples, n_leaves]`, sum of cell type probabilities.
    n_cells
        float `[n_samples]`, cells so far.
    """

    top: Tensor
    weight: Tensor
    latent: Tensor
    composition: Tensor
    n_cells: Tensor


def empty_pool(n_samples: int, n_latent: int, n_leaves: int, device: torch.device | None = None) -> PoolState:
    """Return the state of samples before their first cell."""
    zeros = torch.zeros(n_samples, device=device)
    return PoolState(
        torch.full((n_samples,), -torch.inf, device=device),
        zeros,
        torch.zeros(n_samples, n_latent, device=device),
        torch.zeros(n_samples, n_leaves, device=device),
        zeros.clone(),
    )


def add_cells(state: PoolState, score: Tensor, latent: Tensor, probabilities: Tensor, sample: Tensor) -> PoolState:
    """Return the state after more cells.

    Parameters
    ----------
    state
        State of the samples so far.
    score
        float `[n_cells]`, attention score before softmax.
    latent, probabilities
        float `[n_cells, n_latent]` and `[n_cells, n_leaves]`.
    sample
        int64 `[n_cells]`, sample of each cell.
    """
    top = state.top.scatter_reduce(0, sample, score.detach(), "amax", include_self=True)
    shift = _scale(state.top, top)
    exp_score = torch.exp(score - top[sample])
    return PoolState(
        top,
        (state.weight * shift).index_add(0, sample, exp_score),
        (state.latent * shift[:, None]).index_add(0, sample, exp_score[:, None] * latent),
        state.composition.index_add(0, sample, probabilities),
        state.n_cells.index_add(0, sample, torch.ones_like(score)),
    )


def merge_pools(left: PoolState, right: PoolState) -> PoolState:
    """Return the state of the same samples after the cells of both states, as when ranks share a sample."""
    top = torch.maximum(left.top, right.top)
    a, b = _scale(left.top, top), _scale(right.top, top)
    return PoolState(
        top,
        left.weight * a + right.weight * b,
        left.latent * a[:, None] + right.latent * b[:, None],
        left.composition + right.composition,
        left.n_cells + right.n_cells,
    )


def pooled_latent(state: PoolState) -> Tensor:
    """Return the attention-weighted mean latent of each sample, float `[n_samples, n_latent]`; 0 without cells."""
    return state.latent / state.weight.clamp_min(torch.finfo(state.weight.dtype).tiny)[:, None]


def _scale(old_top: Tensor, top: Tensor) -> Tensor:
    return torch.where(torch.isinf(old_top), torch.zeros_like(top), torch.exp(old_top - top))
