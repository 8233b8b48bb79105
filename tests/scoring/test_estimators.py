import numpy as np
import pytest

from scoring.burden_sketch import BurdenSketch
from scoring.burden_types import BurdenTypes
from scoring.estimators import called_share, counted_share, em_share
from tests.scoring.made_confusion import made_probabilities


@pytest.fixture
def summed(ontology):
    types = BurdenTypes.of(ontology)

    def make(neutrophil):
        sketch = BurdenSketch([types], types.n_types)
        neutrophil = np.asarray(neutrophil, dtype=np.float64)
        probabilities = made_probabilities(ontology, N_MAT=neutrophil, MONO=1 - neutrophil)
        sketch.update(0, probabilities, np.full(len(neutrophil), 900.0))
        return sketch.sums(0), types

    return make


def posterior(rng, share, prior, n):
    """Cells of a tissue with a share of neutrophils, read by a calibrated classifier under another prior."""
    is_neutrophil = rng.random(n) < share
    score = rng.normal(np.where(is_neutrophil, 1.0, -1.0), 1.0)  # log likelihood ratio 2 * score
    odds = np.exp(2 * score) * prior / (1 - prior)
    return odds / (1 + odds)


@pytest.mark.parametrize("share", [0.02, 0.2, 0.6])
def test_em_finds_the_share_that_counting_misses(summed, share):
    values = posterior(np.random.default_rng(0), share, 0.1, 40_000)
    sums, types = summed(values)
    assert em_share(sums, 0.1) == pytest.approx(share, abs=0.012)
    assert abs(counted_share(sums, types) - share) > 0.02


def test_em_on_bins_is_em_on_cells(summed):
    values = posterior(np.random.default_rng(1), 0.3, 0.05, 3000)
    found = values.mean()
    for _ in range(2000):
        up, down = values * found / 0.05, (1 - values) * (1 - found) / 0.95
        found = (up / (up + down)).mean()
    assert em_share(summed(values)[0], 0.05) == pytest.approx(found, abs=1e-3)


def test_em_with_the_prior_of_the_sample_leaves_it(summed):
    values = posterior(np.random.default_rng(2), 0.3, 0.3, 50_000)
    assert em_share(summed(values)[0], 0.3) == pytest.approx(0.3, abs=0.01)


def test_certain_cells_are_the_same_to_all(summed):
    sums, types = summed([1.0, 1.0, 0.0, 0.0, 0.0])
    assert [counted_share(sums, types), called_share(sums), em_share(sums, 0.06)] == pytest.approx([0.4] * 3)


def test_without_cells_nothing_is_known(summed):
    sums, types = summed([])
    assert np.isnan([counted_share(sums, types), called_share(sums), em_share(sums, 0.1)]).all()
