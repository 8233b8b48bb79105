import subprocess
import sys

import anndata as ad
import numpy as np
import pytest

from datamodules.simulate import simulate
from datamodules.simulation.config import SimulationConfig
from schema.errors import OutputError, UsageError
from schema.genes import find_species
from schema.stages import StageScale

STAGES = ["normal", "hyperplasia", "adenoma", "early carcinoma", "late carcinoma"]
SMALL = {"n_mice": 1, "n_cells": 120, "n_genes": 1_000}


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return simulate(SimulationConfig(output=tmp_path_factory.mktemp("cohort"), **SMALL))


@pytest.fixture(scope="module")
def cohort(paths):
    return [ad.read_h5ad(path) for path in paths]


def test_two_files_whose_names_say_what_they_are(paths):
    assert [path.name for path in paths] == ["train_simulated.h5ad", "held_out_simulated.h5ad"]
    assert {path.name for path in paths[0].parent.iterdir()} == {path.name for path in paths}


def test_no_mouse_is_in_both_files(cohort):
    training, held_out = (set(adata.obs.donor_id) for adata in cohort)
    assert len(training) == 10
    assert len(held_out) == 11
    assert not training & held_out


def test_every_stage_of_the_scale_and_both_studies_are_in_either_file(cohort):
    for adata in cohort:
        assert [level.name for level in StageScale.load("mouse_carcinogenesis").levels[:5]] == STAGES
        assert set(adata.obs.tumor_stage) == set(STAGES)
        assert adata.obs.study.nunique() == 2


def test_counts_are_raw_and_named_by_real_and_synthetic_genes(cohort):
    for adata in cohort:
        assert adata.X.has_canonical_format
        np.testing.assert_array_equal(adata.X.data, np.floor(adata.X.data))
        assert adata.X.data.min() >= 1
        assert adata.shape[1] == 1_000
        assert {"S100a8", "Csf3r", "Epcam", "Pecam1"} <= set(adata.var_names)
        assert find_species(list(adata.var_names)) == "mouse"
        assert (adata.var.gene_id == "").all()


def test_simulated_is_written_wherever_a_person_looks(cohort):
    for adata in cohort:
        assert adata.obs.simulated.all()
        assert adata.uns["simulated"]["simulated"]
        assert "no number in this file was measured" in adata.uns["simulated"]["note"]
        assert all("simulated" in name for name in adata.obs.study.unique())


def test_uns_holds_config_seed_and_a_truth_row_per_sample(cohort):
    for adata in cohort:
        truth = adata.uns["simulated"]
        assert truth["seed"] == 0
        assert truth["config"]["n_genes"] == 1_000
        assert "output" not in truth["config"]
        assert truth["samples"].index.tolist() == adata.obs.sample_id.unique().tolist()
        assert truth["samples"].n_cells.tolist() == adata.obs.sample_id.value_counts(sort=False).tolist()


def test_true_burden_agrees_with_obs(cohort):
    outside = ["ERY", "PLT", "AMBIENT", "DBL_NEUT_MAL", "DBL_OTHER"]
    for adata in cohort:
        counted = adata.obs[~adata.obs.true_cell_type_id.isin(outside)]
        burden = 100 * (counted.true_neutrophil_state != "").groupby(counted.sample_id, observed=True).mean()
        truth = adata.uns["simulated"]["samples"].true_burden_percent
        np.testing.assert_allclose(burden.loc[truth.index], truth)


def test_the_sample_that_lost_its_neutrophils_says_so(cohort):
    _, held_out = cohort
    lost = held_out[held_out.obs.neutrophils_lost.to_numpy()]
    truth = held_out.uns["simulated"]["samples"].loc["S2-M4-03"]
    assert lost.obs.sample_id.unique().tolist() == ["S2-M4-03"]
    assert lost.X.sum(axis=1).min() >= 800
    assert (lost.obs.true_neutrophil_state == "").all()
    assert truth.true_burden_percent == 0
    assert truth.true_burden_percent_in_tissue > 5
    others = held_out[~held_out.obs.neutrophils_lost.to_numpy()]
    assert others.X.sum(axis=1).min() < 400


def test_the_same_seed_gives_the_same_arrays_and_another_does_not(cohort, tmp_path):
    same = ad.read_h5ad(simulate(SimulationConfig(output=tmp_path / "same", **SMALL))[0])
    other = ad.read_h5ad(simulate(SimulationConfig(output=tmp_path / "other", seed=1, **SMALL))[0])
    for array in ("data", "indices", "indptr"):
        assert getattr(same.X, array).tobytes() == getattr(cohort[0].X, array).tobytes()
    assert same.obs.equals(cohort[0].obs)
    assert other.X.data.tobytes() != same.X.data.tobytes()


def test_more_held_out_mice_leave_the_training_file_as_it_was(cohort, tmp_path):
    more = ad.read_h5ad(simulate(SimulationConfig(output=tmp_path, n_held_out_mice=2, **SMALL))[0])
    assert (more.X != cohort[0].X).nnz == 0


def test_human_genes_are_human(tmp_path):
    adata = ad.read_h5ad(simulate(SimulationConfig(output=tmp_path, species="human", **SMALL))[0])
    assert {"FCGR3B", "EPCAM"} <= set(adata.var_names)
    assert find_species(list(adata.var_names)) == "human"
    assert adata.obs.species.unique().tolist() == ["human"]


def test_an_existing_file_is_refused_and_kept(tmp_path):
    (tmp_path / "held_out_simulated.h5ad").write_text("mine")
    with pytest.raises(OutputError, match="must not exist yet") as caught:
        simulate(SimulationConfig(output=tmp_path, **SMALL))
    assert caught.value.where == "held_out_simulated.h5ad"
    assert (tmp_path / "held_out_simulated.h5ad").read_text() == "mine"
    assert not (tmp_path / "train_simulated.h5ad").exists()


def test_an_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputError, match="output folder must be writable"):
        simulate(SimulationConfig(output=tmp_path / "taken", **SMALL))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_mice", 0),
        ("n_held_out_mice", 0),
        ("n_cells", 49),
        ("n_genes", 599),
        ("seed", -1),
        ("state_overlap", 1.1),
        ("overdispersion", 0.0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(tmp_path, name, value):
    with pytest.raises(UsageError, match=f"{name} must lie between"):
        SimulationConfig(output=tmp_path, **{name: value})


def test_the_command_line_puts_paths_on_stdout_and_faults_on_one_line_of_stderr(tmp_path):
    command = [sys.executable, "-m", "datamodules.simulate", "--output", str(tmp_path / "cohort"), "--n_mice", "1"]
    small = ["--n_cells", "50", "--n_genes", "600"]
    done = subprocess.run([*command, *small], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    written = [str(tmp_path / "cohort" / name) for name in ("train_simulated.h5ad", "held_out_simulated.h5ad")]
    assert done.stdout.splitlines() == written
    again = subprocess.run([*command, *small], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout, len(again.stderr.splitlines())) == (5, "", 1)
    assert again.stderr.startswith("simulate: error: an output file must not exist yet")
