import numpy as np
import pytest
from scipy import stats

from scoring.intervals import odds_interval, rate_ratio_interval, share_interval


def test_the_share_interval_is_the_published_one():
    """Brown, Cai and DasGupta 2001, table 5: Jeffreys intervals of x successes among n = 10 and n = 30."""
    low, high = share_interval(np.array([1.0, 5.0, 3.0]), np.array([10.0, 10.0, 30.0]))
    assert np.round(low, 3).tolist() == [0.011, 0.224, 0.029]
    assert np.round(high, 3).tolist() == [0.381, 0.776, 0.243]


def test_a_share_of_nothing_and_of_all_reach_the_ends():
    low, high = share_interval(np.array([0.0, 7.0, 0.0]), np.array([7.0, 7.0, 0.0]))
    assert (low[0], high[1]) == (0, 1)
    assert np.isnan([low[2], high[2]]).all()


@pytest.mark.parametrize("n", [40, 60, 200])
def test_the_share_interval_covers_on_average_over_shares(n):
    """Exactly, for certain labels; at single shares it swings between 92 and 99 %, as any interval of counts does."""
    counts, shares = np.arange(n + 1.0), np.linspace(0.02, 0.98, 97)
    low, high = share_interval(counts, np.full(n + 1, float(n)))
    coverage = [stats.binom.pmf(counts, n, share)[(low <= share) & (share <= high)].sum() for share in shares]
    assert 0.945 <= np.mean(coverage) <= 0.96
    assert min(coverage) > 0.88


@pytest.mark.parametrize(("share", "n"), [(0.05, 60), (0.3, 40), (0.6, 200)])
def test_the_share_interval_is_wide_enough_for_calibrated_probabilities(share, n):
    rng = np.random.default_rng(3)
    counts = rng.beta(2 * share, 2 * (1 - share), (4000, n)).sum(axis=1)
    low, high = share_interval(counts, np.full(4000, float(n)))
    assert np.mean((low <= share) & (share <= high)) >= 0.95


def test_the_interval_of_odds_is_that_of_the_share():
    low, high = odds_interval(np.array([20.0]), np.array([80.0]))
    ends = stats.beta.ppf([0.025, 0.975], 20.5, 80.5)
    assert np.allclose([low[0], high[0]], ends / (1 - ends))


def test_the_ratio_of_rates_is_clopper_and_pearsons_odds():
    """scipy's exact binomial interval is the reference."""
    low, high = rate_ratio_interval(np.array([12.0, 0.0]), np.array([5.0, 9.0]))
    exact = stats.binomtest(12, 17).proportion_ci(method="exact")
    assert np.allclose([low[0], high[0]], [exact.low / (1 - exact.low), exact.high / (1 - exact.high)])
    assert low[1] == 0
    assert rate_ratio_interval(3.0, 0.0)[1] == np.inf


def test_the_ratio_of_rates_covers():
    rng = np.random.default_rng(4)
    first, second = rng.poisson(6, 4000), rng.poisson(15, 4000)
    low, high = rate_ratio_interval(first, second)
    assert np.mean((low <= 6 / 15) & (high >= 6 / 15)) >= 0.95
