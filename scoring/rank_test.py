"""A two-sided test of whether values rise with ordered groups, by permuting units within blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MAX_EXACT = 20_000
"""Arrangements of the groups over the units up to which all are gone through."""

MAX_PAIRS = 20_000
"""Pairs of units (200 units of one block) up to which arrangements are drawn; beyond, the normal limit is as good."""

N_DRAWS = 9_999
"""Arrangements drawn where there are too many to go through all."""

_AT_ONCE = 500


class RankTest(NamedTuple):
    """What a test found.

    Attributes
    ----------
    statistic
        Kendall's S: pairs of units of one block that rise with the groups, minus those that fall.
    effect
        S over the number of pairs in different groups: probability of higher minus that of lower, -1 to 1; NaN without.
    p_value
        Two-sided; NaN without such pairs.
    how
        "exact", the number of draws, or "normal limit".
    """

    statistic: float
    effect: float
    p_value: float
    how: str


def rank_tests(values: Floats, level: Ints, block: Ints, *, seed: int = 0) -> list[RankTest]:
    """Test of each measure whether it rises or falls with levels, among units of the same block.

    Over several levels this is the test of Jonckheere (1954, doi 10.1093/biomet/41.1-2.133) and Terpstra (1952), over
    two that of Mann and Whitney (1947, doi 10.1214/aoms/1177730491): both are Kendall's S with the groups as ties, and
    both are here summed over blocks, within which alone units change places.

    Parameters
    ----------
    values
        float64 `[n_units, n_measures]`, finite; all measures meet the same arrangements.
    level
        int64 `[n_units]`, order of each unit's group.
    block
        int64 `[n_units]`, donor or study; one value throughout = no blocks.
    seed
        Of drawn arrangements.

    Raises
    ------
    ValueError
        If lengths differ or a value is not finite.
    """
    if not len(values) == len(level) == len(block) or not np.isfinite(values).all():
        raise ValueError("Expected one finite value of each measure, level and block per unit.")
    rows = [np.flatnonzero(block == code) for code in np.unique(block)]
    rows = [row for row in rows if len(np.unique(level[row])) > 1]  # others say nothing of the order
    if not rows:
        return [RankTest(0.0, math.nan, math.nan, "exact")] * values.shape[1]
    if sum(len(row) * (len(row) - 1) // 2 for row in rows) > MAX_PAIRS:
        return [_in_the_limit(value, level, rows) for value in values.T]
    return _by_arrangements(values, level, rows, seed)


def _in_the_limit(value: Floats, level: Ints, rows: list[Ints]) -> RankTest:
    """Return the test of one measure by the normal limit of Kendall's S."""
    statistic, variance = np.array([_kendall(value[row], level[row]) for row in rows]).sum(axis=0).tolist()
    p_value = 1.0 if variance <= 0 else 2 * float(stats.norm.sf(abs(statistic) / math.sqrt(variance)))
    return RankTest(statistic, statistic / _n_unlike(level, rows), p_value, "normal limit")


def _by_arrangements(values: Floats, level: Ints, rows: list[Ints], seed: int) -> list[RankTest]:
    """Return the tests of all measures by going through all arrangements, or by drawing some."""
    units = np.concatenate(rows)
    first, second = _pairs(rows)
    rises = np.sign(values[units][second] - values[units][first])
    levels = [level[row] for row in rows]
    statistic = _statistics(np.concatenate(levels)[None], first, second, rises)[0]
    is_exact = math.prod(_n_orders(of_block) for of_block in levels) <= MAX_EXACT
    arrangements = _all_orders(levels) if is_exact else _drawn_orders(levels, np.random.default_rng(seed))
    n_far, n = np.zeros(values.shape[1]), 0
    for part in arrangements:
        n_far += (np.abs(_statistics(part, first, second, rises)) >= np.abs(statistic)).sum(axis=0)
        n += len(part)
    p_values = n_far / n if is_exact else (n_far + 1) / (n + 1)
    how, n_unlike = "exact" if is_exact else f"{N_DRAWS} draws", _n_unlike(level, rows)
    return [
        RankTest(found, found / n_unlike, p_value, how)
        for found, p_value in zip(statistic.tolist(), p_values.tolist(), strict=True)
    ]


def _statistics(levels: Ints, first: Ints, second: Ints, rises: Floats) -> Floats:
    """Return Kendall's S of each arrangement and measure, `[n_arrangements, n_measures]`: whole numbers, exact."""
    found: Floats = np.sign(levels[:, second] - levels[:, first]) @ rises
    return found


def _pairs(rows: list[Ints]) -> tuple[Ints, Ints]:
    """Return the pairs of each block as positions in all blocks put one after another."""
    starts = np.cumsum([0, *(len(row) for row in rows)])
    pairs = [np.stack(np.triu_indices(len(row), 1)) + start for row, start in zip(rows, starts, strict=False)]
    first, second = np.concatenate(pairs, axis=1)
    return first, second


def _n_unlike(level: Ints, rows: list[Ints]) -> int:
    """Return the number of pairs of units of one block in different groups."""
    counts = [np.unique(level[row], return_counts=True)[1] for row in rows]
    return sum(int((count.sum() ** 2 - np.square(count).sum()) // 2) for count in counts)


def _n_orders(level: Ints) -> int:
    """Return in how many ways the levels of a block can stand."""
    counts = np.unique(level, return_counts=True)[1].tolist()
    return math.factorial(len(level)) // math.prod(math.factorial(count) for count in counts)


def _all_orders(levels: list[Ints]) -> Iterator[Ints]:
    """Yield all arrangements of levels within blocks, in parts of some hundred."""
    rows = [np.concatenate(parts) for parts in product(*(list(_orders(level)) for level in levels))]
    for start in range(0, len(rows), _AT_ONCE):
        yield np.stack(rows[start : start + _AT_ONCE])


def _orders(level: Ints) -> Iterator[Ints]:
    """Yield the distinct orders in which the levels of a block can stand."""
    values, counts = np.unique(level, return_counts=True)
    orders = [np.full(len(level), values[-1])]
    free = [list(range(len(level)))]
    for value, count in zip(values[:-1].tolist(), counts[:-1].tolist(), strict=True):
        chosen = [
            (order, left, taken)
            for order, left in zip(orders, free, strict=True)
            for taken in combinations(left, count)
        ]
        orders, free = [], []
        for order, left, taken in chosen:
            placed = order.copy()
            placed[list(taken)] = value
            orders.append(placed)
            free.append([place for place in left if place not in taken])
    yield from orders


def _drawn_orders(levels: list[Ints], rng: np.random.Generator) -> Iterator[Ints]:
    """Yield random arrangements of levels within blocks, in parts of some hundred."""
    for start in range(0, N_DRAWS, _AT_ONCE):
        n = min(_AT_ONCE, N_DRAWS - start)
        yield np.concatenate([rng.permuted(np.tile(level, (n, 1)), axis=1) for level in levels], axis=1)


def _kendall(value: Floats, level: Ints) -> tuple[float, float]:
    """Return Kendall's S of a block and its variance under the null, with ties in both (Kendall 1970)."""
    n = float(len(value))
    ties = [np.unique(each, return_counts=True)[1].astype(np.float64) for each in (value, level)]
    pairs = [float((t * (t - 1)).sum()) for t in ties]
    triples = [float((t * (t - 1) * (t - 2)).sum()) for t in ties]
    fives = [float((t * (t - 1) * (2 * t + 5)).sum()) for t in ties]
    root = math.sqrt((n * (n - 1) - pairs[0]) * (n * (n - 1) - pairs[1])) / 2
    statistic = 0.0 if root == 0 else round(float(stats.kendalltau(level, value).statistic) * root)
    variance = (n * (n - 1) * (2 * n + 5) - sum(fives)) / 18 + pairs[0] * pairs[1] / (2 * n * (n - 1))
    return statistic, variance + triples[0] * triples[1] / (9 * n * (n - 1) * max(n - 2, 1))
