"""The interval of a share: which cells were sampled, a donor who is none of the few held out, another protocol."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from scoring.burden_sketch import SampleSums
from scoring.burden_types import BurdenTypes
from scoring.correction import Corrected

Floats = npt.NDArray[np.float64]

DOUBT = 0.35
"""Standard deviation of what is left of an undone mistake, as a share of it: chosen on simulated mixtures of cohorts
that no benchmark uses, with two networks (docs/log.md, 2026-11-30)."""

_NORMAL = 1.959964
"""97.5th percentile of a normal."""


def draw_sampling(
    sums: SampleSums, corrected: Corrected, types: BurdenTypes, n_draws: int, rng: np.random.Generator
) -> Floats:
    """Draw shares of tissues of which a sample may be, float64 `[n_draws]`.

    That so many cells of a tissue were sampled gives the Jeffreys posterior of a proportion, so that no neutrophil
    among few cells is no certainty. What else a bootstrap of the cells would add, because single cells are mistaken, is
    normal: the variance of the ratio of what each cell adds to neutrophils and to counted cells, from sums of squares,
    in which all counted types add alike, and all others.
    """
    share, counted = types.share(corrected.cells), float(corrected.cells[:, types.counted].sum())
    known = min(max(share, 0.0), 1.0)
    adds = np.stack([corrected.weights[:, types.neutrophil], corrected.weights[:, types.counted].sum(axis=1)], axis=1)
    excess = adds[:, 0] - known * adds[:, 1]  # [N_DEPTHS, n_types]: per unit of summed probability of a type
    of_lump = types.lumped(excess * sums.by_type) / np.maximum(types.lumped(sums.by_type), 1e-12)
    bootstrap = float(np.einsum("di,dij,dj->", of_lump, sums.squares, of_lump)) / counted**2
    mistakes = max(bootstrap - known * (1 - known) / counted, 0.0)
    sampled = rng.beta(known * counted + 0.5, (1 - known) * counted + 0.5, n_draws)
    return np.asarray(sampled + share - known + np.sqrt(mistakes) * rng.standard_normal(n_draws))


def draw_donors(shifts: Floats, n_donors: int, n_draws: int, rng: np.random.Generator) -> Floats:
    """Draw what a donor like those held out would shift a share by, float64 `[n_draws]`; 0 without donors.

    A new donor is not one of the few seen: each draw is one of theirs, jittered by a normal. The jitter is as wide as
    makes the draws reach as far as a prediction interval of a normal sample of donors does, with Student's t.

    Parameters
    ----------
    shifts
        float64 `[n_readings]`, of one or more readings of each donor.
    n_donors
        Number of donors.
    n_draws, rng
        How many, and from what.
    """
    if not n_donors:
        return np.zeros(n_draws)
    spread = float(shifts.std(ddof=1)) if len(shifts) > 1 else float(abs(shifts[0]))
    wanted = spread * np.sqrt(1 + 1 / n_donors) * stdtrit(max(n_donors - 1, 1), 0.975) / _NORMAL
    jitter = np.sqrt(max(wanted**2 - float(shifts.var()), 0.0))
    return np.asarray(shifts[rng.integers(len(shifts), size=n_draws)] + jitter * rng.standard_normal(n_draws))


def draw_protocols(counted: float, corrected: float, n_draws: int, rng: np.random.Generator) -> Floats:
    """Draw what is left of mistakes that were undone, float64 `[n_draws]`: the more was undone, the less sure it is.

    A sample differs from the held-out cells in more than its donor: ambient RNA, composition, how it was thinned.

    Parameters
    ----------
    counted, corrected
        Share before and after mistakes were undone.
    n_draws, rng
        How many, and from what.
    """
    return np.asarray(DOUBT * abs(counted - corrected) * rng.standard_normal(n_draws))
