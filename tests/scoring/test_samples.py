from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from schema.predictions import ALL_CELLS, WITHOUT_NEUTROPHILS, read_samples, sample_columns, write_samples
from schema.preparation import Preparation
from scoring.burden import ESTIMATORS
from scoring.sample_facts import SampleFacts
from scoring.samples import RunFacts, assemble_samples
from tests.scoring.made_stages import made_evidence

RUN = RunFacts(
    genes_found_percent=75.0,
    training_has_neutrophils=True,
    n_reference_donors=5,
    by_orthologs=False,
    limit_percent=0.5,
)
OOD = np.array([3.5, np.nan])
COUNTED = np.array([980.0, 40.0])
STAGE = {
    ALL_CELLS: made_evidence(np.array([[0.9, 0.7, 0.4, 0.0, 0.0]] * 2), np.zeros((2, 31)))._replace(n_counted=COUNTED),
    WITHOUT_NEUTROPHILS: made_evidence(np.array([[0.8, 0.1, 0.0, 0.0, 0.0]] * 2), np.zeros((2, 31)))._replace(
        n_counted=COUNTED
    ),
}


@pytest.fixture
def parts(ontology):
    """Two samples: 1,000 cells of which 100 neutrophils; 40 cells."""
    expected = np.zeros((2, len(ontology.leaves)))
    leaves = [ontology.nodes[i].id for i in ontology.leaves]
    for name, cells in {"N_MAT": (80, 1), "N_ANG": (20, 0), "MAL": (880, 39), "AMBIENT": (20, 0)}.items():
        expected[:, leaves.index(name)] = cells
    facts = SampleFacts(
        n_cells=np.array([1200, 40]),
        n_low_counts=np.array([200, 0]),
        n_ambient=np.array([20, 0]),
        n_described=np.array([1000, 40]),
        median_library_size=np.array([2000.0, 900.0]),
        low_count_percent=np.array([8.0, 0.0]),
        min_genes=np.array([120, 300]),
        edge_genes=np.array([250, 400]),
        expected_cells=expected,
    )
    burden = pd.DataFrame(
        {
            "n_cells": [1000, 40],
            "n_denominator": [980.0, 40.0],
            "n_neutrophils": [100.0, 1.0],
            "burden_percent": [10.2, 2.5],
            "burden_low": [8.0, 0.1],
            "burden_high": [12.0, 9.0],
            "burden_corrected_percent": [10.2, 2.5],
            "burden_counted_percent": [11.0, 2.5],
            "burden_called_percent": [10.0, 2.5],
            "burden_em_percent": [12.5, 2.5],
            "burden_estimator": ["corrected", "corrected"],
        }
    )
    return facts, burden


@pytest.fixture
def table(parts, ontology, scale):
    return assemble_samples(["a", "b"], *parts, STAGE, OOD, ontology=ontology, scale=scale, run=RUN)


def test_columns_and_dtypes_are_the_contract(table, ontology, scale):
    columns = sample_columns(ontology, scale)
    assert table.columns.tolist() == [column.name for column in columns]
    assert [str(dtype) for dtype in table.dtypes] == [column.dtype for column in columns]


def test_an_assessable_sample_keeps_its_numbers(table):
    row = table.iloc[0]
    assert row["assessability"] == "assessable"
    # half of the interval is 2.0 points: 10.0 and 11.0 are within, 12.5 is not
    assert row["flags"] == "estimators disagree by more than the interval: em 12.5 %"
    assert (row["burden_name"], row["lod_percent"], row["detection"]) == ("NBS-1.0", 0.5, "detected")
    assert (row["burden_estimator"], row["burden_em_percent"]) == ("corrected", 12.5)
    assert (row["sort_gate"], row["suspension"]) == ("unsorted", "cell")
    assert (row["burden_percent"], row["burden_low"], row["burden_high"]) == (10.2, 8.0, 12.0)
    assert row["outside_denominator_percent"] == 2.0
    assert (row["fraction_NEUT"], row["fraction_MAL"]) == (0.1, 0.88)
    assert (row["state_N_MAT"], row["state_N_ANG"]) == (0.8, 0.2)
    assert row["genes_found_percent"] == 75.0
    assert row["ood_percent"] == 3.5


def test_a_sample_that_is_not_assessable_has_no_burden(table):
    row = table.iloc[1]
    assert row["assessability"] == "not_assessable"
    assert "only 40 countable cells" in row["flags"]
    assert row[["burden_percent", "burden_low", "burden_high"]].isna().all()
    assert row[[f"burden_{name}_percent" for name in ESTIMATORS]].isna().all()
    assert row["detection"] == ""
    assert row["n_neutrophils"] == 1.0
    assert np.isnan(row["state_N_MAT"])


def test_below_the_limit_of_detection_it_says_so(parts, ontology):
    run = replace(RUN, limit_percent=11.0)
    row = assemble_samples(["a", "b"], *parts, None, OOD, ontology=ontology, scale=None, run=run).iloc[0]
    assert row["detection"] == "< LOD"
    assert row["flags"].startswith("below the limit of detection of 11.0 %")
    assert row["assessability"] == "assessable"


def test_a_bundle_without_limit_says_nothing_of_detection(parts, ontology):
    run = replace(RUN, limit_percent=float("nan"))
    row = assemble_samples(["a", "b"], *parts, None, OOD, ontology=ontology, scale=None, run=run).iloc[0]
    assert (row["detection"], np.isnan(row["lod_percent"])) == ("", True)


def test_cd45_has_its_own_name(parts, ontology):
    prepared = Preparation(("CD45+", "EPCAM+"), ("cell", "nucleus"))
    table = assemble_samples(
        ["a", "b"], *parts, None, OOD, ontology=ontology, scale=None, run=RUN, preparation=prepared
    )
    assert table["burden_name"].tolist() == ["NBS-1.0/CD45", "NBS-1.0"]
    assert table["burden_denominator"].str.startswith("CD45+").tolist() == [True, False]
    assert table["burden_percent"].isna().tolist() == [False, True]
    assert "sorted by EPCAM+" in table["flags"].iloc[1]
    assert "nuclei" in table["flags"].iloc[1]


def test_stage_columns(table):
    row = table.iloc[0]
    assert row["predicted_tumor_stage"] == "early carcinoma"
    assert row["tumor_stage_expected"] == pytest.approx(2.0)
    assert row["predicted_tumor_stage_without_neutrophils"] == "hyperplasia"
    assert row["tumor_stage_expected_without_neutrophils"] == pytest.approx(0.9)
    assert row["tumor_stage_note"] == ""
    np.testing.assert_allclose(
        row[["p_stage_ge_M1", "p_stage_ge_M2", "p_stage_ge_M3", "p_stage_ge_M4"]].astype(float), [0.9, 0.7, 0.4, 0]
    )


def test_a_sample_without_stage_is_blank(table):
    row = table.iloc[1]
    assert row["predicted_tumor_stage"] == ""
    assert np.isnan(row["tumor_stage_expected"])
    assert row["tumor_stage_note"] == row["tumor_stage_note_without_neutrophils"] == "fewer than 100 cells"
    assert np.isnan(row["p_stage_ge_M1"])


def test_a_bundle_without_scale_has_no_stage_columns(parts, ontology):
    table = assemble_samples(["a", "b"], *parts, None, OOD, ontology=ontology, scale=None, run=RUN)
    assert table.columns.tolist() == [column.name for column in sample_columns(ontology, None)]
    assert table["predicted_tumor_stage"].tolist() == ["", ""]


def test_a_scale_without_probabilities_is_blank(parts, ontology, scale):
    table = assemble_samples(["a", "b"], *parts, None, OOD, ontology=ontology, scale=scale, run=RUN)
    assert table["p_stage_ge_M4"].isna().all()


def test_it_survives_the_disk(table, ontology, scale, tmp_path):
    write_samples(table, tmp_path / "samples.csv", sample_columns(ontology, scale))
    read = read_samples(tmp_path / "samples.csv")
    assert read["sample_id"].tolist() == ["a", "b"]
    assert read["burden_percent"].isna().tolist() == [False, True]


def test_the_callers_tables_stay_as_they_were(parts, ontology):
    before = parts[1].copy()
    assemble_samples(["a", "b"], *parts, None, OOD, ontology=ontology, scale=None, run=RUN)
    pd.testing.assert_frame_equal(parts[1], before)


def test_parts_of_different_length_are_refused(parts, ontology):
    with pytest.raises(ValueError, match="Expected 3 samples"):
        assemble_samples(["a", "b", "c"], *parts, None, OOD, ontology=ontology, scale=None, run=RUN)
