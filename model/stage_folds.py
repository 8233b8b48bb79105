"""Donor folds: every sample is predicted by heads that have seen no sample of its donor."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.proportional_odds import ProportionalOdds, fit_proportional_odds, ordinal_loss
from model.stage_heads import ATTENTION, PENALTIES, AttentionHead, StageInputs, fit_attention, logits_of

N_FOLDS, N_INNER_FOLDS = 5, 4

Ints = npt.NDArray[np.int64]
Fit = Callable[[StageInputs, Tensor, Ints], ProportionalOdds | AttentionHead]
"""Fits a head on samples, their levels from 0, int64 `[n_samples]`, and their donors, int64 `[n_samples]`."""


class CrossFit(NamedTuple):
    """A head fitted once per fold.

    Attributes
    ----------
    models
        The head of each fold, which has seen the other folds.
    logits
        float `[n_samples, n_levels - 1]`: of each sample from the model that has not seen its donor.
    """

    models: list[ProportionalOdds | AttentionHead]
    logits: Tensor


def donor_folds(donor: Ints, level: Ints, n_folds: int, seed: int) -> Ints:
    """Return the fold of each sample, int64 `[n_samples]`; a donor is in one fold, and folds are alike in levels.

    Parameters
    ----------
    donor, level
        int64 `[n_samples]`.
    n_folds
        Folds; as many as there are donors where these are fewer.
    seed
        Seed of the draw.
    """
    donors, first = np.unique(donor, return_index=True)
    order = np.random.default_rng(seed).permutation(len(donors))
    order = order[np.argsort(level[first][order], kind="stable")]
    fold_of = np.empty(len(donors), dtype=np.int64)
    fold_of[order] = np.arange(len(donors)) % min(n_folds, len(donors))
    return fold_of[np.searchsorted(donors, donor)]


def cross_fit(fit: Fit, head: str, inputs: StageInputs, level: Tensor, donor: Ints, fold: Ints) -> CrossFit:
    """Fit a head without each fold in turn and predict that fold."""
    models, parts = [], []
    for number in range(int(fold.max()) + 1):
        inside, outside = np.flatnonzero(fold != number), torch.from_numpy(np.flatnonzero(fold == number))
        taught = torch.from_numpy(inside)
        models.append(fit(inputs.of(taught), level[taught], donor[inside]))
        parts.append((outside, logits_of(models[-1], head, inputs.of(outside))))
    logits = torch.empty(len(level), parts[0][1].shape[1])
    for outside, found in parts:
        logits[outside] = found
    return CrossFit(models, logits)


def nested_fit(head: str, inputs: StageInputs, level: Tensor, donor: Ints, n_levels: int, seed: int) -> CrossFit:
    """Fit a head in donor folds; what it must choose is chosen in folds within, so that no fold is looked at twice."""

    def fit(some: StageInputs, their: Tensor, donors: Ints) -> ProportionalOdds | AttentionHead:
        if head == ATTENTION:
            return fit_attention(some, their, n_levels, seed)
        penalty = choose_penalty(head, some, their, donors, n_levels, seed)
        return fit_proportional_odds(some.blocks.read_by(head), their, n_levels, penalty)

    fold = donor_folds(donor, level.numpy(), N_FOLDS, seed)
    return cross_fit(fit, head, inputs, level, donor, fold)


def choose_penalty(head: str, inputs: StageInputs, level: Tensor, donor: Ints, n_levels: int, seed: int) -> float:
    """Return the penalty with which donors left out are predicted best."""
    fold = donor_folds(donor, level.numpy(), N_INNER_FOLDS, seed + 1)
    if fold.max() == 0:
        return PENALTIES[-1]

    def loss(penalty: float) -> float:
        def fit(some: StageInputs, their: Tensor, donors: Ints) -> ProportionalOdds:  # noqa: ARG001 - as `nested_fit`
            return fit_proportional_odds(some.blocks.read_by(head), their, n_levels, penalty)

        return float(ordinal_loss(cross_fit(fit, head, inputs, level, donor, fold).logits, level).mean())

    return min(PENALTIES, key=loss)
