import numpy as np
import pytest

from schema.confusion import Confusion
from schema.depths import N_DEPTHS
from scoring.burden_types import BurdenTypes
from scoring.correction import PRIOR_CELLS, Correction
from tests.scoring.made_confusion import made_confusion


@pytest.fixture
def types(ontology):
    return BurdenTypes.of(ontology)


@pytest.fixture
def random_confusion(types):
    rng = np.random.default_rng(0)
    said = 0.8 * np.eye(types.n_types) + 0.2 * rng.dirichlet(np.ones(types.n_types), (3, N_DEPTHS, types.n_types))
    return Confusion(np.arange(3), np.full((3, N_DEPTHS, types.n_types), 10**9), said.astype(np.float32))


def test_a_composition_is_found_again(random_confusion, types):
    correction = Correction(random_confusion, types)
    true = np.random.default_rng(1).dirichlet(np.ones(types.n_types), N_DEPTHS) * 500
    corrected = correction.correct(np.einsum("dt,dts->ds", true, correction.mean))
    np.testing.assert_allclose(corrected.cells, true, atol=1e-6)


def test_cells_add_up_whatever_was_said(random_confusion, types):
    said = np.random.default_rng(2).gamma(0.2, 100, (N_DEPTHS, types.n_types))
    corrected = Correction(random_confusion, types).correct(said)
    np.testing.assert_allclose(corrected.cells.sum(axis=1), said.sum(axis=1), rtol=1e-3)
    others = np.delete(corrected.cells, types.neutrophil, axis=1)
    assert others.min() > -1e-2 * said.sum()  # on the simplex, but for neutrophils
    np.testing.assert_allclose(corrected.cells, np.einsum("dts,ds->dt", corrected.weights, said))


def test_without_donors_what_was_said_stands(types):
    said = np.random.default_rng(3).gamma(1, 10, (N_DEPTHS, types.n_types))
    correction = Correction(Confusion.empty(types.n_types), types)
    np.testing.assert_allclose(correction.correct(said).cells, said, rtol=1e-6)
    assert correction.n_donors == 0
    assert len(correction.shifts(correction.correct(said))) == 0


def test_a_donor_with_few_cells_is_read_as_all(ontology, types):
    confusion = made_confusion(ontology, [0.9, 0.5], [0.0, 0.0], cells=int(PRIOR_CELLS))
    of_neutrophils = Correction(confusion, types).of_readings[:, 0, types.neutrophil, types.neutrophil]
    np.testing.assert_allclose(of_neutrophils, [0.8, 0.6], atol=1e-6)  # half way to their mean


def test_what_no_donor_has_at_a_depth_is_taken_from_the_nearest(ontology, types):
    confusion = made_confusion(ontology, [0.9, 0.9], [0.0, 0.0])
    confusion.said[:, 2, types.neutrophil] *= 0.5
    confusion.cells[:, [0, 1, 3, 4, 5, 6], types.neutrophil] = 0
    confusion.cells[:, :, types.neutrophil - 1] = 0
    mean = Correction(confusion, types).mean
    assert mean[:, types.neutrophil, types.neutrophil] == pytest.approx([0.45] * N_DEPTHS)
    assert mean[:, types.neutrophil - 1, types.neutrophil - 1] == pytest.approx([1.0] * N_DEPTHS)  # nobody has it


def test_shifts_are_what_each_donor_would_be_off(ontology, types):
    correction = Correction(made_confusion(ontology, [0.8, 0.9], [0.0, 0.0], cells=10**9), types)
    said = np.zeros((N_DEPTHS, types.n_types))
    true = said.copy()
    monocyte = [ontology.nodes[i].id for i in ontology.nodes_at(2)].index("MONO")
    true[4, types.neutrophil], true[4, monocyte] = 400, 600
    said = np.einsum("dt,dts->ds", true, correction.mean)
    # a donor of whose neutrophils 80 % are found, read as if it were 85 %: 0.4 * 0.8 / 0.85
    expected = [0.4 * 0.8 / 0.85 - 0.4, 0.4 * 0.9 / 0.85 - 0.4]
    np.testing.assert_allclose(correction.shifts(correction.correct(said)), expected, atol=1e-4)
    assert correction.n_donors == 2


def test_two_readings_of_a_donor_are_one_donor(ontology, types):
    both = made_confusion(ontology, [0.8, 0.9], [0.0, 0.0]).and_also(made_confusion(ontology, [0.9, 1.0], [0.0, 0.0]))
    correction = Correction(both, types)
    assert correction.n_donors == 2
    assert len(correction.shifts(correction.correct(np.ones((N_DEPTHS, types.n_types))))) == 4


def test_fewer_mistakes_than_usual_read_below_zero_and_donors_still_differ(ontology, types):
    correction = Correction(made_confusion(ontology, [1.0, 1.0], [0.05, 0.15], cells=10**9), types)
    said = np.zeros((N_DEPTHS, types.n_types))
    said[4, [ontology.nodes[i].id for i in ontology.nodes_at(2)].index("MONO")] = 1000  # none is taken for a neutrophil
    corrected = correction.correct(said)
    assert corrected.cells[4, types.neutrophil] < -50  # a tenth of them would be
    shifts = correction.shifts(corrected)
    assert shifts[1] - shifts[0] > 0.08
