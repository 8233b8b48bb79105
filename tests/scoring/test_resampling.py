import numpy as np
import pytest
from scipy.stats import poisson

from scoring.resampling import PoissonWeights, make_buffer


def draw(seed, n_replicates, blocks):
    weights = PoissonWeights(np.random.SeedSequence(seed), n_replicates)
    buffer = make_buffer(max(blocks), n_replicates)
    return np.concatenate([weights.draw(n, buffer).copy() for n in blocks])


def test_weights_follow_the_poisson_distribution():
    values, counts = np.unique(draw(1, 100, [20_000]), return_counts=True)
    np.testing.assert_allclose(counts / counts.sum(), poisson.pmf(values, 1), atol=1.5e-3)  # 4 standard errors


def test_replicates_and_cells_are_independent():
    weights = draw(2, 40, [20_000])
    correlation = np.corrcoef(weights.T) - np.eye(40)
    assert np.abs(correlation).max() < 0.035  # 5 standard errors of 1 / sqrt(20,000)
    assert abs(np.corrcoef(weights[:-1].ravel(), weights[1:].ravel())[0, 1]) < 0.006


@pytest.mark.parametrize("n_replicates", [100, 101, 102, 103])
def test_cutting_into_blocks_changes_nothing(n_replicates):
    whole = draw(3, n_replicates, [60])
    np.testing.assert_array_equal(whole, draw(3, n_replicates, [1, 7, 30, 22]))
    assert whole.shape == (60, n_replicates)


def test_another_seed_gives_other_weights():
    assert (draw(4, 100, [50]) != draw(5, 100, [50])).any()
