"""Heads and probes against each other on held-out donors, for one output at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.proportional_odds import ProportionalOdds, fit_proportional_odds
from model.sample_sums import SampleSums
from model.stage_features import COMPOSITION
from model.stage_folds import N_FOLDS, CrossFit, cross_fit, donor_folds, nested_fit
from model.stage_heads import HEADS, StageInputs
from model.stage_support import called_level, quadratic_kappa, ranked_probability_score

DEPTH, STUDY, DEPTH_IN_STUDY = "depth", "study", "depth within studies"
"""Probes: what knows cells and counts alone, the study alone, or both."""
_PROBE_PENALTY = 3e-3

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


class StageTask(NamedTuple):
    """What is to be learnt of samples.

    Attributes
    ----------
    level
        int64 `[n_samples]`, from 0, the lowest level that was seen.
    donor, study
        int64 `[n_samples]`.
    n_levels
        Levels from the lowest to the highest that were seen.
    seed
        Seed of folds and of attention.
    """

    level: Tensor
    donor: Ints
    study: Ints
    n_levels: int
    seed: int


class Contest(NamedTuple):
    """How heads did on held-out donors.

    Attributes
    ----------
    scores
        Head to quadratic kappa, mean error in stages ("mae") and ranked probability score ("rps").
    chosen
        The head with the lowest ranked probability score.
    fit
        Its models, and what they said of held-out donors.
    """

    scores: dict[str, dict[str, float]]
    chosen: str
    fit: CrossFit


def compete(inputs: StageInputs, task: StageTask) -> Contest:
    """Fit all heads in donor folds and choose one."""
    fits = {name: nested_fit(name, inputs, task.level, task.donor, task.n_levels, task.seed) for name in HEADS}
    scores = {name: scores_of(task.level, at_least(found.logits)) for name, found in fits.items()}
    chosen = min(HEADS, key=lambda name: scores[name]["rps"])
    return Contest(scores, chosen, fits[chosen])


def probe(sums: SampleSums, task: StageTask) -> dict[str, Doubles]:
    """Return P(level >= k) of held-out donors, `[n_samples, n_levels - 1]`, by what knows nothing of biology."""
    n_cells = sums.n_cells.clamp_min(1)
    depth = torch.stack([n_cells.log(), sums.log_counts / n_cells], dim=1)
    depth = (depth - depth.mean(dim=0)) / depth.std(dim=0).clamp_min(1e-6)
    values = {DEPTH: depth}
    studies, of_sample = np.unique(task.study, return_inverse=True)
    if len(studies) > 1:
        study = torch.nn.functional.one_hot(torch.from_numpy(of_sample)).float()
        values |= {STUDY: study, DEPTH_IN_STUDY: torch.cat([depth, study], dim=1)}
    return {name: at_least(_probe_logits(part, task)) for name, part in values.items()}


def scores_of(level: Tensor, said: Doubles) -> dict[str, float]:
    """Return kappa, mean absolute error in stages and ranked probability score of P(level >= k)."""
    truth = level.numpy()
    return {
        "quadratic_kappa": quadratic_kappa(truth, called_level(said), said.shape[1] + 1),
        "mae": float(np.abs(said.sum(axis=1) - truth).mean()),
        "rps": float(ranked_probability_score(truth, said).mean()),
    }


def rows_of(output: str, scores: dict[str, dict[str, float]], chosen: str = "") -> list[dict[str, Any]]:
    """Return the rows of the table that travels in the bundle."""
    return [{"output": output, "head": name, **of, "chosen": name == chosen} for name, of in scores.items()]


def at_least(logits: Tensor) -> Doubles:
    """Return P(level >= k) in 64 bits."""
    found: Doubles = logits.sigmoid().double().numpy()
    return found


def _probe_logits(values: Tensor, task: StageTask) -> Tensor:
    def fit(some: StageInputs, their: Tensor, donors: Ints) -> ProportionalOdds:  # noqa: ARG001 - as `nested_fit`
        return fit_proportional_odds(some.blocks.read_by(COMPOSITION), their, task.n_levels, _PROBE_PENALTY)

    fold = donor_folds(task.donor, task.level.numpy(), N_FOLDS, task.seed)
    return cross_fit(fit, COMPOSITION, StageInputs.of_values(values), task.level, task.donor, fold).logits
