import numpy as np
import pandas as pd
import pytest

from schema.confusion import Confusion
from schema.predictions import companion_columns, write_companions
from scoring.companion_section import companion_rows
from scoring.companions import CompanionEvidence, assemble_companions, learnt_nodes
from scoring.programmes import load_programmes
from scoring.state_shares import StateReading

LEAVES = ("N_ANG", "N_MAT", "N_LQ", "MAL", "B", "EC_TIP", "EC_CAP", "DBL_NEUT_MAL", "DBL_OTHER")


@pytest.fixture
def table_of(ontology):
    """Return a function that makes companions of one sample from expected cells of leaves by id."""

    def make(cells, *, assessability="assessable", learnt=LEAVES, score=0.64, n_called=50, confusion=None):
        place = {ontology.nodes[leaf].id: i for i, leaf in enumerate(ontology.leaves)}
        expected = np.zeros((1, len(place)))
        for name, n in cells.items():
            expected[0, place[name]] = n
        n_neutrophils = expected[0, ontology.below("NEUT")].sum()
        samples = pd.DataFrame(
            {
                "sample_id": ["s"],
                "n_neutrophils": [n_neutrophils],
                "n_denominator": [1000.0],
                "burden_percent": [n_neutrophils / 10 if assessability != "not_assessable" else np.nan],
                "assessability": [assessability],
            }
        )
        scores = pd.DataFrame([[score] * 7], columns=[p.id for p in load_programmes()])
        evidence = CompanionEvidence(
            expected_cells=expected,
            n_called_neutrophils=np.array([n_called]),
            scores=scores,
            learnt=learnt_nodes(learnt, ontology),
            reading=StateReading(confusion or Confusion.empty(len(ontology.neutrophil_states))),
        )
        return assemble_companions(samples, evidence, ontology)

    return make


CELLS = {"N_ANG": 30, "N_INF": 15, "N_MAT": 45, "N_IMM": 30, "N_LQ": 40, "B": 79.5, "EC_TIP": 12, "EC_CAP": 48}


def test_the_pro_tumour_share_leaves_out_cells_of_low_quality_and_takes_no_ambiguous_ones(table_of):
    row = table_of(CELLS).iloc[0]
    assert row["pro_tumor_percent"] == pytest.approx(100 * 45 / 120)
    assert row["pro_tumor_low"] < 37.5 < row["pro_tumor_high"]
    assert row["weighted_burden_percent"] == pytest.approx(16 * 0.375)


def test_shares_of_states_are_of_all_neutrophils_and_stand_in_their_intervals(table_of, ontology):
    row = table_of(CELLS).iloc[0]
    assert row["state_N_LQ"] == pytest.approx(0.25)
    names = [c.name for c in companion_columns(ontology) if c.name.startswith("state_") and c.name.count("_") == 2]
    assert sum(row[name] for name in names) == pytest.approx(1)
    assert all(row[f"{name}_low"] <= row[name] <= row[f"{name}_high"] for name in names)


def test_what_donors_mistake_widens_and_moves_the_interval(table_of, ontology):
    """Of mature cells a third is read as angiogenic: of 30 angiogenic and 60 mature read, none and 90 are likeliest."""
    names = [ontology.nodes[i].id for i in ontology.neutrophil_states]
    confusion = Confusion.empty(len(names))
    said = np.tile(np.eye(len(names), dtype=np.float32), (4, confusion.cells.shape[1], 1, 1))
    said[:, :, names.index("N_MAT"), [names.index("N_MAT"), names.index("N_ANG")]] = np.array([2 / 3, 1 / 3])
    confusion = Confusion(np.arange(4), np.full(said.shape[:3], 1000), said)
    cells = {"N_ANG": 30, "N_MAT": 60}
    plain, read = table_of(cells).iloc[0], table_of(cells, confusion=confusion).iloc[0]
    assert plain["pro_tumor_low"] > 20
    assert read["pro_tumor_low"] == read["state_N_ANG_low"] == 0
    assert read["state_N_MAT_high"] > plain["state_N_MAT_high"] + 0.1
    assert read["state_N_ANG"] == plain["state_N_ANG"] == pytest.approx(1 / 3)


def test_neutrophils_per_lymphocyte(table_of):
    row = table_of(CELLS).iloc[0]
    assert row["neutrophil_lymphocyte_ratio"] == pytest.approx(160.5 / 80)
    assert row["neutrophil_lymphocyte_low"] < 2 < row["neutrophil_lymphocyte_high"]


def test_the_niche_is_the_geometric_mean_of_its_parts(table_of):
    row = table_of(CELLS).iloc[0]
    assert (row["endothelial_percent"], row["tip_percent"]) == (pytest.approx(6), pytest.approx(20))
    assert row["niche_index"] == pytest.approx((0.06 * 0.2 * 0.64) ** 0.5)


@pytest.mark.parametrize(
    ("cells", "blank", "reason"),
    [
        ({"N_ANG": 29.9}, ["pro_tumor_percent", "state_N_ANG"], "states: fewer than 30"),
        ({"N_ANG": 20, "N_LQ": 40}, ["pro_tumor_percent", "weighted_burden_percent"], "states: fewer than 30"),
        ({"N_ANG": 20, "B": 9}, ["neutrophil_lymphocyte_ratio", "neutrophil_lymphocyte_high"], "ratio: fewer than 30"),
        ({"EC_TIP": 29}, ["tip_percent", "tip_low", "niche_index"], "niche: fewer than 30"),
        ({"DBL_OTHER": 19}, ["doublet_log2_ratio"], "doublets: fewer than 20"),
    ],
)
def test_too_few_cells_leave_a_blank_and_say_so(table_of, cells, blank, reason):
    row = table_of(cells).iloc[0]
    assert row[blank].isna().all()
    assert reason in row["companion_notes"]


@pytest.mark.parametrize(
    ("learnt", "blank", "reason"),
    [
        (("NEUT", "B"), "pro_tumor_percent", "no neutrophil state was labelled"),
        (("N_ANG", "ENDO_V"), "tip_percent", "no tip cell was labelled"),
        (("N_ANG",), "n_neutrophil_malignant", "knows no neutrophil x malignant droplets"),
    ],
)
def test_what_the_bundle_has_not_learnt_is_not_said(table_of, learnt, blank, reason):
    row = table_of(CELLS | {"DBL_OTHER": 50}, learnt=learnt).iloc[0]
    assert np.isnan(row[blank])
    assert reason in row["companion_notes"]


def test_a_sample_that_is_not_assessable_has_no_companions(table_of):
    row = table_of(CELLS, assessability="not_assessable").iloc[0]
    kept = {"sample_id", "n_neutrophils", "n_called_neutrophils", "companion_notes"}
    assert row.drop(kept).isna().all()
    assert row["companion_notes"] == "burden not assessable"


def test_a_label_below_a_node_teaches_the_node(ontology):
    assert learnt_nodes(["N_ANG"], ontology) == {"N_ANG", "NEUT", "L1_MYE"}


def test_the_file_has_the_contracts_columns(table_of, ontology, tmp_path):
    write_companions(table_of(CELLS), tmp_path / "c.csv", companion_columns(ontology))
    assert (tmp_path / "c.csv").read_text().startswith("sample_id,n_neutrophils,n_called_neutrophils,pro_tumor_percent")


def test_rows_of_the_report(table_of):
    table = table_of(CELLS | {"MAL": 400, "DBL_NEUT_MAL": 30, "DBL_OTHER": 30})
    (row,) = companion_rows(table, pd.DataFrame({"sample_id": ["other", "s"]}))
    assert row["pro_tumor"] == "37.5 (28.2–45.9)"
    assert row["niche"] == "0.09"
    assert (row["doublets"], row["doublet_ratio"]) == ("30.0 / 23.2", "+0.37 (-0.41 to +1.15)")
    assert companion_rows(None, table) == []
