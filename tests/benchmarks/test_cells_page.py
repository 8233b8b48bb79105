import numpy as np
import pandas as pd
import pytest

from benchmarks.cells import parse, results
from benchmarks.cells_cohort import CohortConfig
from benchmarks.cells_macro import Macro
from benchmarks.cells_methods import Answer
from benchmarks.cells_page import page, part_table, stranger_table, target_table
from benchmarks.cells_run import Found
from benchmarks.cells_scores import area_under_curve, by_library_size, calibration_error, ontology_aware, strict
from benchmarks.cells_settings import DONORS, PARTS, SETTINGS, UNKNOWN, Plan
from benchmarks.cells_targets import beats_floor, calibration, speed, states_gain, strangeness
from schema.labels import CellOntology

TREE = CellOntology.load()
MAC, NEUT, STATE, MYELOID = (TREE.index_by_id[name] for name in ("MAC", "NEUT", "N_MAT", "L1_MYE"))
COST = {"fit_seconds": 2.0, "fit_peak_mib": 300.0, "predict_seconds": 1.0, "predict_peak_mib": 200.0}


def table(right=True, n=12):
    """Macrophages and mature neutrophils of two donors; wrong ones are called macrophages."""
    rows = [
        {
            **{"cell_id": f"{donor}{kind}{i}", "group": donor, "stratum": "s", "library_size": size, "seed": 0},
            **{"state": kind if kind == MAC else STATE, "type": kind, "label": kind, "is_answerable": True},
            **{"type_call": (call := kind if right else MAC), "credited_call": call},
            **{"state_call": STATE if call == NEUT else -1, "confidence": 0.75, "strangeness": 0.25},
        }
        for donor in "ab"
        for kind, size in ((MAC, 2_000.0), (NEUT, 300.0))
        for i in range(n)
    ]
    return pd.DataFrame(rows)


def test_cells_without_a_right_answer_do_not_count():
    cells = table()
    cells.loc[0, ["is_answerable", "type_call", "credited_call"]] = [False, NEUT, NEUT]
    assert (strict(cells).value, strict(cells).n_cells) == (1.0, 47)


def test_a_broad_label_counts_in_the_ontology_aware_score_only():
    cells = table()
    cells.loc[:3, ["type", "label", "credited_call"]] = [-1, MYELOID, MYELOID]
    assert (strict(cells).n_cells, ontology_aware(cells).n_cells) == (44, 48)
    assert ontology_aware(cells).value == 1.0
    cells.loc[:3, "credited_call"] = MAC
    assert ontology_aware(cells).value < 0.7


def test_bins_hold_the_types_that_have_enough_cells():
    found = by_library_size(table())
    assert {name: (score["n_types"], score["n_cells"]) for name, score in found.items()} == {
        "250-500": (1, 24),
        ">1k": (1, 24),
    }
    assert by_library_size(table(n=4)) == {}


def test_the_calibration_error_is_the_gap_of_confidence_and_accuracy():
    assert calibration_error(table())["value"] == pytest.approx(0.25)
    assert calibration_error(table(right=False))["value"] == pytest.approx(0.25)


def test_the_area_under_the_curve():
    positive = np.array([True, True, False, False])
    assert area_under_curve(positive, np.array([0.9, 0.4, 0.6, 0.1])) == 0.75


def macro(value, draws):
    return Macro(value, np.array(draws), 10)


def test_the_network_must_lead_the_best_floor_by_standard_errors():
    floors = {"logistic": macro(0.5, [0.5, 0.5]), "mlp": macro(0.25, [0.25, 0.25])}
    close = beats_floor("donors", "types", floors | {"network": macro(0.51, [0.41, 0.61])}, 2)
    assert (close.is_met, close.wanted) == (False, "best floor + 2 SE at least")
    assert close.got == "0.510 against 0.500 (logistic): +0.010, SE 0.141"
    assert beats_floor("donors", "types", floors | {"network": macro(0.9, [0.89, 0.91])}, 2).is_met
    behind = floors | {"network": macro(0.45, [0.40, 0.50])}
    assert beats_floor("mice", "types", behind, -1).is_met
    assert beats_floor("mice", "types", floors | {"network": macro(0.4, [0.39, 0.41])}, -1).is_met is False
    assert beats_floor("mice", "types", floors, -1).is_met is None


def test_states_calibration_and_strangers():
    ours = macro(0.6, [0.6, 0.6])
    assert states_gain("donors", {"network": ours, "logistic": macro(0.5, [0.4, 0.6])}).got == "+0.100, SE 0.141"
    assert states_gain("donors", {"network": ours, "logistic": macro(0.5, [0.4, 0.6])}).is_met
    assert states_gain("donors", {"network": ours, "logistic": macro(0.56, [0.5, 0.6])}).is_met is False
    assert states_gain("donors", {"network": ours}).is_met is None
    assert calibration("donors", table()).is_met is False
    assert calibration("donors", None).is_met is None
    rows = [{"method": "network", "auroc": value} for value in (0.8, 0.98)] + [{"method": "mlp", "auroc": 1.0}]
    assert strangeness(rows).got == "0.890 over 2 types, lowest 0.800"
    assert strangeness(rows).is_met is False


def timed(method, n_cells, rate, peak):
    row = {"method": method, "n_cells": n_cells, "cells_per_second": rate, "peak_mib": peak, "seconds": n_cells / rate}
    return row | {"seconds_low": 1.0, "seconds_high": 9.0, "n_rounds": 1}


def test_speed_is_judged_by_file_and_memory_over_files():
    rows = [timed("network", 10, 5.0, 100.0), timed("celltypist", 10, 10.0, 50.0)]
    rows += [timed("network", 100, 20.0, 109.0), timed("celltypist", 100, 10.0, 500.0)]
    assert [(t.got, t.is_met) for t in speed(rows)] == [
        ("0.50", False),
        ("2.00", True),
        ("9% from the smallest file to the largest", True),
    ]
    assert [t.is_met for t in speed(rows[:1])] == [None]


@pytest.fixture
def content(tmp_path):
    plan = Plan(work=tmp_path, data=tmp_path, seeds=range(1), cohort=CohortConfig())
    found = Found()
    for part in PARTS:
        setting = SETTINGS[part](plan)[0]
        for method in ("network", "logistic"):
            facts = {"method": method, "commit": "abc", "date": "2026-01-01", "strangeness": "ood_score", **COST}
            cells = table(right=method == "network").drop(columns="seed")
            if part == UNKNOWN:
                cells["is_answerable"] = cells["type"] != NEUT
                cells.loc[cells["type"] == NEUT, "strangeness"] = 0.5
            found.add(setting, method, Answer(cells, facts))
    found.not_run[DONORS, "scanvi"] = "not yet"
    speeds = [timed("network", 10, 5.0, 100.0), timed("celltypist", 10, 10.0, 50.0)]
    words = {"command": "make bench-cells", "date": "2026-01-01", "commit": "abc", "hardware": "2 cores"}
    sizes = {"seeds": [0], "cohort": {"n_mice": 4}, "versions": {"celltypist": "1.7.1"}, "quick": False}
    return words | sizes | results(plan, found, speeds)


def test_the_page_fills_every_place(content):
    text = page(content)
    assert "{" not in text
    assert "quick run" not in text
    assert "quick run" in page(content | {"quick": True})
    assert "celltypist 1.7.1" in text
    assert "| donors: types, strict | best floor + 2 SE at least | 1.000 against 0.333 (logistic): +0.667" in text


def test_tables_say_what_was_not_run(content):
    text = part_table(content, DONORS)
    assert "| ours | 1 | 1.000 (1.00-1.00) | 1.000 (1.00-1.00) | 1.000 (1.00-1.00) | 0.250 (0.250-0.250) |" in text
    assert "| scANVI | not run: not yet |" in text


def test_a_method_that_ran_in_part_stands_in_one_row(content):
    lacking = [{"part": DONORS, "method": "network", "why": "not yet"}]
    text = part_table(content | {"not_run": lacking}, DONORS)
    assert [line.split("|")[2].strip() for line in text.splitlines() if "| ours" in line] == ["1, not all"]


def test_strangers_are_told_apart(content):
    text = stranger_table(content)
    assert "| neutrophil (24) | 1.000 | 1.000 |" in text
    assert "| mean | 1.000 | 1.000 |" in text


def test_a_page_can_be_written_before_anything_was_run(tmp_path, content):
    plan = Plan(work=tmp_path, data=tmp_path, seeds=range(1), cohort=CohortConfig())
    text = page(content | {"strangers": [], "rows": [], "cases": {}, "speed": []} | results(plan, Found(), []))
    assert "not measured" in text
    assert "Not run yet." in text


def test_the_command_line_reads():
    options = parse(["--data", "x", "--output", "y", "--parts", "donors", "speed"])
    assert options.parts == ["donors", "speed"]
    assert parse(["--data", "x", "--output", "y"]).parts[-1] == "speed"


def test_what_the_network_did_not_run_whole_has_no_verdict():
    targets = [
        {"name": "mice: states", "wanted": "much", "got": "0.9", "is_met": True},
        {"name": "human: states", "wanted": "much", "got": "0.1", "is_met": False},
        {"name": "mice: types", "wanted": "much", "got": "not measured", "is_met": None},
    ]
    lines = target_table(targets, [{"part": "mice", "method": "network", "why": "not yet"}]).splitlines()[2:]
    assert [line.split("|")[4].strip() for line in lines] == ["run in part: no verdict", "**not met**", "-"]
