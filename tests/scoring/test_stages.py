import numpy as np
import pytest

from schema.predictions import STAGE_TYPE_COLUMNS
from scoring.stage_section import driver_rows, head_rows
from scoring.stages import StageEvidence, stage_names, stage_notes, stage_probabilities, stage_types


@pytest.fixture
def evidence(ontology):
    pull = np.zeros((3, len(ontology.nodes_at(2))))
    places = {ontology.nodes[node].id: place for place, node in enumerate(ontology.nodes_at(2))}
    for name, value in {"NEUT": 1.5, "MAC": 0.25, "B": -0.75, "NK": -2.0}.items():
        pull[0, places[name]] = value
    return StageEvidence(
        at_least=np.array([[1.0, 0.9, 0.2, 0.0, 0.0], [1.0, 0.5, 0.0, 0.0, 0.0], [0.2, 0.0, 0.0, 0.0, 0.0]]),
        at_least_without=np.array([[1.0, 0.9, 0.8, 0.1, 0.0]] * 3),
        pull=pull,
        n_counted=np.array([500.0, 99.0, 100.0]),
        by_attention=False,
        refusal="",
    )


def test_a_sample_of_few_cells_says_so_and_nothing_else(evidence, scale):
    notes = stage_notes(evidence, 3, 80.0)
    assert notes == ["", "fewer than 100 cells", ""]
    names = stage_names(evidence, scale, notes)
    assert names["predicted_tumor_stage"].tolist() == ["adenoma", "", "normal"]
    assert names["predicted_tumor_stage_without_neutrophils"].tolist() == ["early carcinoma", "", "early carcinoma"]
    np.testing.assert_allclose(names["tumor_stage_expected"], [2.1, np.nan, 0.2])
    steps = stage_probabilities(evidence, scale, notes)
    assert steps.loc[1].isna().all()
    assert steps.loc[0, "p_stage_ge_M2"] == 0.9


def test_nothing_is_said_where_the_data_do_not_support_it(evidence, scale):
    refused = evidence._replace(refusal="depth alone does as well")
    assert stage_notes(refused, 2, 80.0) == ["not supported by the training data: depth alone does as well"] * 2
    assert stage_notes(None, 1, 80.0) == ["no stage was learnt"]
    assert stage_notes(evidence, 3, 29.0) == ["fewer than 30 % of the genes were measured"] * 3
    names = stage_names(refused, scale, stage_notes(refused, 3, 80.0))
    assert names["predicted_tumor_stage"].tolist() == ["", "", ""]
    assert names["tumor_stage_expected"].isna().all()


def test_types_that_say_something_are_listed_beside_their_share(evidence, ontology):
    fractions = np.full((3, len(ontology.nodes_at(2))), 0.125)
    table = stage_types(evidence, ["a", "b", "c"], ["", "fewer than 100 cells", ""], fractions, ontology)
    assert table.columns.tolist() == [column.name for column in STAGE_TYPE_COLUMNS]
    assert set(table["sample_id"]) == {"a"}
    assert dict(zip(table["cell_type_id"], table["weight"], strict=True)) == {
        "NEUT": 1.5,
        "MAC": 0.25,
        "B": -0.75,
        "NK": -2.0,
    }
    assert set(table["cell_share"]) == {0.125}
    assert set(table["kind"]) == {"log odds of a later stage"}
    shares = stage_types(evidence._replace(by_attention=True), ["a", "b", "c"], ["", "", ""], fractions, ontology)
    assert set(shares["kind"]) == {"share of attention"}


def test_the_report_names_what_speaks_most_for_either_side(evidence, ontology):
    table = stage_types(evidence, ["a"], [""], np.full((1, len(ontology.nodes_at(2))), 0.125), ontology)
    (row,) = driver_rows(table, ["x", "a"])
    assert row["name"] == "a"
    assert row["later"] == "neutrophil +1.50 (12.5 %), macrophage +0.25 (12.5 %)"
    assert row["earlier"] == "natural killer cell -2.00 (12.5 %), B cell -0.75 (12.5 %)"
    assert driver_rows(None, ["a"]) == []


def test_heads_and_probes_stand_in_one_table():
    score = {"quadratic_kappa": 0.5, "mae": 1.25, "rps": 0.4}
    rows = head_rows(
        {
            "stage": [
                {"output": "all", "head": "looks", "chosen": True, **score},
                {"output": "probe", "head": "depth", "chosen": False, **score},
            ]
        }
    )
    assert rows[0] == {"output": "all", "head": "looks (chosen)", "kappa": "0.50", "mae": "1.25", "rps": "0.400"}
    assert (rows[1]["output"], rows[1]["head"]) == ("nothing of biology", "depth")
    assert head_rows({}) == []
