import numpy as np
import pytest
from scipy import stats

from scoring import shift
from scoring.shift import mann_whitney_ways, shift_between, shift_within

ONE = np.zeros(15, dtype=np.int64)


def test_it_is_rs_of_its_own_example():
    """R, ?wilcox.test: x and y of permeability, W = 35; location 0.305, interval -0.15 to 0.76."""
    x = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    y = [1.15, 0.88, 0.90, 0.74, 1.21]
    found = shift_between(np.array([*y, *x]), np.repeat([False, True], [5, 10]), ONE)
    assert np.round(found, 3).tolist() == [0.305, -0.15, 0.76]


def test_paired_it_is_rs_of_its_own_example():
    """R, ?wilcox.test: Hamilton depression scale before and after; V = 40; Walsh averages counted by hand."""
    before = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
    after = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    found = shift_within(before - after)
    assert found.estimate == pytest.approx(0.46)
    rare = [low for low in np.linspace(-0.5, 1.2, 400) if stats.wilcoxon(before - after - low).pvalue > 0.05]
    assert (found.low, found.high) == (pytest.approx(min(rare), abs=0.01), pytest.approx(max(rare), abs=0.01))


def test_orders_are_counted():
    assert mann_whitney_ways(2, 3).tolist() == [1, 1, 2, 2, 2, 1, 1]
    assert mann_whitney_ways(6, 5).sum() == 462


def test_too_few_units_have_an_estimate_and_no_interval():
    """3 against 3: the least two-sided p-value is 0.1; of five pairs it is 0.0625."""
    found = shift_between(np.arange(6.0), np.repeat([False, True], 3), ONE[:6])
    assert found.estimate == 3
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(shift_within(np.arange(5.0)).low)
    assert not np.isnan(shift_within(np.arange(6.0)).low)


@pytest.mark.parametrize("blocked", [False, True])
def test_the_interval_holds_the_shift_in_95_of_100(blocked):
    rng = np.random.default_rng(5)
    second = np.tile([False, True], 6)
    study = np.repeat([0, 1], 6) if blocked else ONE[:12]
    held = []
    for _ in range(1500):
        value = rng.exponential(3, 12) + 2.5 * second + 20 * blocked * study
        low, high = shift_between(value, second, study)[1:]
        held.append(low <= 2.5 <= high)
    assert 0.935 <= np.mean(held) <= 0.985


def test_within_blocks_a_difference_between_studies_does_not_count():
    value = np.array([0.0, 1.0, 2.0, 3.0, 50.0, 51.0, 52.0, 53.0])
    second = np.array([False, False, True, True] * 2)
    assert shift_between(value, second, np.repeat([0, 1], 4)).estimate == 2
    assert shift_between(value, second, np.array([0, 1] * 4)).estimate == 2


def test_the_normal_limit_comes_near_the_exact_interval(monkeypatch):
    rng = np.random.default_rng(6)
    value, second = rng.normal(size=60), np.repeat([False, True], 30)
    pairs = rng.normal(size=40)
    exact = shift_between(value, second, np.zeros(60, dtype=np.int64)), shift_within(pairs)
    monkeypatch.setattr(shift, "MAX_EXACT", 1)
    limit = shift_between(value, second, np.zeros(60, dtype=np.int64)), shift_within(pairs)
    assert np.allclose(exact, limit, atol=0.03)
