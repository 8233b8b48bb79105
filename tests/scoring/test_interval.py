import numpy as np
import pytest
from scipy.stats import t

from scoring.burden_sketch import BurdenSketch
from scoring.burden_types import BurdenTypes
from scoring.correction import Correction
from scoring.interval import DOUBT, draw_donors, draw_protocols, draw_sampling
from tests.scoring.made_confusion import made_confusion, made_probabilities

N = 200_000


@pytest.fixture
def sampled(ontology):
    """Return a function that draws shares of tissues of which cells with some neutrophil probability may be."""
    types = BurdenTypes.of(ontology)

    def draw(neutrophil, sensitivity=1.0, false_positive=0.0):
        correction = Correction(made_confusion(ontology, [sensitivity] * 2, [false_positive] * 2), types)
        sketch = BurdenSketch([types], types.n_types)
        probabilities = made_probabilities(ontology, N_MAT=neutrophil, MONO=1 - np.asarray(neutrophil, float))
        sketch.update(0, probabilities, np.full(len(probabilities), 900.0))
        sums = sketch.sums(0)
        return draw_sampling(sums, correction.correct(sums.by_type), types, N, np.random.default_rng(0))

    return draw


def test_sampling_of_hard_calls_is_binomial(sampled):
    drawn = sampled(np.arange(500) < 100)
    assert drawn.mean() == pytest.approx(0.2, abs=0.002)
    assert drawn.std() == pytest.approx(np.sqrt(0.2 * 0.8 / 500), rel=0.02)


def test_undoing_mistakes_spreads_what_chance_did(sampled):
    # share (0.4 - 0.1) / 0.5; a bootstrap of the calls has the spread of 0.4, divided by the contrast of 0.5
    drawn = sampled(np.arange(1000) < 400, sensitivity=0.6, false_positive=0.1)
    assert drawn.mean() == pytest.approx(0.6, abs=0.003)
    assert drawn.std() == pytest.approx(np.sqrt(0.4 * 0.6 / 1000) / 0.5, rel=0.03)


def test_cells_that_agree_are_still_a_sample(sampled):
    assert sampled(np.full(500, 0.2)).std() == pytest.approx(np.sqrt(0.2 * 0.8 / 500), rel=0.02)


def test_donors_reach_as_far_as_a_prediction_interval():
    shifts = np.random.default_rng(1).normal(0, 0.02, 10)
    drawn = draw_donors(shifts, 10, N, np.random.default_rng(0))
    wanted = shifts.std(ddof=1) * np.sqrt(1.1) * t.ppf(0.975, 9)
    assert drawn.mean() == pytest.approx(shifts.mean(), abs=1e-3)
    assert 1.96 * drawn.std() == pytest.approx(wanted, rel=0.01)


def test_few_donors_reach_further():
    shifts = np.array([-0.01, 0.01])
    two, as_ten = (draw_donors(shifts, n, N, np.random.default_rng(0)).std() for n in (2, 10))
    assert two > 5 * as_ten


def test_donors_that_agree_shift_alike():
    assert np.unique(draw_donors(np.full(5, 0.03), 5, 100, np.random.default_rng(0))).tolist() == [0.03]


def test_without_donors_nothing_is_shifted():
    assert not draw_donors(np.zeros(0), 0, 10, np.random.default_rng(0)).any()


def test_the_more_was_undone_the_less_sure_it_is():
    drawn = draw_protocols(0.10, 0.04, N, np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(0, abs=3e-4)
    assert drawn.std() == pytest.approx(DOUBT * 0.06, rel=0.02)
    assert not draw_protocols(0.1, 0.1, 10, np.random.default_rng(0)).any()
