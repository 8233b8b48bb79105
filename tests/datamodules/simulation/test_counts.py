import numpy as np
import pytest
from scipy import stats

from datamodules.simulation.counts import draw_counts


def test_counts_follow_the_negative_binomial_of_scipy():
    mean, overdispersion, n = 3.0, 0.5, 20_000
    counts = draw_counts(np.random.default_rng(0), np.full((n, 1), mean, dtype=np.float32), overdispersion).toarray()
    size = 1 / overdispersion
    expected = n * stats.nbinom.pmf(np.arange(12), size, size / (size + mean))
    observed = np.bincount(counts.ravel().astype(int))[:12]
    chi2 = ((observed - expected) ** 2 / expected).sum()
    assert chi2 < stats.chi2.ppf(0.999, df=11)


def test_counts_land_in_the_cell_and_gene_whose_mean_they_have():
    means = (100.0 * np.arange(1, 4)[:, None] + 10 * np.arange(4)[None, :]).astype(np.float32)
    draws = sum(draw_counts(np.random.default_rng(seed), means, 0.001).toarray() for seed in range(200)) / 200
    np.testing.assert_allclose(draws, means, rtol=0.03)


def test_variance_is_mean_plus_overdispersion_times_mean_squared():
    counts = draw_counts(np.random.default_rng(1), np.full((40_000, 1), 4.0, dtype=np.float32), 0.25).toarray()
    assert counts.mean() == pytest.approx(4.0, rel=0.02)
    assert counts.var() == pytest.approx(4 + 0.25 * 16, rel=0.04)


def test_a_gene_without_expression_is_never_counted():
    means = np.array([[0, 5, 0], [0, 0, 0], [7, 0, 0]], dtype=np.float32)
    total = sum(draw_counts(np.random.default_rng(seed), means, 0.3).toarray() for seed in range(50))
    np.testing.assert_array_equal(total > 0, means > 0)


def test_no_expression_at_all_gives_an_empty_matrix():
    counts = draw_counts(np.random.default_rng(0), np.zeros((2, 3), dtype=np.float32), 0.3)
    assert counts.shape == (2, 3)
    assert counts.nnz == 0


def test_rows_are_canonical_whole_and_of_the_stated_types():
    means = np.random.default_rng(0).lognormal(0, 1, (30, 200)).astype(np.float32)
    counts = draw_counts(np.random.default_rng(1), means, 0.3)
    assert counts.has_canonical_format
    assert counts.data.dtype == np.float32
    assert counts.indices.dtype == np.int32
    assert counts.data.min() == 1
    np.testing.assert_array_equal(counts.data, np.floor(counts.data))
