"""How far two groups lie apart: Hodges and Lehmann's estimate with the interval that belongs to the rank test."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEVEL = 0.95
"""Level of the interval."""

MAX_EXACT = 2_500
"""Differences (50 units against 50) up to which the null distribution is counted out; beyond, the normal limit."""


class Shift(NamedTuple):
    """Second group minus first, with its interval, in the unit of the values; NaN where units are too few for 95 %."""

    estimate: float
    low: float
    high: float


def shift_between(value: Floats, is_second: npt.NDArray[np.bool_], block: Ints) -> Shift:
    """Return the median of all differences within blocks, with the interval of Mann and Whitney's test.

    Its ends are the differences that as many others lie beyond as the test takes for rare (Hodges and Lehmann 1963, doi
    10.1214/aoms/1177704172; Bauer 1972, doi 10.1080/01621459.1972.10481279), counted over the blocks together.

    Parameters
    ----------
    value
        float64 `[n_units]`.
    is_second
        bool `[n_units]`: units of the second group.
    block
        int64 `[n_units]`: study; one value throughout = no blocks.
    """
    differences, sizes = [np.zeros(0)], []
    for code in np.unique(block).tolist():
        first, second = (value[(block == code) & chosen] for chosen in (~is_second, is_second))
        differences.append(np.subtract.outer(second, first).ravel())
        sizes.append((len(first), len(second)))
    below = _rare_below(np.array([n * m for n, m in sizes], dtype=np.int64), sizes)
    return _ordered(np.concatenate(differences), below)


def shift_within(difference: Floats) -> Shift:
    """Return the median of the Walsh averages of paired differences, with the interval of Wilcoxon's signed-rank test.

    Parameters
    ----------
    difference
        float64 `[n_pairs]`: second minus first of each donor.
    """
    n = len(difference)
    first, second = np.triu_indices(n)
    averages = (difference[first] + difference[second]) / 2
    n_averages = n * (n + 1) // 2
    if n_averages > MAX_EXACT:
        deviation = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return _ordered(averages, _normal_below(n_averages, deviation))
    ways = np.ones(1)
    for rank in range(1, n + 1):
        ways = np.convolve(ways, np.concatenate([[1.0], np.zeros(rank - 1), [1.0]]))
    return _ordered(averages, _first_not_rare(ways))


def _ordered(differences: Floats, below: int) -> Shift:
    """Return median and the differences of which `below` - 1 lie further out on either side."""
    if not len(differences):
        return Shift(math.nan, math.nan, math.nan)
    ordered = np.sort(differences)
    estimate = float(np.median(ordered))
    if below < 1:
        return Shift(estimate, math.nan, math.nan)
    return Shift(estimate, float(ordered[below - 1]), float(ordered[-below]))


def _rare_below(products: Ints, sizes: list[tuple[int, int]]) -> int:
    """Return how many of the differences may lie beyond an end, for blocks of so many units in the two groups."""
    total = int(products.sum())
    if total > MAX_EXACT:
        return _normal_below(total, math.sqrt(sum(n * m * (n + m + 1) for n, m in sizes) / 12))
    ways = np.ones(1)
    for n, m in sizes:
        ways = np.convolve(ways, mann_whitney_ways(n, m))
    return _first_not_rare(ways)


def _first_not_rare(ways: Floats) -> int:
    """Return the least count whose lower tail is not rare at the level: 0 where even none is not."""
    tail = np.cumsum(ways) / ways.sum()
    return int(np.argmax(tail >= (1 - LEVEL) / 2))


def _normal_below(n_differences: int, deviation: float) -> int:
    quantile = float(stats.norm.ppf((1 + LEVEL) / 2))
    return max(0, math.floor(n_differences / 2 - quantile * deviation))


def mann_whitney_ways(n: int, m: int) -> Floats:
    """Return in how many orders of n and m units each Mann-Whitney count 0 .. n m comes about, float64 `[n m + 1]`."""
    ways = np.zeros((n + 1, n * m + 1))
    ways[0, 0] = 1
    for rank in range(n + m):  # each unit, lowest first, is of the first group or not; it passes rank - taken others
        for taken in range(min(rank, n - 1), -1, -1):
            passed = rank - taken
            if passed <= m:
                ways[taken + 1, passed:] += ways[taken, : n * m + 1 - passed]
    found: Floats = ways[n]
    return found
