"""Mouse and human in one training: the species of a file is found, one bundle predicts both, orthologs are one gene."""

import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import predict
import train
from datamodules.simulate import SimulationConfig, simulate
from model.bundle import load_bundle
from schema.command import parse_config
from schema.errors import InputError
from schema.predictions import read_samples

ROOT = Path(__file__).resolve().parent.parent
SPECIES = ("mouse", "human")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory):
    """Training and held-out file of each species; donors of one species are not named as those of the other."""
    found = {}
    for species in SPECIES:
        folder = tmp_path_factory.mktemp(species)
        config = SimulationConfig(
            output=folder, n_mice=1, n_held_out_mice=1, n_cells=60, n_genes=700, seed=2, species=species
        )
        found[species] = simulate(config)
        for path in found[species]:
            cells = ad.read_h5ad(path)
            for column in ("donor_id", "sample_id"):
                cells.obs[column] = [f"{species}-{name}" for name in cells.obs[column]]
            cells.write_h5ad(path)
    return found


@pytest.fixture(scope="module")
def run(cohorts, tmp_path_factory):
    output = tmp_path_factory.mktemp("both") / "run"
    files = ", ".join(str(cohorts[species][0]) for species in SPECIES)
    arguments = ["--config", str(ROOT / "configs/debug.yaml"), "--data.files", f"[{files}]", "--output", str(output)]
    train.train(parse_config(train.TrainConfig, [*arguments, "--trainer.max_epochs", "3"]))
    return output


def predicted(path, run, output):
    arguments = [str(path), "--bundle", str(run / "bundle"), "--output", str(output)]
    predict.predict(parse_config(predict.PredictConfig, arguments, positional="input"))
    return ad.read_h5ad(output / "annotated.h5ad")


def test_the_bundle_knows_both_species_and_where_each_file_stands(run):
    bundle = load_bundle(run / "bundle")
    assert bundle.vocabulary.all_species == "mouse and human"
    assert [file["species"] for file in bundle.provenance["data"]] == ["mouse", "human"]
    pairs = dict(zip(bundle.vocabulary.symbols, bundle.vocabulary.other.symbols, strict=True))
    assert pairs["Cxcr2"] == "CXCR2"
    assert pairs["Ly6g"] == ""
    donors = pd.read_csv(run / "split.csv")["donor_id"]
    assert {name.split("-")[0] for name in donors} == {"mouse", "human"}


@pytest.mark.parametrize("species", SPECIES)
def test_a_file_of_either_species_is_predicted_by_its_own_names(cohorts, run, tmp_path, caplog, species):
    caplog.set_level(logging.INFO)
    cells = predicted(cohorts[species][1], run, tmp_path / "out")
    assert f"{species} file, bundle trained on mouse and human" in caplog.text
    words = cells.uns["neutrostage"]["genes"]
    assert (words["species of the file"], words["orthologs"]) == (species, "-")
    assert float(read_samples(tmp_path / "out/samples.csv")["genes_found_percent"].iloc[0]) > 95
    known = cells.obs["true_cell_type_id"].astype(str).isin(["MAL", "FIB"]).to_numpy()
    right = cells.obs["predicted_cell_type"].astype(str).isin(["malignant epithelial cell", "fibroblast"]).to_numpy()
    assert right[known].mean() > 0.7  # 3 epochs of a network of 32: that either species is learned at all


def test_a_cell_is_the_same_cell_under_the_names_of_the_other_species(cohorts, run, tmp_path):
    """Only genes with a counterpart: what a species lacks is not measured in the other."""
    vocabulary = load_bundle(run / "bundle").vocabulary
    named = {mouse: human for mouse, human in zip(vocabulary.symbols, vocabulary.other.symbols, strict=True) if human}
    cells = ad.read_h5ad(cohorts["mouse"][1])
    cells = cells[:, [name in named for name in cells.var_names]].copy()
    cells.write_h5ad(tmp_path / "as_mouse.h5ad")
    cells.var_names = [named[name] for name in cells.var_names]
    cells.write_h5ad(tmp_path / "as_human.h5ad")
    mouse, human = (predicted(tmp_path / f"as_{name}.h5ad", run, tmp_path / name) for name in SPECIES)
    assert mouse.uns["neutrostage"]["genes"]["species of the file"] == "mouse"
    assert human.uns["neutrostage"]["genes"]["species of the file"] == "human"
    np.testing.assert_allclose(human.obsm["X_neutrostage"], mouse.obsm["X_neutrostage"], rtol=1e-4, atol=1e-5)
    assert (
        human.obs["predicted_cell_type"].astype(str).tolist() == mouse.obs["predicted_cell_type"].astype(str).tolist()
    )


def test_a_mixture_of_two_genomes_is_refused(cohorts, run, tmp_path):
    mouse, human = (ad.read_h5ad(cohorts[species][1])[:20].copy() for species in SPECIES)
    for cells, genome in ((mouse, "mm10___"), (human, "GRCh38_")):
        cells.var_names = [genome + name for name in cells.var_names]
        cells.obs_names = [genome + name for name in cells.obs_names]
    ad.concat([mouse, human], join="outer", fill_value=0).write_h5ad(tmp_path / "barnyard.h5ad")
    with pytest.raises(InputError, match=r"one species: got [\d,]+ mouse and [\d,]+ human genes"):
        predicted(tmp_path / "barnyard.h5ad", run, tmp_path / "out")
    assert not (tmp_path / "out").exists()
