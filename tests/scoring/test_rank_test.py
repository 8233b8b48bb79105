from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from scoring import rank_test
from scoring.rank_test import rank_tests

WINE = (  # Hollander and Wolfe, Nonparametric Statistical Methods, example 6.2: pieces by information on performance
    [40, 35, 38, 43, 44, 41],
    [38, 40, 47, 44, 40, 42],
    [48, 40, 45, 43, 46, 44],
)


def one(value, level, block=None, **options):
    block = np.zeros(len(value), dtype=np.int64) if block is None else np.asarray(block)
    values = np.asarray(value, dtype=np.float64)[:, None]
    (found,) = rank_tests(values, np.asarray(level, dtype=np.int64), block, **options)
    return found


def by_hand(value, level, block):
    """Return S and the two-sided p-value over all orders of the levels within blocks, duplicates and all."""

    def s(levels):
        total = 0
        for i in range(len(value)):
            for j in range(i):
                if block[i] == block[j]:
                    total += np.sign(value[i] - value[j]) * np.sign(levels[i] - levels[j])
        return total

    of_block = [[i for i in range(len(value)) if block[i] == b] for b in sorted(set(block))]
    null = []
    for parts in product(*([list(permutations(level[i] for i in rows)) for rows in of_block])):
        levels = list(level)
        for rows, part in zip(of_block, parts, strict=True):
            for i, each in zip(rows, part, strict=True):
                levels[i] = each
        null.append(s(levels))
    observed = s(level)
    return observed, np.mean(np.abs(null) >= abs(observed))


def test_the_statistic_is_jonckheeres_of_the_textbook():
    """J = 79 there, of 108 pairs in different groups; S counts falls against rises, ties as neither."""
    value, level = np.concatenate(WINE), np.repeat([0, 1, 2], 6)
    found = one(value, level)
    assert (found.statistic + 108) / 2 == 79
    assert found.effect == pytest.approx((2 * 79 - 108) / 108)
    assert 0.02 < found.p_value < 0.05  # the book's one-sided P is 0.0231 by the limit


@pytest.mark.parametrize("block", [[0] * 7, [0, 0, 0, 0, 1, 1, 1]])
def test_small_samples_are_gone_through(block):
    value, level = [3.0, 1.0, 2.0, 2.0, 5.0, 4.0, 9.0], [0, 0, 1, 1, 0, 2, 2]
    found = one(value, level, block)
    assert (found.statistic, found.p_value) == pytest.approx(by_hand(value, level, block))
    assert found.how == "exact"


def test_of_two_groups_it_is_mann_and_whitneys_test():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=6), rng.normal(0.8, 1, size=7)
    found = one(np.append(first, second), [0] * 6 + [1] * 7)
    exact = stats.mannwhitneyu(second, first, method="exact")
    assert found.p_value == pytest.approx(exact.pvalue)
    assert found.effect == pytest.approx(2 * exact.statistic / 42 - 1)


def test_drawn_arrangements_come_near_all_of_them(monkeypatch):
    rng = np.random.default_rng(1)
    value, level = rng.normal(size=10) + np.arange(10) * 0.2, np.repeat([0, 1], 5)
    exact = one(value, level)
    monkeypatch.setattr(rank_test, "MAX_EXACT", 1)
    drawn = one(value, level)
    assert drawn.how == "9999 draws"
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.015)
    assert drawn == one(value, level)
    assert drawn != one(value, level, seed=1)


def test_the_normal_limit_is_kendalls_with_ties(monkeypatch):
    rng = np.random.default_rng(2)
    level = rng.integers(0, 4, 60)
    value = np.round(rng.normal(size=60) + 0.2 * level, 1)
    monkeypatch.setattr(rank_test, "MAX_PAIRS", 10)
    reference = stats.kendalltau(level, value, method="asymptotic")
    found = one(value, level)
    assert found.how == "normal limit"
    assert found.p_value == pytest.approx(reference.pvalue, rel=1e-6)


def test_blocks_keep_a_difference_between_studies_out_of_the_test():
    """All of the later group is in the study that measures higher; within studies nothing differs."""
    value = np.array([1.0, 1.1, 1.2, 1.3, 1.4, 1.25, 11.0, 11.1, 11.2, 11.3, 11.4, 11.25])
    level, study = [0] * 5 + [1] + [1] * 5 + [0], [0] * 6 + [1] * 6
    assert one(value, level).p_value < 0.1
    assert one(value, level, study).p_value > 0.6


def test_under_the_null_five_in_a_hundred_are_below_five_percent():
    """Rates over 800 cohorts of five stages with three donors each, and of 5 against 6; binomial limits at 99.9 %."""
    rng = np.random.default_rng(3)
    for level in (np.repeat(np.arange(5), 3), np.repeat([0, 1], (5, 6))):
        values = rng.gamma(1.5, 4, (len(level), 800))
        found = rank_tests(values, level, np.zeros(len(level), dtype=np.int64))
        rate = np.mean([test.p_value <= 0.05 for test in found])
        assert 0.026 <= rate <= 0.076


def test_all_measures_meet_the_same_arrangements():
    rng = np.random.default_rng(4)
    values, level, block = rng.normal(size=(12, 3)), np.repeat([0, 1, 2], 4), np.zeros(12, dtype=np.int64)
    together = rank_tests(values, level, block)
    assert together == [rank_tests(values[:, [k]], level, block)[0] for k in range(3)]


def test_without_two_groups_in_a_block_nothing_is_said():
    found = one([1.0, 2.0, 3.0, 4.0], [0, 0, 1, 1], [0, 0, 1, 1])
    assert np.isnan([found.p_value, found.effect]).all()


def test_values_must_be_known():
    with pytest.raises(ValueError, match="finite"):
        one([1.0, np.nan], [0, 1])
