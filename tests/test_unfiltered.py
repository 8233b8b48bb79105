"""Unfiltered matrices: droplets without a cell change nothing for the cells, and neutrophils of few UMI are counted."""

import gzip
import json
import logging
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from scipy.io import mmwrite

import predict
import train
from datamodules.simulate import SimulationConfig, simulate
from schema.command import parse_config
from schema.predictions import FILTER_COLUMNS, read_samples

ROOT = Path(__file__).resolve().parent.parent
N_EMPTY = 20_000
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    return simulate(SimulationConfig(output=folder, n_mice=2, n_held_out_mice=1, n_cells=120, n_genes=700, seed=1))


@pytest.fixture(scope="module")
def run(cohort, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "run"
    arguments = ["--config", str(ROOT / "configs/debug.yaml"), "--data.files", str(cohort[0]), "--output", str(output)]
    arguments += ["--data.stage_scale", "mouse_carcinogenesis", "--trainer.max_epochs", "8"]
    train.train(parse_config(train.TrainConfig, arguments))
    return output


@pytest.fixture(scope="module")
def matrices(cohort):
    """The held-out cells of samples that kept their neutrophils, alone and, in the same order, among 20,000 others.

    Each of those holds UMI drawn from the sum of the cells of its sample, 4 in the middle and fewer than 50.
    """
    rng = np.random.default_rng(0)
    cells = ad.read_h5ad(cohort[1])
    cells = cells[cells.obs["neutrophils_lost"].astype(str) != "True"].copy()
    cells.obs = cells.obs[["sample_id", "true_cell_type_id"]].astype(str)
    names = cells.obs["sample_id"].unique()
    counts, obs = [sparse.csr_matrix(cells.X)], [cells.obs]
    for name in names:
        profile = np.asarray(cells.X[(cells.obs["sample_id"] == name).to_numpy()].sum(axis=0)).ravel()
        size = np.minimum(rng.poisson(rng.lognormal(np.log(4), 0.9, N_EMPTY // len(names))), 49)
        gene = rng.choice(len(profile), size=size.sum(), p=profile / profile.sum())
        entries = (np.ones(len(gene), dtype=np.float32), (np.repeat(np.arange(len(size)), size), gene))
        counts.append(sparse.csr_matrix(entries, shape=(len(size), len(profile))))
        index = [f"{name}-empty-{i}" for i in range(len(size))]
        obs.append(pd.DataFrame({"sample_id": name, "true_cell_type_id": ""}, index=index))
    order = rng.permutation(sum(part.shape[0] for part in counts))
    raw = ad.AnnData(sparse.vstack(counts).tocsr()[order], obs=pd.concat(obs).iloc[order], var=cells.var)
    return raw[raw.obs["true_cell_type_id"] != ""].copy(), raw


def write_tenx_folder(cells, folder):
    folder.mkdir(parents=True)
    mmwrite(folder / "matrix.mtx", sparse.coo_matrix(cells.X.T.astype(np.int64)), field="integer")
    lines = [f"{name}\t{name}\tGene Expression\n" for name in cells.var_names]
    (folder / "features.tsv.gz").write_bytes(gzip.compress("".join(lines).encode()))
    (folder / "barcodes.tsv.gz").write_bytes(gzip.compress("\n".join([*cells.obs_names, ""]).encode()))
    return folder


def write_tenx_h5(cells, path):
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["indptr"], group["indices"] = cells.X.indptr.astype(np.int64), cells.X.indices.astype(np.int64)
        group["data"], group["shape"] = cells.X.data.astype(np.int32), np.array(cells.shape[::-1])
        group["barcodes"] = np.array(cells.obs_names, dtype="S40")
        names = np.array(cells.var_names, dtype="S40")
        group["features/name"], group["features/id"] = names, names
        group["features/feature_type"] = np.array(["Gene Expression"] * cells.n_vars, dtype="S20")
    return path


def predicted(path, run, output, *more):
    arguments = [str(path), "--bundle", str(run / "bundle"), "--output", str(output), *more]
    predict.predict(parse_config(predict.PredictConfig, arguments, positional="input"))
    return pq.read_table(output / "cells.parquet").to_pandas()


@pytest.fixture(scope="module")
def outputs(matrices, run, tmp_path_factory):
    """Folder of the predictions of the filtered and of the unfiltered file, and their cells."""
    folder = tmp_path_factory.mktemp("outputs")
    found = {}
    for name, cells in zip(("filtered", "raw"), matrices, strict=True):
        cells.write_h5ad(folder / f"{name}.h5ad")
        found[name] = predicted(folder / f"{name}.h5ad", run, folder / name)
    return folder, found


def test_rows_stay_rows_and_cells_are_called_as_without_the_empty_droplets(matrices, outputs):
    folder, found = outputs
    raw = found["raw"]
    assert raw["cell_id"].tolist() == matrices[1].obs_names.tolist()
    shared = raw.set_index("cell_id").loc[found["filtered"]["cell_id"]].reset_index()
    pd.testing.assert_frame_equal(shared.drop(columns="row"), found["filtered"].drop(columns="row"), rtol=1e-5)
    written = ad.read_h5ad(folder / "raw/annotated.h5ad")
    assert (written.X != matrices[1].X).nnz == 0


def test_barcodes_with_low_counts_are_not_called_and_only_counted(outputs):
    folder, found = outputs
    raw, samples = found["raw"], read_samples(folder / "raw/samples.csv").set_index("sample_id")
    low = raw["library_size"] < 50
    assert low.sum() >= N_EMPTY
    assert set(raw.loc[low, "predicted_cell_type"]) == {"low counts"}
    assert not raw.loc[low, ["predicted_cell_type_conf", "neutrophil_probability", "denominator_probability"]].any(
        axis=None
    )
    assert samples["n_low_counts"].to_dict() == raw[low].groupby("sample_id").size().to_dict()
    assert samples["n_cells"].to_dict() == raw.groupby("sample_id").size().to_dict()
    ambient = raw[raw["predicted_cell_type"] == "ambient RNA droplet"].groupby("sample_id").size()
    assert samples["n_ambient"][samples["n_ambient"] > 0].to_dict() == ambient.to_dict()


def test_the_figures_of_a_sample_are_those_of_a_file_of_its_cells_alone(matrices, run, outputs, tmp_path):
    """To all digits of the table: without low counts and without what was called ambient.

    Where those were a sample's only barcodes of few UMI, the file of cells alone looks filtered and is not assessable.
    """
    folder, found = outputs
    is_ambient = (found["filtered"]["predicted_cell_type"] == "ambient RNA droplet").to_numpy()
    assert 0 < is_ambient.sum() < 0.1 * len(is_ambient)
    matrices[0][~is_ambient].copy().write_h5ad(tmp_path / "cells.h5ad")
    predicted(tmp_path / "cells.h5ad", run, tmp_path / "out")
    raw, cells = (
        read_samples(path).set_index("sample_id") for path in (folder / "raw/samples.csv", tmp_path / "out/samples.csv")
    )
    about_rows = {"n_cells", "n_low_counts", "n_ambient", "low_count_percent", "min_genes", "assessability", "flags"}
    same = [column for column in raw.columns if column not in about_rows]
    read = cells["burden_percent"].notna()
    assert read.sum() >= 8
    assert (cells.loc[read, "tumor_stage_note"].isna()).all()
    steps = cells.loc[read, [column for column in cells if column.startswith("p_stage_ge_")]].to_numpy()
    assert (np.diff(steps, axis=1) <= 0).all()
    types = pd.read_csv(tmp_path / "out/stage_types.csv")
    assert set(types["sample_id"]) >= set(cells.index[read])
    assert types["weight"].abs().max() > 0.1
    named, obs = pd.read_csv(tmp_path / "out/stage_cells.csv"), ad.read_h5ad(tmp_path / "cells.h5ad").obs
    assert named["cell_id"].tolist() == obs.index[named["row"]].tolist()
    assert named["sample_id"].tolist() == obs["sample_id"].iloc[named["row"]].tolist()
    pd.testing.assert_frame_equal(raw.loc[read, same], cells.loc[read, same], rtol=1e-5)
    assert (raw["n_cells"] - raw["n_low_counts"] - raw["n_ambient"]).to_dict() == cells["n_cells"].to_dict()


def test_an_unfiltered_file_reads_about_as_the_filtered_one(outputs):
    """The few called ambient, which count by their probabilities in a filtered file, are the difference."""
    folder, _ = outputs
    raw, filtered = (
        read_samples(folder / f"{name}/samples.csv").set_index("sample_id") for name in ("raw", "filtered")
    )
    np.testing.assert_allclose(raw["burden_counted_percent"], filtered["burden_counted_percent"], atol=1.0)
    assert raw["burden_percent"].between(filtered["burden_low"], filtered["burden_high"]).all()
    np.testing.assert_allclose(raw["median_library_size"], filtered["median_library_size"], rtol=0.1)
    assert raw["min_genes"].to_dict() == filtered["min_genes"].to_dict()
    assert raw["assessability"].to_dict() == filtered["assessability"].to_dict()


def test_the_burden_of_an_unfiltered_sample_is_that_of_its_barcodes_called_cells(outputs):
    folder, found = outputs
    counted = found["raw"][~found["raw"]["predicted_cell_type"].isin(["low counts", "ambient RNA droplet"])]
    sums = counted.groupby("sample_id")[["neutrophil_probability", "denominator_probability"]].sum()
    samples = read_samples(folder / "raw/samples.csv").set_index("sample_id").loc[sums.index]
    by_hand = 100 * sums["neutrophil_probability"] / sums["denominator_probability"]
    shown = samples["burden_counted_percent"].dropna()
    assert len(shown) >= 8
    np.testing.assert_allclose(shown, by_hand[shown.index], rtol=1e-4)


def test_neutrophils_of_few_umi_survive_and_are_counted(matrices, outputs):
    """Of neutrophils of 150 to 500 UMI; 40 of 40 when the test was written, at a mean probability of 0.64."""
    cells = outputs[1]["raw"].set_index("cell_id").loc[matrices[0].obs_names]
    truth = matrices[0].obs["true_cell_type_id"]
    poor = (truth.str.startswith("N_") | (truth == "NEUT")) & cells["library_size"].between(150, 500)
    assert poor.sum() > 30
    assert (cells.loc[poor, "predicted_cell_type"] == "neutrophil").mean() > 0.9


def test_what_filters_would_have_lost_is_counted_by_sample_and_type(outputs):
    folder, found = outputs
    filters = pd.read_csv(folder / "raw/filters.csv")
    assert filters.columns.tolist() == [column.name for column in FILTER_COLUMNS]
    called = found["raw"][found["raw"]["predicted_cell_type"] != "low counts"]
    groups = called.groupby(["sample_id", "predicted_cell_type"], observed=True)["n_genes"]
    by_hand = groups.agg([len, lambda genes: (genes < 200).sum(), lambda genes: (genes < 500).sum()])
    written = filters.set_index(["sample_id", "cell_type"])
    assert written.loc[by_hand.index].to_numpy().tolist() == by_hand.to_numpy().tolist()
    assert len(written) == len(by_hand)


def test_report_and_run_say_that_the_file_is_unfiltered(outputs):
    folder, _ = outputs
    for name, unfiltered in (("raw", True), ("filtered", False)):
        assert json.loads((folder / name / "run.json").read_text())["unfiltered"] is unfiltered
        assert ("The file is unfiltered" in (folder / name / "report.html").read_text()) is unfiltered


def test_tenx_output_of_all_droplets_gives_the_same_calls(matrices, run, outputs, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    raw = matrices[1]
    forms = {
        "folder": write_tenx_folder(raw, tmp_path / "raw_feature_bc_matrix"),
        "h5": write_tenx_h5(raw, tmp_path / "raw_feature_bc_matrix.h5"),
    }
    for name, path in forms.items():
        cells = predicted(path, run, tmp_path / name)
        columns = [column for column in cells.columns if column != "sample_id"]
        pd.testing.assert_frame_equal(cells[columns], outputs[1]["raw"][columns], rtol=1e-4, atol=1e-6)
    assert caplog.text.count("is unfiltered") == 2
    assert caplog.text.count("A filter of 500 genes would have removed") == 2


def test_the_floor_is_an_option(matrices, run, tmp_path):
    cells = matrices[0][:200].copy()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    found = predicted(tmp_path / "cells.h5ad", run, tmp_path / "out", "--min_counts", "300")
    assert ((found["predicted_cell_type"] == "low counts") == (found["library_size"] < 300)).all()
    assert not json.loads((tmp_path / "out/run.json").read_text())["unfiltered"]


def test_a_file_of_nothing_but_low_counts_is_counted_and_not_assessable(matrices, run, tmp_path):
    raw = matrices[1]
    empty = raw[raw.obs["true_cell_type_id"] == ""][:300].copy()
    empty.write_h5ad(tmp_path / "empty.h5ad")
    cells = predicted(tmp_path / "empty.h5ad", run, tmp_path / "out")
    samples = read_samples(tmp_path / "out/samples.csv")
    assert set(cells["predicted_cell_type"]) == {"low counts"}
    assert (samples["n_cells"] == samples["n_low_counts"]).all()
    assert set(samples["assessability"]) == {"not_assessable"}
    assert samples[["median_library_size", "fraction_NEUT", "tumor_stage_expected"]].isna().all(axis=None)
    assert len(pd.read_csv(tmp_path / "out/filters.csv")) == 0


def test_a_bundle_that_knows_no_ambient_droplets_cannot_read_an_unfiltered_file(matrices, run, tmp_path, caplog):
    bundle = tmp_path / "run/bundle"
    bundle.mkdir(parents=True)
    for file in (run / "bundle").iterdir():
        (bundle / file.name).write_bytes(file.read_bytes())
    content = json.loads((bundle / "bundle.json").read_text())
    del content["training_labels"]["AMBIENT"]
    content["made_labels"].remove("AMBIENT")
    (bundle / "bundle.json").write_text(json.dumps(content))
    raw = matrices[1][:4000].copy()
    raw.write_h5ad(tmp_path / "raw.h5ad")
    predicted(tmp_path / "raw.h5ad", tmp_path / "run", tmp_path / "out")
    samples = read_samples(tmp_path / "out/samples.csv")
    assert set(samples["assessability"]) == {"not_assessable"}
    assert samples["burden_percent"].isna().all()
    assert "knows no ambient droplets" in caplog.text
    assert "knows no ambient droplets" in (tmp_path / "out/report.html").read_text()
