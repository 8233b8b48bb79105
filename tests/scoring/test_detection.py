import numpy as np
import pytest

from scoring.detection import N_CELLS, detection_limit, unread_types
from tests.scoring.made_confusion import made_confusion


def test_donors_alike_are_limited_by_chance(ontology):
    limit = detection_limit(made_confusion(ontology, [0.95] * 4, [0.02] * 4), ontology)
    assert (limit.n_donors, limit.n_cells) == (4, N_CELLS)
    assert limit.n_samples >= 1900
    # one type of 27 counted, and 30 in all, is taken for neutrophils in 2 %: 0.33 of 500 cells, of which a chance of
    # 0.025 gives 2 and more, less what is undone
    assert 0.15 < limit.percent < 0.5


def test_a_donor_unlike_the_others_raises_it(ontology):
    alike = detection_limit(made_confusion(ontology, [0.95] * 4, [0.02] * 4), ontology)
    unlike = detection_limit(made_confusion(ontology, [0.95] * 4, [0.02, 0.02, 0.02, 0.5]), ontology)
    # a thirtieth of the cells, half of which are taken for neutrophils: 1.7 %
    assert 1.5 < unlike.percent < 3.5
    assert unlike.percent > 3 * alike.percent


def test_neutrophils_of_the_donors_do_not_count(ontology):
    confusion = made_confusion(ontology, [0.95] * 3, [0.0] * 3)
    confusion.cells[:, :, [ontology.nodes[i].id for i in ontology.nodes_at(2)].index("NEUT")] *= 1000
    assert detection_limit(confusion, ontology).percent == pytest.approx(100 / N_CELLS)  # one cell, and not 0


@pytest.mark.parametrize("n_donors", [0, 1])
def test_without_two_donors_there_is_none(ontology, n_donors):
    confusion = made_confusion(ontology, [0.9, 0.9], [0.0, 0.0]).of_readings(np.arange(2) < n_donors)
    assert detection_limit(confusion, ontology) is None


def test_it_is_the_same_each_time(ontology):
    confusion = made_confusion(ontology, [0.95] * 3, [0.05, 0.1, 0.2])
    assert detection_limit(confusion, ontology) == detection_limit(confusion, ontology)


def test_types_that_no_held_out_donor_has_are_named(ontology):
    confusion = made_confusion(ontology, [0.95] * 2, [0.0] * 2)
    types = [ontology.nodes[i].id for i in ontology.nodes_at(2)]
    confusion.cells[:, :, [types.index(name) for name in ("MAST", "DC", "ERY")]] = 0
    confusion.cells[1, :, types.index("MONO")] = 0  # one donor has them still
    # mast cells are learnt, dendritic cells by a label below, monocytes are read; the burden counts no erythroid cells,
    # and of a myeloid cell the type is open
    learnt = {"MAST": 9, "CDC1": 9, "MONO": 9, "ERY": 9, "L1_MYE": 9}
    names = [ontology.nodes[ontology.index_by_id[name]].name for name in ("DC", "MAST")]
    assert sorted(unread_types(confusion, learnt, ontology)) == sorted(names)
