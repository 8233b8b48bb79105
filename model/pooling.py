"""Cells of a sample to one vector: attention pooling by segment, as a state that grows batch by batch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PoolState(NamedTuple):
    """What is known of each sample after some of its cells: a softmax in progress.

    A sample of any size is pooled in memory of this size; the result does not depend on how its cells were cut.

    Attributes
    ----------
    top
        float `[n_samples]`, largest attention score so far (-inf before the first cell).
    weight
        float `[n_samples]`, sum of exp(score - top).
    latent
        float `[n_samples, n_latent]`, sum of exp(score - top) * latent.
    of_type
        float `[n_samples, n_types]`, sum of exp(score - top) over the cells of each called type.
    """

    top: Tensor
    weight: Tensor
    latent: Tensor
    of_type: Tensor


def empty_pool(n_samples: int, n_latent: int, n_types: int, device: torch.device | None = None) -> PoolState:
    """Return the state of samples before their first cell."""
    zeros = torch.zeros(n_samples, device=device)
    return PoolState(
        torch.full((n_samples,), -torch.inf, device=device),
        zeros,
        torch.zeros(n_samples, n_latent, device=device),
        torch.zeros(n_samples, n_types, device=device),
    )


def add_cells(state: PoolState, score: Tensor, latent: Tensor, cell_type: Tensor, sample: Tensor) -> PoolState:
    """Return the state after more cells.

    Parameters
    ----------
    state
        State of the samples so far.
    score
        float `[n_cells]`, attention score before softmax.
    latent
        float `[n_cells, n_latent]`.
    cell_type
        int64 `[n_cells]`, place of the called type among the types.
    sample
        int64 `[n_cells]`, sample of each cell.
    """
    top = state.top.scatter_reduce(0, sample, score.detach(), "amax", include_self=True)
    shift = _scale(state.top, top)
    exp_score = torch.exp(score - top[sample])
    n_types = state.of_type.shape[1]
    of_type = torch.zeros_like(state.of_type).view(-1).index_add(0, sample * n_types + cell_type, exp_score)
    return PoolState(
        top,
        (state.weight * shift).index_add(0, sample, exp_score),
        (state.latent * shift[:, None]).index_add(0, sample, exp_score[:, None] * latent),
        state.of_type * shift[:, None] + of_type.view(-1, n_types),
    )


def pooled_latent(state: PoolState) -> Tensor:
    """Return the attention-weighted mean latent of each sample, float `[n_samples, n_latent]`; 0 without cells."""
    return state.latent / _weight(state)[:, None]


def attention_by_type(state: PoolState) -> Tensor:
    """Return the share of the attention of each called type, float `[n_samples, n_types]`; 0 without cells."""
    return state.of_type / _weight(state)[:, None]


def _weight(state: PoolState) -> Tensor:
    return state.weight.clamp_min(torch.finfo(state.weight.dtype).tiny)


def _scale(old_top: Tensor, top: Tensor) -> Tensor:
    return torch.where(torch.isinf(old_top), torch.zeros_like(top), torch.exp(old_top - top))
