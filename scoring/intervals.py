"""Intervals in closed form, from expected counts: of a share, of odds, of a ratio of rates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
"""Level of every interval here."""

_TAIL = (1 - LEVEL) / 2


def share_interval(part: npt.ArrayLike, whole: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the Jeffreys interval of a share (Brown, Cai and DasGupta 2001, doi 10.1214/ss/1009213286).

    Counts may be expected ones, sums of calibrated probabilities. The binomial variance share (1 - share) / whole is
    then that of the probabilities between cells plus the mean doubt p (1 - p) about a cell, so that the interval covers
    the sampling of cells and what the network is not sure of.

    Parameters
    ----------
    part, whole
        float `[...]`, counts, 0 <= part <= whole.

    Returns
    -------
    tuple
        Lower and upper end, float64 `[...]`, in 0..1; 0 and 1 where part is nothing or all; NaN where whole is 0.
    """
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    rest = np.maximum(whole - part, 0)
    low = np.where(part > 0, stats.beta.ppf(_TAIL, part + 0.5, rest + 0.5), 0.0)
    high = np.where(rest > 0, stats.beta.ppf(1 - _TAIL, part + 0.5, rest + 0.5), 1.0)
    known = whole > 0
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def odds_interval(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the interval of first / second, two counts of the same cells, through the share of the first of both."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    low, high = share_interval(first, first + second)
    with np.errstate(divide="ignore"):
        return low / (1 - low), high / (1 - high)


def rate_ratio_interval(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return the exact interval of the ratio of two Poisson means: given their sum the first count is binomial.

    Clopper and Pearson's interval of that binomial, as odds (Przyborowski and Wilenski 1940, doi
    10.1093/biomet/31.3-4.313). Counts may be expected ones.

    Parameters
    ----------
    first, second
        float `[...]`, counts, >= 0.

    Returns
    -------
    tuple
        Lower and upper end of mean(first) / mean(second), float64 `[...]`; 0 or infinity where a count is 0.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    low = np.where(first > 0, stats.beta.ppf(_TAIL, np.maximum(first, 1e-300), second + 1), 0.0)
    high = np.where(second > 0, stats.beta.ppf(1 - _TAIL, first + 1, np.maximum(second, 1e-300)), 1.0)
    with np.errstate(divide="ignore"):
        return low / (1 - low), high / (1 - high)
