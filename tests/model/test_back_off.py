import numpy as np
import pytest

from model.back_off import TRIED, BackOffCurve


@pytest.fixture
def curve(ontology):
    """Four labelled cells in two batches, and one without label.

    Above 0.5 three are called, one of them wrongly; above 0.6 the wrong one is not called any more.
    """
    found = BackOffCurve(ontology)
    cells = [("N_MAT", {"N_MAT": 0.9, "B": 0.1}), ("MONO", {"MONO": 0.45, "NK": 0.55}), ("B", {"B": 0.5, "MAL": 0.5})]
    cells += [("NEUT", {"N_ISG": 0.97, "MAC": 0.03}), (None, {"B": 1.0})]
    label = np.array([-1 if name is None else ontology.index_by_id[name] for name, _ in cells])
    leaves = [[of_leaf.get(ontology.nodes[leaf].id, 0.0) for leaf in ontology.leaves] for _, of_leaf in cells]
    probabilities = np.array(leaves) @ ontology.leaves_below.T
    found.update(probabilities[:2], label[:2])
    found.update(probabilities[2:], label[2:])
    return found


def test_what_is_called_and_right_at_each_back_off(curve):
    by_back_off = {row["back_off"]: row for row in curve.rows()}
    assert list(by_back_off) == list(TRIED)
    assert by_back_off[0.5] == {"back_off": 0.5, "called": 0.75, "accuracy": pytest.approx(2 / 3), "mean_level": 8 / 3}
    assert by_back_off[0.6] == {"back_off": 0.6, "called": 0.5, "accuracy": 1.0, "mean_level": 3.0}
    assert by_back_off[0.9]["called"] == 0.25
    assert by_back_off[0.98]["called"] == 0.25
    assert by_back_off[0.98]["mean_level"] == 1.0


@pytest.mark.parametrize(("accuracy", "back_off"), [(0.5, 0.5), (0.95, 0.55), (1.0, 0.55)])
def test_the_lowest_back_off_that_is_right_often_enough(curve, accuracy, back_off):
    assert curve.choose(accuracy) == back_off


def test_where_none_is_right_enough_the_best_is_taken(ontology):
    column = {ontology.nodes[leaf].id: place for place, leaf in enumerate(ontology.leaves)}
    leaves = np.zeros((3, len(column)))
    leaves[:, column["MAL"]], leaves[:, column["B"]] = [0.52, 0.7, 0.7], [0.48, 0.3, 0.3]
    found = BackOffCurve(ontology)
    found.update(leaves @ ontology.leaves_below.T, np.array([ontology.index_by_id[i] for i in ("B", "MAL", "NK")]))
    assert [row["accuracy"] for row in found.rows()[:3]] == pytest.approx([1 / 3, 1 / 2, 1 / 2])
    assert found.choose(0.99) == 0.55


def test_without_labelled_cells_calls_are_as_deep_as_can_be(ontology):
    assert BackOffCurve(ontology).rows() == []
    assert BackOffCurve(ontology).choose(0.95) == 0.5
