"""Whether the data support a stage at all: better than chance, not the study's doing, and not the depth's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.stage_folds import N_FOLDS

LEAST_SAMPLES, LEAST_DONORS = 10, 6
"""Samples and donors with a stage below which nothing is claimed."""
MOST_P = 0.05
NESTED_V = 0.9
"""Cramér's V of stage and study from which on they cannot be told apart."""
N_PERMUTATIONS = 2_000
SHRUNK = math.sqrt((1 / N_FOLDS) / (1 / N_FOLDS + 1 / (N_FOLDS - 1)))
"""Part of a lead on held-out donors that counts: folds teach each other, so that their scores vary together, and by
more than chance under predictions that stay the same (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366: the variance
of a mean over k folds is 1/k + n_test / n_train of a score's, not 1/k)."""
_ROUNDING = 1e-12

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class StageSupport:
    """What speaks for and against a stage that was learnt from some samples.

    Attributes
    ----------
    n_samples, n_donors, n_studies
        With a known stage.
    p_value
        Of the predictions of held-out donors against stages permuted within studies, times the number of heads that
        competed.
    cramers_v
        Of stage and study, bias-corrected, 0 to 1; NaN with one study.
    kappa
        Quadratic kappa of the head.
    probe, probe_kappa, probe_p
        The probe that comes nearest to the head (study, depth, or both), its kappa, and the p-value of the lead of
        the head over it; "" and NaN without probe.
    reason
        Why no stage is claimed; "" where it is.
    """

    n_samples: int
    n_donors: int
    n_studies: int
    p_value: float
    cramers_v: float
    kappa: float
    probe: str
    probe_kappa: float
    probe_p: float
    reason: str

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StageSupport:
        """Read what `asdict` wrote, None standing for NaN."""
        values: dict[str, Any] = {name: float("nan") if value is None else value for name, value in content.items()}
        return cls(**values)

    @property
    def is_supported(self) -> bool:
        """Whether a stage is claimed."""
        return not self.reason


def judge(
    *,
    level: Ints,
    donor: Ints,
    study: Ints,
    at_least: Doubles,
    probes: Mapping[str, Doubles],
    n_heads: int,
    seed: int,
) -> StageSupport:
    """Judge predictions of samples whose donors were held out.

    Parameters
    ----------
    level, donor, study
        int64 `[n_samples]`.
    at_least
        float64 `[n_samples, n_levels - 1]`, P(level >= k), k = 1, 2, ...
    probes
        Name to the same, of what knows nothing of biology.
    n_heads
        Heads of which this one was the best.
    seed
        Seed of the permutations.
    """
    n_donors, n_studies = len(np.unique(donor)), len(np.unique(study))
    p_value = min(1.0, n_heads * permutation_p(level, donor, study, at_least, seed))
    v = cramers_v(level, study) if n_studies > 1 else float("nan")
    ours = ranked_probability_score(level, at_least)
    of_lead = {name: lead_p(ranked_probability_score(level, said) - ours, donor, seed) for name, said in probes.items()}
    best = max(of_lead, key=of_lead.__getitem__, default="")
    reasons = {
        f"{len(level)} samples of {n_donors} donors are too few": len(level) < LEAST_SAMPLES or n_donors < LEAST_DONORS,
        f"stage and study cannot be told apart (Cramér's V {v:.2f})": is_nested(level, study) or v >= NESTED_V,
        f"not better than chance on held-out donors (p = {p_value:.2g})": p_value > MOST_P,
        f"{best} alone does about as well": bool(best) and of_lead[best] > MOST_P,
    }
    return StageSupport(
        n_samples=len(level),
        n_donors=n_donors,
        n_studies=n_studies,
        p_value=p_value,
        cramers_v=v,
        kappa=_kappa(level, at_least),
        probe=best,
        probe_kappa=_kappa(level, probes[best]) if best else float("nan"),
        probe_p=of_lead.get(best, float("nan")),
        reason=next((reason for reason, holds in reasons.items() if holds), ""),
    )


def called_level(at_least: Doubles) -> Ints:
    """Return the level nearest to the expected one, int64 `[n_samples]`."""
    found: Ints = np.rint(at_least.sum(axis=1)).astype(np.int64)
    return found


def ranked_probability_score(level: Ints, at_least: Doubles) -> Doubles:
    """Return the squared error of P(level >= k), summed over k, float64 `[n_samples]` (Epstein 1969); 0 is best."""
    truth = level[:, None] >= np.arange(1, at_least.shape[1] + 1)
    return np.asarray(((at_least - truth) ** 2).sum(axis=1))


def permutation_p(level: Ints, donor: Ints, study: Ints, at_least: Doubles, seed: int) -> float:
    """Return how often stages dealt out anew within each study are predicted as well as the true ones, above 0 to 1.

    What a head knows of the study it knows of the dealt stages too, so that it does not count. Stages move with their
    donor where each donor has one stage and one study, and by sample else. What the true stages are predicted better
    by is shrunk first (see `SHRUNK`).
    """
    rng = np.random.default_rng(seed)
    _, first, place = np.unique(donor, return_index=True, return_inverse=True)
    by_donor = all(bool((of[first][place] == of).all()) for of in (level, study))
    units, block = (level[first], study[first]) if by_donor else (level, study)
    place = place if by_donor else np.arange(len(level))
    home = np.argsort(block, kind="stable")
    scores, dealt = np.empty(N_PERMUTATIONS), np.empty_like(units)
    for number in range(N_PERMUTATIONS):
        dealt[home] = units[np.lexsort((rng.random(len(units)), block))]
        scores[number] = ranked_probability_score(dealt[place], at_least).mean()
    lead = scores.mean() - ranked_probability_score(level, at_least).mean()
    return _share_as_large(scores.mean() - scores, lead)


def lead_p(lead: Doubles, donor: Ints, seed: int) -> float:
    """Return how often a lead is as large when the signs of donors are thrown anew, above 0 to 1.

    The lead is shrunk first (see `SHRUNK`).

    Parameters
    ----------
    lead
        float64 `[n_samples]`: score of a rival less that of the head, of the same held-out sample; lower scores are
        better.
    donor
        int64 `[n_samples]`.
    seed
        Seed of the signs.
    """
    of_donor = np.bincount(np.unique(donor, return_inverse=True)[1], lead)
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(N_PERMUTATIONS, len(of_donor)))
    return _share_as_large(signs @ of_donor, of_donor.sum())


def _share_as_large(by_chance: Doubles, lead: float) -> float:
    """Return the share of leads that chance gave which are as large as the shrunk one, itself counted among them."""
    return (1 + int((by_chance >= SHRUNK * lead - _ROUNDING).sum())) / (1 + len(by_chance))


def quadratic_kappa(level: Ints, called: Ints, n_levels: int) -> float:
    """Return Cohen's kappa with quadratic weights (Cohen 1968); 0 where one side never varies."""
    table = np.zeros((n_levels, n_levels))
    np.add.at(table, (level, called), 1)
    weight = (np.arange(n_levels)[:, None] - np.arange(n_levels)) ** 2
    expected = (weight * np.outer(table.sum(1), table.sum(0))).sum() / len(level)
    return float(1 - (weight * table).sum() / expected) if expected > 0 else 0.0


def _kappa(level: Ints, at_least: Doubles) -> float:
    return quadratic_kappa(level, called_level(at_least), at_least.shape[1] + 1)


def cramers_v(level: Ints, study: Ints) -> float:
    """Return Cramér's V with the bias correction of Bergsma 2013, doi:10.1016/j.jkss.2012.10.002; 0 to 1."""
    rows, columns = (np.unique(part, return_inverse=True)[1] for part in (level, study))
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    n, (r, c) = table.sum(), table.shape
    if min(r, c) < 2 or n < 2:
        return 0.0
    expected = np.outer(table.sum(1), table.sum(0)) / n
    phi = max(0.0, float(((table - expected) ** 2 / expected).sum() / n - (r - 1) * (c - 1) / (n - 1)))
    least = min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, np.sqrt(phi / least))) if least > 0 else 0.0


def is_nested(level: Ints, study: Ints) -> bool:
    """Return whether each stage was seen by one study only, of several."""
    if len(np.unique(study)) < 2:
        return False
    return all(len(np.unique(study[level == one])) == 1 for one in np.unique(level))
