import numpy as np
import pandas as pd
import pytest

from benchmarks.calls import node_probabilities
from benchmarks.markdown import number, table, with_interval
from benchmarks.real import Results, page, plain
from benchmarks.real_human import human_calls, require_not_assessable
from benchmarks.real_mice import TRAINING_SETS, call_frame
from benchmarks.real_page import breast_table, confusion_page, human_table, macro_table, state_counts
from benchmarks.real_scores import breast_rows, human_blocks, mouse_blocks
from benchmarks.scores import ClassScore


@pytest.fixture
def mouse_calls(ontology):
    obs = pd.DataFrame(
        {
            "cell_type": ["ZN1", "ZN4", "B", "ZT"],
            "sample_id": ["a", "b", "a", "b"],
            "donor_id": ["zilionis_mouse_h_1", "zilionis_mouse_t_1"] * 2,
        },
        index=["c0", "c1", "c2", "c3"],
    )
    of_nodes = node_probabilities(["ZN1", "ZN4", "B", "ZT"], np.eye(4)[[0, 0, 2, 3]], ontology)
    return call_frame(obs, of_nodes, ontology).assign(method="network", training_set="two mice", seed=0)


def test_the_mouse_tables_show_what_was_called(mouse_calls, ontology):
    blocks = mouse_blocks(mouse_calls, ontology)
    assert [(b.question, b.scores[-1].f1) for b in blocks] == [("type", 1.0), ("state", pytest.approx(1 / 3))]
    cost = {"fit_seconds": 2.0, "predict_seconds": 1.0, "fit_peak_mib": 300.0, "predict_peak_mib": 200.0}
    costs = pd.DataFrame([{"training_set": "two mice", "method": "network", **cost}])
    assert "| two mice | network | 1.000 (1.00-1.00) |" in macro_table(blocks, costs)
    assert macro_table(blocks, costs).endswith("| 2.0 | 1.0 | 300 |")
    assert "| N4 | 1 | 0 | 0 | 0 | 0 | 0 | 0 |" in confusion_page(mouse_calls, "two mice", "network", ontology)
    assert "| h_1 | 1 | 0 | 0 | 0 | 0 | 0 | 2 |" in state_counts(mouse_calls, ontology)


@pytest.fixture
def breast_calls(ontology):
    labels = ["EC_VEN", "EC_VEN", "MAL", "L1_MYE"]
    obs = pd.DataFrame({"cell_type": labels, "study": "wu2021", "donor_id": "p"}, index=list("abcd"))
    of_nodes = node_probabilities(["ENDO_V", "NEUT"], np.array([[1, 0], [0, 1], [0, 1], [0, 1]], dtype=float), ontology)
    return human_calls(obs, of_nodes, ontology).assign(method="network", orthologs="rule", seed=0)


def test_human_calls_stand_at_three_strictnesses(breast_calls, nodes):
    wanted = breast_calls[["truth_type", "truth_lineage", "type_call", "credited_call", "lineage_call"]].to_numpy()
    vessel, endothelial, neutrophil, myeloid = nodes("ENDO_V", "L1_ENDO", "NEUT", "L1_MYE")
    assert wanted[0].tolist() == [vessel, endothelial, vessel, vessel, endothelial]
    assert wanted[3].tolist() == [-1, myeloid, neutrophil, myeloid, myeloid]


def test_the_breast_table_shows_verdict_and_recall(breast_calls, ontology):
    samples = pd.DataFrame({"study": ["wu2021"], "orthologs": ["rule"], "assessability": ["not_assessable"]})
    rows = breast_rows(breast_calls, samples, ontology)
    shown = {name: rows[0][name] for name in ("neutrophil", "endothelial", "epithelial", "myeloid")}
    assert shown == {"neutrophil": 75.0, "endothelial": 50.0, "epithelial": 0.0, "myeloid": 100.0}
    assert "| rule | network | not assessable | 75.0 | 0.0 | 50.0 | - | 100.0 | - |" in breast_table(rows)


def test_the_human_table_has_a_line_per_method(breast_calls, ontology, nodes):
    calls = breast_calls.assign(study="zilionis_human")
    calls.loc[3, ["truth", "truth_type"]] = nodes("NEUT") * 2
    samples = pd.DataFrame({"study": ["zilionis_human"], "orthologs": ["rule"], "genes_found_percent": [61.25]})
    assert "| rule | network | 61.2 |" in human_table(human_blocks(calls, ontology), samples)


@pytest.mark.parametrize(
    ("verdict", "burden"), [("assessable", np.nan), ("not_assessable", 0.0), ("low_confidence", 3.0)]
)
def test_a_burden_where_there_are_no_neutrophils_fails_the_benchmark(verdict, burden):
    samples = pd.DataFrame({"sample_id": ["s"], "assessability": [verdict], "burden_percent": [burden]})
    with pytest.raises(RuntimeError, match="not_assessable"):
        require_not_assessable(samples)


def test_a_blank_burden_that_is_not_assessable_passes():
    samples = pd.DataFrame({"assessability": ["not_assessable"], "burden_percent": [np.nan]})
    require_not_assessable(samples)


def test_markdown():
    assert table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"
    assert number(float("nan")) == "-"
    assert with_interval(ClassScore("a", 3, 0.5, 0.25, float("nan"))) == "0.500 (0.25--)"


def test_the_page_fills_every_place_and_can_be_written_again(mouse_calls, breast_calls, ontology, tmp_path):
    settings = [(s.name, m) for s in TRAINING_SETS for m in ("network", "pca_logistic")]
    mice = pd.concat([mouse_calls.assign(training_set=name, method=method) for name, method in settings])
    cost = {"fit_seconds": 2.0, "predict_seconds": 1.0, "fit_peak_mib": 300.0, "predict_peak_mib": 200.0}
    costs = pd.DataFrame([{"training_set": name, "method": method, **cost} for name, method in settings])
    lung = breast_calls.assign(study="zilionis_human", truth_type=breast_calls["type_call"])
    samples = pd.DataFrame({"study": ["wu2021", "zilionis_human"], "orthologs": "rule", "seed": 0})
    samples["assessability"], samples["flags"], samples["genes_found_percent"] = "not_assessable", "too few", 60.0
    origin = {"date": "2026-01-01", "commit": "abc", "hardware": "2 CPU cores"}
    Results(mice, costs, pd.concat([breast_calls, lung]), samples, origin).save(tmp_path)
    text = page(Results.load(tmp_path), ontology)
    assert "2026-01-01, commit abc" in text
    assert "by the symbol rule: too few." in text
    assert "{" not in text
    assert plain(Results.load(tmp_path), ontology)["mouse"][0]["f1"] == 1.0
