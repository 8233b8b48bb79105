import numpy as np
import pytest
from scipy import stats

from schema.confusion import Confusion
from schema.depths import N_DEPTHS
from scoring.state_shares import StateReading, drawn_interval

SEED = np.random.SeedSequence(3)


def confusion_of(*matrices, cells=1000):
    """Return one reading per donor, each `[n_states, n_states]`, alike at all depths."""
    said = np.tile(np.array(matrices, dtype=np.float32)[:, None], (1, N_DEPTHS, 1, 1))
    return Confusion(np.arange(len(said)), np.full(said.shape[:3], cells), said)


def test_without_donors_compositions_are_drawn_from_the_cells():
    cells = np.array([30.0, 60.0, 10.0])
    drawn = StateReading(Confusion.empty(3)).draw(cells, SEED)
    np.testing.assert_allclose(drawn.sum(axis=1), 1)
    for state in range(3):
        expected = stats.beta(cells[state] + 0.5, 100 - cells[state] + 1)
        np.testing.assert_allclose(drawn[:, state].mean(), expected.mean(), atol=4 * expected.std() / 20)
        np.testing.assert_allclose(drawn[:, state].std(), expected.std(), rtol=0.15)


def test_what_donors_mistake_is_undone():
    read_as = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.3, 0.7]])
    true = np.array([0.5, 0.2, 0.3])
    drawn = StateReading(confusion_of(read_as, read_as)).draw(1e6 * true @ read_as, SEED)
    np.testing.assert_allclose(drawn.mean(axis=0), true, atol=0.005)


def test_a_state_that_is_only_mistaken_for_is_drawn_as_none():
    read_as = np.array([[1.0, 0.0], [0.4, 0.6]])
    drawn = StateReading(confusion_of(read_as, read_as)).draw(np.array([400.0, 600.0]), SEED)
    assert np.median(drawn[:, 0]) < 0.02


def test_donors_that_read_unlike_widen_the_draws():
    read_as = np.array([[0.8, 0.2], [0.2, 0.8]])
    alike = StateReading(confusion_of(*[read_as] * 4))
    unlike = StateReading(confusion_of(*(np.array([[a, 1 - a], [1 - a, a]]) for a in (0.95, 0.9, 0.7, 0.65))))
    spread = [reading.draw(np.array([700.0, 300.0]), SEED)[:, 0].std() for reading in (alike, unlike)]
    assert spread[1] > 1.5 * spread[0]


def test_a_donor_with_two_readings_is_drawn_with_both():
    confusion = confusion_of(np.eye(2), np.eye(2)[::-1] * 0.6 + np.eye(2) * 0.4)
    together = Confusion(np.zeros(2, dtype=np.int64), confusion.cells, confusion.said)
    drawn = StateReading(together)._readings
    np.testing.assert_allclose(drawn, np.broadcast_to([[0.7, 0.3], [0.3, 0.7]], drawn.shape), rtol=1e-5)


def test_a_state_that_no_donor_has_is_read_right():
    confusion = confusion_of(np.array([[0.5, 0.5], [0.5, 0.5]]))
    confusion.cells[:, :, 1] = 0
    drawn = StateReading(confusion).draw(np.array([1.0, 1e6]), SEED)
    assert drawn[:, 1].min() > 0.99


@pytest.mark.parametrize(
    ("counted", "n_cells", "expected"),
    [
        (0.5, 100.0, (0.4, 0.6)),
        (0.3, 100.0, (0.3, 0.6)),  # holds what was counted
        (0.5, 1.2, (0.0, 1.0)),  # less than half a cell from none, and from all
    ],
)
def test_an_interval_is_the_middle_of_the_draws(counted, n_cells, expected):
    drawn = np.concatenate([np.linspace(0.4, 0.6, 1001), [0.0] * 24, [1.0] * 24])
    assert drawn_interval(drawn, counted, n_cells) == pytest.approx(expected, abs=0.003)
