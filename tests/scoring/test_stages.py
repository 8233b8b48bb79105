import numpy as np
import pytest

from schema.predictions import ALL_CELLS, ATTENTION_SHARE, STAGE_CELL_COLUMNS, STAGE_TYPE_COLUMNS, WITHOUT_NEUTROPHILS
from scoring.stage_section import driver_rows, head_rows, note_rows, verdict_sentences
from scoring.stages import CellEvidence, stage_cells, stage_names, stage_notes, stage_probabilities, stage_types
from tests.scoring.made_stages import made_evidence

SAID = {ALL_CELLS: ["", "", ""], WITHOUT_NEUTROPHILS: ["", "", ""]}
NAMES = ["a", "b", "c"]


@pytest.fixture
def places(ontology):
    return {ontology.nodes[node].id: place for place, node in enumerate(ontology.nodes_at(2))}


@pytest.fixture
def evidence(places):
    log_odds = np.zeros((3, len(places)))
    for name, value in {"NEUT": 1.5, "MAC": 0.25, "B": -0.75, "NK": -2.0}.items():
        log_odds[0, places[name]] = value
    at_least = np.array([[1.0, 0.9, 0.2, 0.0, 0.0], [1.0, 0.5, 0.0, 0.0, 0.0], [0.2, 0.0, 0.0, 0.0, 0.0]])
    without = np.array([[1.0, 0.9, 0.8, 0.1, 0.0]] * 3)
    return {
        ALL_CELLS: made_evidence(at_least, log_odds)._replace(n_counted=np.array([500.0, 99.0, 100.0])),
        WITHOUT_NEUTROPHILS: made_evidence(without, 0 * log_odds)._replace(n_counted=np.array([500.0, 99.0, 20.0])),
    }


def test_a_sample_of_few_cells_says_so_and_nothing_else(evidence, scale):
    """The third sample has cells enough, but most of them are neutrophils."""
    notes = stage_notes(evidence, 3, 80.0)
    assert notes == {
        ALL_CELLS: ["", "fewer than 100 cells", ""],
        WITHOUT_NEUTROPHILS: ["", "fewer than 100 cells", "fewer than 100 cells"],
    }
    names = stage_names(evidence, scale, notes)
    assert names["predicted_tumor_stage"].tolist() == ["adenoma", "", "normal"]
    assert names["predicted_tumor_stage_without_neutrophils"].tolist() == ["early carcinoma", "", ""]
    np.testing.assert_allclose(names["tumor_stage_expected"], [2.1, np.nan, 0.2])
    np.testing.assert_allclose(names["tumor_stage_expected_without_neutrophils"], [2.8, np.nan, np.nan])
    steps = stage_probabilities(evidence, scale, notes)
    assert steps.loc[1].isna().all()
    assert steps.loc[0, "p_stage_ge_M2"] == 0.9


def test_nothing_is_said_where_the_data_do_not_support_it(evidence):
    reason = "not supported by the training data: depth alone does about as well"
    for output in evidence:
        refused = evidence | {output: evidence[output]._replace(refusal="depth alone does about as well")}
        notes = stage_notes(refused, 3, 80.0)
        assert notes[output] == [reason] * 3
        assert [reason in of for name, of in notes.items() if name != output] == [False]
    assert list(stage_notes(None, 1, 80.0).values()) == [["no stage was learnt"]] * 2
    few_genes = "fewer than 30 % of the genes were measured"
    assert list(stage_notes(evidence, 3, 29.0).values()) == [[few_genes] * 3] * 2


@pytest.mark.parametrize("refused", [ALL_CELLS, WITHOUT_NEUTROPHILS])
def test_one_output_may_be_said_while_the_other_is_refused(evidence, scale, ontology, refused):
    half = evidence | {refused: evidence[refused]._replace(refusal="no")}
    notes = stage_notes(half, 3, 80.0)
    names = stage_names(half, scale, notes)
    columns = {
        ALL_CELLS: ("predicted_tumor_stage", "adenoma"),
        WITHOUT_NEUTROPHILS: ("predicted_tumor_stage_without_neutrophils", "early carcinoma"),
    }
    for output, (column, said) in columns.items():
        assert names[column].iloc[0] == ("" if output == refused else said)
    assert stage_probabilities(half, scale, notes)["p_stage_ge_M1"].isna().all() == (refused == ALL_CELLS)
    assert set(stage_cells(half, NAMES, notes, ontology)["sees"]) == set(evidence) - {refused}


def test_types_that_say_something_are_listed_beside_their_share(evidence, ontology, places):
    fractions = np.full((3, len(places)), 0.125)
    notes = SAID | {ALL_CELLS: ["", "fewer than 100 cells", ""]}
    table = stage_types(evidence, NAMES, notes, fractions, ontology)
    assert table.columns.tolist() == [column.name for column in STAGE_TYPE_COLUMNS]
    assert set(zip(table["sample_id"], table["sees"], strict=True)) == {("a", "all")}
    assert dict(zip(table["cell_type_id"], table["weight"], strict=True)) == {
        "NEUT": 1.5,
        "MAC": 0.25,
        "B": -0.75,
        "NK": -2.0,
    }
    assert set(table["cell_share"]) == {0.125}
    assert set(table["kind"]) == {"log odds of a later stage"}
    assert stage_types(evidence, NAMES, SAID | {ALL_CELLS: ["few", "", ""]}, fractions, ontology).empty


def attended(evidence, places):
    """The evidence of a head with attention: two thirds of it on macrophages, and a cell of them with a tenth."""
    attention = np.zeros((3, len(places)))
    attention[0, [places["MAC"], places["B"]]] = 2 / 3, 1 / 3
    one = np.zeros(1, dtype=np.int64)
    cells = CellEvidence(ATTENTION_SHARE, one, one + 7, one + places["MAC"], np.array([0.1]), np.array([0.002]))
    return {ALL_CELLS: evidence[ALL_CELLS]._replace(attention=attention, cells=cells)}


def test_attention_stands_beside_the_log_odds_of_composition(evidence, ontology, places):
    found = attended(evidence, places)
    table = stage_types(found, NAMES, SAID, np.full((3, len(places)), 0.125), ontology)
    shares = table[table["kind"] == "share of attention"]
    assert dict(zip(shares["cell_type_id"], shares["weight"], strict=True)) == {"MAC": 2 / 3, "B": 1 / 3}
    assert (table["kind"] == "log odds of a later stage").sum() == 4
    (row,) = driver_rows(table, stage_cells(found, NAMES, SAID, ontology), ["a"])
    assert row["attention"] == ["macrophage 66.7 % (12.5 %)", "B cell 33.3 % (12.5 %)"]
    assert row["later"] == ["neutrophil +1.50 (12.5 %)", "macrophage +0.25 (12.5 %)"]
    assert row["cells"] == ["row 7, macrophage: 10.0 % (mean 0.20 %)"]


def test_cells_of_most_weight_are_ranked_within_their_sample(evidence, ontology, places):
    sample, row = np.array([0, 0, 2]), np.array([40, 11, 90])
    kind = np.array([places["MAC"], places["B"], places["MAC"]])
    cells = CellEvidence("log odds of a later stage", sample, row, kind, np.array([-0.5, 0.25, 0.1]), np.zeros(3))
    found = {ALL_CELLS: evidence[ALL_CELLS]._replace(cells=cells)}
    table = stage_cells(found, NAMES, SAID, ontology)
    assert table.columns.tolist() == [column.name for column in STAGE_CELL_COLUMNS]
    assert table["sample_id"].tolist() == ["a", "a", "c"]
    assert table["rank"].tolist() == [1, 2, 1]
    assert table["row"].tolist() == [40, 11, 90]
    assert table["cell_type_id"].tolist() == ["MAC", "B", "MAC"]
    assert table["weight"].tolist() == [-0.5, 0.25, 0.1]
    assert stage_cells(found, NAMES, SAID | {ALL_CELLS: ["few", "", ""]}, ontology)["row"].tolist() == [90]


def test_the_report_names_what_speaks_most_for_either_side(evidence, ontology, places):
    table = stage_types(evidence, NAMES, SAID, np.full((3, len(places)), 0.125), ontology)
    cells = stage_cells(evidence, NAMES, SAID, ontology).assign(cell_id="AACT-1")
    (row,) = driver_rows(table, cells, ["x", "a"])
    assert (row["name"], row["sees"], row["attention"]) == ("a", "all", [])
    assert row["later"] == ["neutrophil +1.50 (12.5 %)", "macrophage +0.25 (12.5 %)"]
    assert row["earlier"] == ["natural killer cell -2.00 (12.5 %)", "B cell -0.75 (12.5 %)"]
    first_type = ontology.nodes[ontology.nodes_at(2)[0]].name
    assert row["cells"] == [f"row 0, {first_type}: +0.25 (mean +0.01)"]
    assert driver_rows(None, None, ["a"]) == []


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


def test_the_report_says_how_each_output_was_judged():
    about = {"kappa": 0.9, "p_value": 0.002, "probe": "depth", "probe_kappa": 0.25, "probe_p": 0.0005}
    said, refused = verdict_sentences(
        {"all": about | {"reason": ""}, "without neutrophils": about | {"probe": "", "reason": "too few"}}
    )
    assert said == (
        "All: a stage is said. Kappa 0.90, against chance p = 0.002; "
        "depth alone: kappa 0.25, p of the lead over it = 0.0005."
    )
    assert refused == "Without neutrophils: no stage is said: too few. Kappa 0.90, against chance p = 0.002."


def test_notes_are_gathered_by_output(make_samples):
    samples = make_samples(["a", "b", "c"])
    samples["tumor_stage_note"] = ["", "few", "few"]
    samples["tumor_stage_note_without_neutrophils"] = ["no", "few", "no"]
    assert note_rows(samples) == [
        ("all", "few", ["b", "c"]),
        ("without neutrophils", "no", ["a", "c"]),
        ("without neutrophils", "few", ["b"]),
    ]
