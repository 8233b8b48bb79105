"""Calls of cells by hand, and their names."""

import numpy as np
import pytest

from schema.calls import REASONS, CallRules
from scoring.cells import NO_CALL, call_cells, name_calls

RULES = CallRules(back_off=0.65, novelty=3.0)
FAMILIAR = np.zeros(4, dtype=np.float32)
EVEN = np.float64(1.0)


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
    calls = call_cells(probabilities, FAMILIAR, EVEN, ontology, RULES)
    at = ontology.index_by_id
    assert calls.cell_type.tolist() == [at["NEUT"], at["T_CD4"], at["MONO"], NO_CALL]
    assert calls.state.tolist() == [at["N_MAT"], NO_CALL, NO_CALL, NO_CALL]
    assert calls.confidence.tolist() == pytest.approx([0.7, 0.9, 0.6, 0.0])
    assert calls.neutrophil.tolist() == pytest.approx([0.7, 0.0, 0.4, 0.0])
    assert calls.denominator.tolist() == pytest.approx([1.0, 0.9, 1.0, 0.0])


def test_a_state_is_called_as_if_all_were_equally_common_and_a_type_is_not(probabilities, ontology):
    prior = np.full(len(ontology.leaves), 0.01)
    prior[[ontology.nodes[leaf].id == "N_MAT" for leaf in ontology.leaves]] = 0.04
    calls = call_cells(probabilities, FAMILIAR, prior, ontology, RULES)
    assert calls.state.tolist() == [ontology.index_by_id["N_ISG"], NO_CALL, NO_CALL, NO_CALL]  # 0.2/0.01 > 0.5/0.04
    assert calls.cell_type.tolist()[0] == ontology.index_by_id["NEUT"]
    assert calls.label.tolist()[0] == ontology.index_by_id["NEUT"]


def test_a_label_is_the_deepest_node_that_is_probable_enough(probabilities, ontology):
    calls = call_cells(probabilities, FAMILIAR, EVEN, ontology, RULES)
    at = ontology.index_by_id
    assert calls.label.tolist() == [at["NEUT"], at["T_CD4"], at["L1_MYE"], NO_CALL]
    assert calls.label_confidence.tolist() == pytest.approx([0.7, 0.9, 1.0, np.nan], nan_ok=True)
    assert [REASONS[code] for code in calls.reason] == ["", "", "", "low counts"]


def test_a_label_is_withheld_for_a_reason(ontology):
    place = {ontology.nodes[node].id: column for column, node in enumerate(ontology.leaves)}
    cells = np.zeros((4, len(place)), dtype=np.float32)
    cells[0, [place["MAC"], place["B"], place["MAL"]]] = [0.4, 0.3, 0.3]
    cells[1:3, place["AMBIENT"]] = 1.0
    cells[3, place["B"]] = 1.0
    calls = call_cells(cells, np.array([9.0, 9.0, 0.0, 3.5], dtype=np.float32), EVEN, ontology, RULES)
    reasons = ["out of distribution", "ambient", "ambient", "out of distribution"]
    assert [REASONS[code] for code in calls.reason] == reasons
    assert calls.label.tolist() == [NO_CALL, *[ontology.index_by_id["AMBIENT"]] * 2, NO_CALL]
    doublet = np.zeros((1, len(place)), dtype=np.float32)
    doublet[0, place["DBL_NEUT_MAL"]] = 1.0
    paired = call_cells(doublet, np.array([9.0], dtype=np.float32), EVEN, ontology, RULES)
    assert paired.label.tolist() == [ontology.index_by_id["DBL_NEUT_MAL"]]
    familiar = call_cells(cells[:1], FAMILIAR[:1], EVEN, ontology, RULES)
    assert [REASONS[code] for code in familiar.reason] == ["ambiguous"]
    named = name_calls(calls, ontology)
    assert named["predicted_label"].tolist() == ["unknown", *["ambient RNA droplet"] * 2, "unknown"]
    assert named["predicted_cell_type"].tolist()[3] == "B cell"


def test_names_are_categories_that_occur(probabilities, ontology):
    named = name_calls(call_cells(probabilities, FAMILIAR, EVEN, ontology, RULES), ontology)
    assert named["predicted_cell_type"].tolist() == ["neutrophil", "CD4 T cell", "monocyte", "low counts"]
    assert set(named["predicted_cell_type"].categories) == set(named["predicted_cell_type"])
    assert named["predicted_cell_type_ontology_term_id"].tolist()[3] == "unknown"
    assert named["predicted_neutrophil_state"].tolist()[1:] == ["", "", ""]
    states = name_calls(call_cells(probabilities[:1], FAMILIAR[:1], EVEN, ontology, RULES), ontology)[
        "predicted_neutrophil_state"
    ]
    assert len(states.categories) == 1


def test_names_of_no_cell(ontology):
    calls = call_cells(np.zeros((0, len(ontology.leaves)), dtype=np.float32), FAMILIAR[:0], EVEN, ontology, RULES)
    assert [len(values) for values in name_calls(calls, ontology).values()] == [0] * 7
