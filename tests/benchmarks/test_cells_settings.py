import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmarks.cells_cohort import FIRST_STUDY, SECOND_STUDY, Cohort, CohortConfig, of_type
from benchmarks.cells_files import make_files, no_finer_than_types
from benchmarks.cells_settings import (
    FOLDS,
    HUMAN,
    LEFT_OUT,
    PARTS,
    SETTINGS,
    STUDIES,
    UNKNOWN,
    Plan,
)
from schema.labels import CellOntology


@pytest.fixture
def plan(tmp_path):
    config = CohortConfig(n_mice=1, n_held_out_mice=1, n_cells=50, n_genes=600)
    return Plan(work=tmp_path, data=tmp_path, seeds=range(3), cohort=config)


def of(plan, part):
    return SETTINGS[part](plan)


def test_every_part_has_its_cases_and_three_seeds(plan):
    assert [len(of(plan, part)) for part in PARTS] == [3, 3, 8, 12, 18, 3]
    assert {setting.part for part in PARTS for setting in of(plan, part)} == set(PARTS)


def test_floors_that_draw_nothing_run_once_on_the_same_cells_and_on_every_cohort(plan):
    assert ["logistic" in setting.methods for setting in of(plan, "donors")] == [True, True, True]
    assert ["logistic" in setting.methods for setting in of(plan, HUMAN)] == [True, False, False]
    assert all("mlp" in setting.methods for setting in of(plan, HUMAN))
    assert ["scanvi" in setting.methods for setting in of(plan, HUMAN)] == [True, False, False]


def test_no_setting_tests_what_it_trained_on(plan):
    for setting in of(plan, STUDIES):
        assert setting.test not in setting.training.files
        assert len(setting.training.files) == 5
    for setting in of(plan, FOLDS):
        assert len(setting.training.test_donors) == 2
        assert not set(setting.name.split("+")) & set(setting.training.test_donors)


def test_each_left_out_type_is_of_the_tree_and_seeds_take_turns(plan):
    settings = of(plan, UNKNOWN)
    tree = CellOntology.load()
    assert [setting.name for setting in settings] == list(LEFT_OUT)
    assert all(tree.levels[tree.index_by_id[name]] == 2 for name in LEFT_OUT)
    assert [setting.seed for setting in settings] == [0, 1, 2, 0, 1, 2, 0, 1]


@pytest.mark.slow
def test_cohorts_are_divided_by_donor_study_and_type(plan):
    make_files(plan, ["donors", "study"])
    cohort = Cohort(plan.cohort, 1, plan.work)
    cohort.make(("NEUT",))
    files = [cohort.training, cohort.held_out, cohort.first_study, cohort.second_study, cohort.without("NEUT")]
    training, held_out, first, second, without = (ad.read_h5ad(path) for path in files)
    assert not set(training.obs["donor_id"]) & set(held_out.obs["donor_id"])
    assert set(first.obs["study"]) == {FIRST_STUDY}
    assert set(first.obs_names) < set(training.obs_names)
    assert set(second.obs["study"]) == {SECOND_STUDY}
    assert set(second.obs_names) < set(held_out.obs_names)
    is_neutrophil = of_type(training.obs["cell_type"], "NEUT", CellOntology.load())
    assert is_neutrophil.sum() > 0
    assert list(without.obs_names) == list(training.obs_names[~is_neutrophil])


def test_labels_are_no_finer_than_types(ontology):
    labels = ["ZN4", "EC_TIP", "L1_MYE", "B", "unlabelled"]
    cells = ad.AnnData(sparse.csr_matrix((5, 1)), obs=pd.DataFrame({"cell_type": labels}, index=list("abcde")))
    assert no_finer_than_types(cells, ontology).obs["cell_type"].tolist() == [
        *("NEUT", "ENDO_V", "L1_MYE", "B", "unlabelled")
    ]


def test_states_are_of_their_type():
    found = of_type(pd.Series(["N_MAT", "NEUT", "MONO", "L1_MYE"]), "NEUT", CellOntology.load())
    np.testing.assert_array_equal(found, [True, True, False, False])
