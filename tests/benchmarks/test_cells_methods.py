import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmarks import cells_speed
from benchmarks.cells_answers import Said
from benchmarks.cells_cohort import CohortConfig
from benchmarks.cells_methods import Methods, obs_of, remove_models
from benchmarks.cells_run import Found, answer_all, claim, forget
from benchmarks.cells_settings import DONORS, SETTINGS, Plan
from benchmarks.cells_speed import measure_speed
from benchmarks.measure import Measured
from benchmarks.runs import Cost
from schema.labels import CellOntology

NEUT = CellOntology.load().index_by_id["NEUT"]


class Recorded(Methods):
    """Calls every cell a neutrophil, and notes that it was asked; the peers fail."""

    def __init__(self, work):
        super().__init__(work, work)
        self.asked = []

    def _said(self, setting, method, place, ontology):  # noqa: ARG002 - as its parent
        self.asked.append((method, setting.seed))
        if method == "scanvi":
            raise RuntimeError("scvi-tools could\nnot be installed")
        cost = Cost(fit_seconds=1.0, predict_seconds=2.0, fit_peak_mib=3.0, predict_peak_mib=4.0)
        return Said(np.full(2, NEUT), np.full(2, -1), np.full(2, 0.5), np.full(2, 0.5)), cost, "1 - confidence"


@pytest.fixture
def plan(tmp_path):
    plan = Plan(work=tmp_path, data=tmp_path, seeds=range(1), cohort=CohortConfig())
    cohort = plan.cohort_of(0)
    cohort.folder.mkdir()
    obs = pd.DataFrame({"cell_type": ["N_MAT", "MAC"], "donor_id": "d", "study": "s"}, index=["a", "b"])
    counts = sparse.csr_matrix(np.array([[1, 2], [0, 5]], dtype=np.float32))
    for path in (cohort.training, cohort.held_out, cohort.first_study, cohort.second_study):
        ad.AnnData(counts, obs=obs).write_h5ad(path)
    return plan


def test_the_library_size_is_of_all_genes(plan):
    assert obs_of(plan.cohort_of(0).held_out)["library_size"].tolist() == [3.0, 5.0]


def test_what_was_answered_is_kept_and_not_run_again(plan):
    first, found = Recorded(plan.work), Found()
    answer_all(plan, first, [DONORS], found)
    assert len(first.asked) == 7
    (setting, answer), *_ = found.answers[DONORS]["network"]
    assert answer.cells["type_call"].tolist() == [NEUT, NEUT]
    assert (answer.facts["predict_peak_mib"], answer.facts["part"], setting.seed) == (4.0, DONORS, 0)
    again, second = Recorded(plan.work), Found()
    answer_all(plan, again, [DONORS], second)
    assert again.asked == [("scanvi", 0)]
    pd.testing.assert_frame_equal(second.answers[DONORS]["network"][0][1].cells, answer.cells)


def test_why_a_method_was_not_run_is_told(plan):
    found = Found()
    answer_all(plan, Recorded(plan.work), [DONORS], found)
    assert found.not_run[DONORS, "scanvi"] == "scvi-tools could not be installed"
    assert found.not_run["study", "network"] == "not yet"
    assert "scanvi" not in found.answers[DONORS]


def test_parts_that_are_not_asked_for_are_only_read(plan):
    answer_all(plan, Recorded(plan.work), [DONORS], Found())
    reader, found = Recorded(plan.work), Found()
    answer_all(plan, reader, [], found)
    assert reader.asked == []
    assert set(found.answers) == {DONORS}


def test_commands_take_turns_over_files_and_leave_nothing(plan, monkeypatch):
    ran = []

    def run_measured(command, log):  # noqa: ARG001 - as the real one
        ran.append(("predict.py" in command, next(text for text in command if text.endswith(".h5ad"))))
        return Measured(seconds=2.0 * len(ran), peak_mib=float(len(ran)))

    monkeypatch.setattr(cells_speed, "run_measured", run_measured)
    methods = Methods(plan.work, plan.work)
    setting = SETTINGS[DONORS](plan)[0]
    model = methods.place(setting, "celltypist") / "floor.model"
    model.parent.mkdir(parents=True)
    model.touch()
    monkeypatch.setattr(methods, "python_of", lambda _: "python")
    files = [plan.cohort_of(0).held_out]
    rows = measure_speed(methods, setting, files, plan.work, 2)
    assert [ours for ours, _ in ran] == [True, False, True, False]
    assert {file for _, file in ran} == {str(files[0])}
    assert [(row["method"], row["seconds"], row["cells_per_second"]) for row in rows] == [
        ("network", 4.0, 0.5),
        ("celltypist", 6.0, 1 / 3),
    ]


def test_answers_of_a_method_can_be_forgotten(plan):
    answer_all(plan, Recorded(plan.work), [DONORS], Found())
    (plan.work / "speed.json").touch()
    forget(plan.work, ["mlp"])
    assert (plan.work / "speed.json").exists()
    forget(plan.work, ["network"])
    assert not (plan.work / "speed.json").exists()
    again = Recorded(plan.work)
    answer_all(plan, again, [DONORS], Found())
    assert [method for method, _ in again.asked] == ["network", "mlp", "scanvi"]


def test_answers_about_other_cohorts_are_refused(tmp_path):
    claim(tmp_path, CohortConfig(n_cells=60))
    claim(tmp_path, CohortConfig(n_cells=60))
    with pytest.raises(SystemExit, match="other cohorts"):
        claim(tmp_path, CohortConfig(n_cells=61))


def test_models_are_removed_and_logs_stay(tmp_path):
    (tmp_path / "run" / "bundle").mkdir(parents=True)
    for name in ("floor.model", "floor.npz", "floor.fit.log", "answers.parquet"):
        (tmp_path / name).touch()
    remove_models(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.parquet", "floor.fit.log"]
