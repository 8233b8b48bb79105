import numpy as np
import pytest

from scoring.burden_sketch import N_BINS, BurdenSketch
from scoring.burden_types import BurdenTypes
from tests.scoring.made_confusion import made_probabilities


@pytest.fixture
def types(ontology):
    return BurdenTypes.of(ontology)


@pytest.fixture
def sums(ontology, types):
    probabilities = made_probabilities(
        ontology, N_MAT=[0.25, 0.0, 0.5], N_ANG=[0.25, 0.0, 0.25], MONO=[0.5, 0.5, 0.0], ERY=[0.0, 0.5, 0.25]
    )
    sketch = BurdenSketch([types, types], types.n_types)
    sketch.update(1, probabilities, np.array([150.0, 250.0, 250.0]))
    assert sketch.sums(0).n_cells == 0
    return sketch.sums(1)


def position(ontology, name):
    return [ontology.nodes[i].id for i in ontology.nodes_at(2)].index(name)


def test_probabilities_are_summed_by_type_and_depth(sums, ontology):
    assert sums.n_cells == 3
    for name, expected in {"NEUT": [0.5, 0.75], "MONO": [0.5, 0.5], "ERY": [0.0, 0.75]}.items():
        assert sums.by_type[:2, position(ontology, name)].tolist() == expected, name
    assert sums.by_type.sum() == 3.0


def test_squares_are_of_neutrophils_other_counted_and_the_rest(sums):
    np.testing.assert_allclose(sums.squares[0], [[0.25, 0.25, 0], [0.25, 0.25, 0], [0, 0, 0]])
    np.testing.assert_allclose(sums.squares[1], [[0.5625, 0, 0.1875], [0, 0.25, 0.25], [0.1875, 0.25, 0.3125]])


def test_cells_are_called_by_type(sums):
    # neutrophil (equal to monocyte, listed first), then monocyte (listed before erythroid), then neutrophil
    assert sums.n_called.tolist() == [2, 3]


def test_shares_fall_into_bins_of_log_odds(sums):
    assert sums.by_share.sum(axis=0).tolist() == [1.25, 2.25]
    used = np.flatnonzero(sums.by_share[:, 1])
    # shares 0, 1/2 and 1 of what is counted
    assert used.tolist() == [0, N_BINS // 2 - 1, N_BINS - 1]
    assert sums.by_share[used].tolist() == [[0.0, 0.5], [0.5, 1.0], [0.75, 0.75]]
