"""Calls of cells by hand, and their names."""

import numpy as np
import pytest

from scoring.cells import NO_CALL, CallsOfAll, call_cells, name_calls


@pytest.fixture
def probabilities(ontology):
    """float32 `[4, n_leaves]`: a neutrophil of two states, a T cell, a myeloid cell torn in two, and an empty cell."""
    column = {ontology.nodes[node].id: place for place, node in enumerate(ontology.leaves)}
    rows = [{"N_MAT": 0.5, "N_ISG": 0.2, "MONO": 0.3}, {"T_CD4": 0.9, "ERY": 0.1}, {"MONO": 0.6, "N_ANG": 0.4}, {}]
    filled = np.zeros((4, len(column)), dtype=np.float32)
    for row, of_leaf in zip(filled, rows, strict=True):
        for name, value in of_leaf.items():
            row[column[name]] = value
    return filled


def test_a_type_is_the_sum_of_its_leaves_and_a_state_is_called_within_it(probabilities, ontology):
    calls = call_cells(probabilities, ontology)
    at = ontology.index_by_id
    assert calls.cell_type.tolist() == [at["NEUT"], at["T_CD4"], at["MONO"], NO_CALL]
    assert calls.state.tolist() == [at["N_MAT"], NO_CALL, NO_CALL, NO_CALL]
    assert calls.confidence.tolist() == pytest.approx([0.7, 0.9, 0.6, 0.0])
    assert calls.neutrophil.tolist() == pytest.approx([0.7, 0.0, 0.4, 0.0])
    assert calls.denominator.tolist() == pytest.approx([1.0, 0.9, 1.0, 0.0])


def test_calls_of_all_cells_are_those_of_their_blocks(probabilities, ontology):
    whole = call_cells(probabilities, ontology)
    kept = CallsOfAll(4)
    for start, stop in ((0, 1), (1, 4)):
        kept.write(start, call_cells(probabilities[start:stop], ontology))
    for name in ("cell_type", "confidence", "state"):
        assert getattr(kept, name).tolist() == getattr(whole, name).tolist()


def test_names_are_categories_that_occur(probabilities, ontology):
    named = name_calls(call_cells(probabilities, ontology), ontology)
    assert named["predicted_cell_type"].tolist() == ["neutrophil", "CD4 T cell", "monocyte", "low counts"]
    assert set(named["predicted_cell_type"].categories) == set(named["predicted_cell_type"])
    assert named["predicted_cell_type_ontology_term_id"].tolist()[3] == "unknown"
    assert named["predicted_neutrophil_state"].tolist()[1:] == ["", "", ""]
    states = name_calls(call_cells(probabilities[:1], ontology), ontology)["predicted_neutrophil_state"]
    assert len(states.categories) == 1


def test_names_of_no_cell(ontology):
    named = name_calls(CallsOfAll(0), ontology)
    assert [len(values) for values in named.values()] == [0, 0, 0, 0]
