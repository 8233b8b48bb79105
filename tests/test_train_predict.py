"""The whole route on a small simulated cohort: train, predict, read what was written, and the errors on the way."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from scipy import sparse

import predict
import train
from datamodules.simulate import SimulationConfig, simulate
from model.attribution import integrated_gradients
from model.bundle import load_bundle
from schema.command import parse_config, run_command
from schema.comparisons import COMPARISON_COLUMNS, PICTURES
from schema.errors import InputError, OutputError, UsageError
from schema.predictions import (
    CELL_COLUMNS,
    GENE_COLUMNS,
    STAGE_CELL_COLUMNS,
    STAGE_TYPE_COLUMNS,
    companion_columns,
    read_genes,
    read_samples,
    sample_columns,
)

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    return simulate(SimulationConfig(output=folder, n_mice=2, n_held_out_mice=1, n_cells=60, n_genes=700, seed=1))


def train_config(cohort, output, *more):
    arguments = ["--config", str(ROOT / "configs/debug.yaml"), "--data.files", str(cohort[0]), "--output", str(output)]
    arguments += ["--data.stage_scale", "mouse_carcinogenesis", "--trainer.max_epochs", "4", *more]
    return parse_config(train.TrainConfig, arguments)


@pytest.fixture(scope="module")
def run(cohort, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "run"
    train.train(train_config(cohort, output))
    return output


def predict_config(path, run, output, *more):
    arguments = [str(path), "--bundle", str(run / "bundle"), "--output", str(output), *more]
    return parse_config(predict.PredictConfig, arguments, positional="input")


@pytest.fixture(scope="module")
def predictions(cohort, run, tmp_path_factory):
    output = tmp_path_factory.mktemp("predictions") / "out"
    config = predict_config(cohort[1], run, output, "--compare.by", "tumor_stage")
    paths = predict.predict(config)
    assert [path.name for path in paths] == list(predict.files_of(config))
    assert len(paths) == len(predict.FILES) + 7  # pictures and the comparison
    return output


def command(monkeypatch, capsys, module, *arguments):
    """Run a script's main as a command; return exit code and what it wrote to stderr."""
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    code = run_command(f"{module.__name__}.py", module.main)
    return code, capsys.readouterr().err


def test_what_stands_beside_the_burden_has_a_row_per_sample(predictions, run):
    companions, samples = (pd.read_csv(predictions / name) for name in ("companions.csv", "samples.csv"))
    bundle = load_bundle(run / "bundle")
    assert list(companions) == [column.name for column in companion_columns(bundle.ontology)]
    assert companions["sample_id"].tolist() == samples["sample_id"].tolist()
    assert companions["n_neutrophils"].tolist() == samples["n_neutrophils"].tolist()


def test_samples_are_compared_by_what_obs_says_of_them(predictions, cohort, run, tmp_path):
    table = pd.read_csv(predictions / "comparison.csv")
    assert list(table) == [column.name for column in COMPARISON_COLUMNS]
    assert "Burden by tumor_stage" in (predictions / "report.html").read_text()
    for column, message in (("is_doublet", "a sample has one group"), ("tumour", "tumor_stage")):
        with pytest.raises(InputError, match=message):
            predict.predict(predict_config(cohort[1], run, tmp_path / "out", "--compare.by", column))
    assert not (tmp_path / "out").exists()


def test_without_a_report_the_tables_are_the_same(cohort, run, predictions, tmp_path):
    paths = predict.predict(predict_config(cohort[1], run, tmp_path / "out", "--report", "false"))
    assert [path.name for path in paths] == [name for name in predict.FILES if name != "report.html"]
    for name in ("samples.csv", "filters.csv", "genes.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (predictions / name).read_bytes()
    assert pq.read_table(tmp_path / "out/cells.parquet").equals(pq.read_table(predictions / "cells.parquet"))


def test_a_run_folder_tells_how_it_was_made(run, cohort):
    split = pd.read_csv(run / "split.csv")
    assert set(split["split"]) == {"train", "val"}
    assert not set(split["donor_id"][split["split"] == "train"]) & set(split["donor_id"][split["split"] == "val"])
    assert "data:" in (run / "config.yaml").read_text()
    provenance = json.loads((run / "provenance.json").read_text())
    assert {"seed", "program", "config", "chosen", "data", "samples"} == set(provenance)
    assert provenance["chosen"] == {"batch_size": 64, "block_rows": 32, "window_rows": 2048}
    metrics = pd.read_csv(run / "log/metrics.csv")
    scores = {f"{split}/cell_type/f1_macro" for split in ("train", "val")}
    assert scores | {"train/cell_type/loss"} <= set(metrics.columns)
    losses = metrics["train/cell_type/loss"].dropna()
    assert losses.iloc[-1] < losses.iloc[0]
    bundle = load_bundle(run / "bundle")
    assert bundle.provenance["data"][0]["name"] == cohort[0].name
    assert bundle.provenance["seed"] == 0
    assert bundle.knows_neutrophils
    assert bundle.confusion.n_donors == (split["split"] == "val").sum()


def test_the_bundle_has_seen_all_donors_and_the_one_beside_it_has_not(run, cohort):
    obs, split = ad.read_h5ad(cohort[0]).obs, pd.read_csv(run / "split.csv")
    validated, bundle = load_bundle(run / "validated"), load_bundle(run / "bundle")
    held_out = obs["donor_id"].isin(split["donor_id"][split["split"] == "val"])
    assert sum(bundle.training_labels.values()) == len(obs)
    assert sum(validated.training_labels.values()) == (~held_out).sum()
    assert bundle.provenance["samples"] == {"train": len(split)}
    assert validated.provenance["samples"] == split["split"].value_counts().to_dict()
    assert bundle.rules == validated.rules
    n_readings = len(validated.confusion.donor)
    np.testing.assert_array_equal(bundle.confusion.said[:n_readings], validated.confusion.said)
    np.testing.assert_array_equal(bundle.confusion.cells[n_readings:], validated.confusion.cells)
    assert not np.array_equal(bundle.confusion.said[n_readings:], validated.confusion.said)
    assert bundle.detection_limit != validated.detection_limit
    for name in ("metrics", "checks"):
        parts = [{k: v for k, v in getattr(b, name).items() if "stage" not in k} for b in (bundle, validated)]
        assert str(parts[0]) == str(parts[1]), name
    for output, name in (("all", "tumor_stage"), ("without neutrophils", "tumor_stage_without_neutrophils")):
        assert bundle.stage_support[output].n_samples == len(split)
        assert validated.stage_support[output].n_samples == (split["split"] == "train").sum()
        (chosen,) = [row for row in bundle.checks["stage"] if row["output"] == output and row["chosen"]]
        assert bundle.metrics[f"folds/{name}/mae"] == chosen["mae"] < 2
    assert torch.equal(bundle.temperatures, validated.temperatures)
    heads = [found.network.cell_type_head for found in (bundle, validated)]
    assert float(heads[0].strength) == float(heads[1].strength) < 1
    assert not torch.equal(heads[0].members[0][2].weight, heads[1].members[0][2].weight)
    assert (run / "refit/log/metrics.csv").exists()


def test_the_burden_of_the_validation_samples_is_a_table_and_pictures(run):
    table = pd.read_csv(run / "validation/burden.csv")
    split = pd.read_csv(run / "split.csv").set_index("sample_id")
    held_out = split[split["split"] == "val"]
    assert table["sample_id"].tolist() == held_out.index.tolist()
    assert table["group"].tolist() == held_out["tumor_stage"].tolist()
    assert table["n_cells"].tolist() == held_out["n_cells"].tolist()
    assert {path.name for path in (run / "validation").iterdir()} == {"burden.csv", *PICTURES}


def test_without_a_refit_the_bundle_is_the_validated_one(run, cohort, tmp_path):
    train.train(train_config(cohort, tmp_path / "run", "--refit", "false"))
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.is_dir()) == [
        "bundle",
        "checkpoints",
        "log",
        "validation",
    ]
    alone, validated = load_bundle(tmp_path / "run/bundle"), load_bundle(run / "validated")
    for name, value in alone.network.state_dict().items():
        assert torch.equal(value, validated.network.state_dict()[name]), name


def test_nothing_in_a_bundle_or_prediction_names_a_folder_of_the_machine(run, predictions, cohort):
    texts = [run / "bundle/bundle.json", predictions / "run.json", predictions / "report.html"]
    for path in texts:
        assert str(cohort[0].parent) not in path.read_text()
        assert str(run.parent) not in path.read_text()


def test_training_again_gives_the_same_weights(run, cohort, tmp_path):
    train.train(train_config(cohort, tmp_path / "again"))
    first, second = load_bundle(run / "bundle"), load_bundle(tmp_path / "again/bundle")
    for name, value in first.network.state_dict().items():
        assert bool((value == second.network.state_dict()[name]).all()), name
    assert first.temperatures.tolist() == second.temperatures.tolist()


def test_the_annotated_file_is_the_input_plus_ours(cohort, predictions):
    before, after = ad.read_h5ad(cohort[1]), ad.read_h5ad(predictions / "annotated.h5ad")
    assert (before.X != after.X).nnz == 0
    pd.testing.assert_frame_equal(after.obs[before.obs.columns], before.obs)
    assert [c for c in after.obs.columns if c not in before.obs.columns] == [
        "predicted_cell_type",
        "predicted_cell_type_conf",
        "predicted_cell_type_ontology_term_id",
        "predicted_neutrophil_state",
        "predicted_label",
        "predicted_label_conf",
        "predicted_label_reason",
    ]
    probabilities = after.obsm["neutrostage_probabilities"]
    np.testing.assert_allclose(probabilities.sum(1), 1.0, atol=1e-4)
    assert after.obsm["X_neutrostage"].shape == (after.n_obs, 16)
    called = after.obs["predicted_cell_type"] == "neutrophil"
    assert ((after.obs["predicted_neutrophil_state"] != "") == called).all()
    assert len(after.uns["neutrostage"]["probability_columns"]) == probabilities.shape[1]


def test_tables_hold_to_their_contract(cohort, run, predictions):
    truth = ad.read_h5ad(cohort[1]).obs
    cells = pq.read_table(predictions / "cells.parquet").to_pandas()
    assert list(cells.columns) == [column.name for column in CELL_COLUMNS]
    assert cells["row"].tolist() == list(range(len(truth)))
    assert cells["cell_id"].tolist() == list(truth.index)
    assert cells["sample_id"].tolist() == list(truth["sample_id"])
    samples = read_samples(predictions / "samples.csv")
    bundle = load_bundle(run / "bundle")
    assert list(samples.columns) == [column.name for column in sample_columns(bundle.ontology, bundle.scale)]
    assert samples.set_index("sample_id")["n_cells"].to_dict() == truth["sample_id"].value_counts().to_dict()
    by_hand = cells.groupby("sample_id")[["neutrophil_probability", "denominator_probability"]].sum()
    by_hand = 100 * by_hand["neutrophil_probability"] / by_hand["denominator_probability"]
    shown = samples.set_index("sample_id")[["burden_counted_percent", "burden_percent", "burden_low"]].dropna()
    assert len(shown) > 0
    np.testing.assert_allclose(shown["burden_counted_percent"], by_hand[shown.index], rtol=1e-4)
    assert (shown["burden_low"] <= shown["burden_percent"]).all()
    assert set(samples["burden_estimator"]) == {"corrected"}
    for note in ("tumor_stage_note", "tumor_stage_note_without_neutrophils"):
        assert set(samples[note]) == {"fewer than 100 cells"}
    about_stage = [column for column in samples if column.startswith(("p_stage_ge_", "tumor_stage_expected"))]
    assert samples[about_stage].isna().all(axis=None)
    for name, columns in (("stage_types", STAGE_TYPE_COLUMNS), ("stage_cells", STAGE_CELL_COLUMNS)):
        table = pd.read_csv(predictions / f"{name}.csv")
        assert table.empty
        assert list(table) == [column.name for column in columns]


def test_a_sample_whose_neutrophils_were_lost_is_not_assessable(cohort, predictions):
    obs = ad.read_h5ad(cohort[1]).obs
    lost = obs["sample_id"][obs["neutrophils_lost"].astype(str) == "True"].unique()
    samples = read_samples(predictions / "samples.csv").set_index("sample_id")
    assert len(lost) == 1
    assert samples.loc[lost[0], "assessability"] == "not_assessable"
    assert np.isnan(samples.loc[lost[0], "burden_percent"])


def test_the_report_says_that_the_data_are_simulated(predictions):
    report = (predictions / "report.html").read_text()
    assert "SIMULATED" in report.upper()
    assert json.loads((predictions / "run.json").read_text())["simulated"] is True


def test_results_do_not_depend_on_how_rows_are_cut(cohort, run, predictions, tmp_path):
    predict.predict(predict_config(cohort[1], run, tmp_path / "out", "--batch_size", "53"))
    again, first = read_samples(tmp_path / "out/samples.csv"), read_samples(predictions / "samples.csv")
    pd.testing.assert_frame_equal(again, first, rtol=1e-4)
    again, first = read_genes(tmp_path / "out/genes.csv"), read_genes(predictions / "genes.csv")
    pd.testing.assert_frame_equal(again, first, rtol=1e-3)


def test_the_same_command_gives_the_same_bytes(cohort, run, predictions, tmp_path):
    predict.predict(predict_config(cohort[1], run, tmp_path / "out"))
    for name in ("samples.csv", "cells.parquet"):
        assert (tmp_path / "out" / name).read_bytes() == (predictions / name).read_bytes()
    again, first = read_genes(tmp_path / "out/genes.csv"), read_genes(predictions / "genes.csv")
    pd.testing.assert_frame_equal(again, first, rtol=1e-5)  # of float32 gradients, to the sixth digit


def test_counts_in_another_place_or_format_give_the_same_calls(cohort, run, predictions, tmp_path):
    adata = ad.read_h5ad(cohort[1])
    first = pq.read_table(predictions / "cells.parquet").to_pandas()
    counts = adata.X.copy()
    layered = ad.AnnData(adata.X.copy(), obs=adata.obs[["sample_id"]], var=adata.var)
    layered.layers["counts"] = counts
    layered.X = sparse.csr_matrix(np.log1p(counts.toarray()))
    layered.write_h5ad(tmp_path / "layered.h5ad")
    ad.AnnData(sparse.csc_matrix(counts), obs=adata.obs[["sample_id"]], var=adata.var).write_h5ad(tmp_path / "csc.h5ad")
    ad.AnnData(counts.toarray(), obs=adata.obs[["sample_id"]], var=adata.var).write_h5ad(tmp_path / "dense.h5ad")
    for name in ("layered", "csc", "dense"):
        predict.predict(predict_config(tmp_path / f"{name}.h5ad", run, tmp_path / name))
        cells = pq.read_table(tmp_path / name / "cells.parquet").to_pandas()
        pd.testing.assert_frame_equal(cells, first)


def test_annotate_gives_a_notebook_what_the_script_writes(cohort, run, predictions):
    adata = ad.read_h5ad(cohort[1])
    samples = predict.annotate(adata, run / "bundle")
    written = ad.read_h5ad(predictions / "annotated.h5ad")
    assert (
        adata.obs["predicted_cell_type"].astype(str).tolist() == written.obs["predicted_cell_type"].astype(str).tolist()
    )
    np.testing.assert_array_equal(adata.obsm["X_neutrostage"], written.obsm["X_neutrostage"])
    first = read_samples(predictions / "samples.csv")
    np.testing.assert_allclose(samples["burden_percent"], first["burden_percent"], rtol=1e-5)


def test_genes_behind_the_calls_hold_to_their_contract(run, predictions):
    genes, cells = read_genes(predictions / "genes.csv"), pq.read_table(predictions / "cells.parquet").to_pandas()
    assert [(name, str(dtype)) for name, dtype in genes.dtypes.items()] == [(c.name, c.dtype) for c in GENE_COLUMNS]
    called = cells["predicted_cell_type"].value_counts()
    explained = genes[(genes["level"] == 2) & (genes["sample_id"] == "")].groupby("cell_type")["n_cells"].first()
    assert explained.to_dict() == called[called >= 10].clip(upper=32).drop("no counts", errors="ignore").to_dict()
    assert set(genes["gene"]) <= set(load_bundle(run / "bundle").vocabulary.symbols)
    assert set(genes["sample_id"]) <= {"", *cells["sample_id"]}
    for _, group in genes.groupby(["cell_type_id", "sample_id"]):
        assert group["rank"].tolist() == list(range(1, len(group) + 1))
        assert (np.diff(group["attribution"]) <= 0).all()
        assert (group["attribution"] > 0).all()


def test_the_first_genes_of_simulated_types_are_their_markers(predictions):
    genes = read_genes(predictions / "genes.csv")
    first = genes[(genes["rank"] <= 5) & (genes["level"] == 2) & (genes["sample_id"] == "") & (genes["n_cells"] >= 30)]
    share = first.groupby("cell_type_id")["is_marker"].mean()
    assert len(share) >= 5
    assert share.mean() > 20 * 7 / 700  # of 700 genes about 7 are markers of a type: 20 times what chance gives


def test_explain_gives_a_notebook_the_rows_of_the_script(cohort, run, predictions):
    adata, written = ad.read_h5ad(cohort[1]), read_genes(predictions / "genes.csv")
    pd.testing.assert_frame_equal(predict.explain(adata, run / "bundle"), written, rtol=1e-4)
    found = predict.explain(adata, run / "bundle", "fibroblasts")
    pd.testing.assert_frame_equal(
        found, written[written["cell_type"] == "fibroblast"].reset_index(drop=True), rtol=1e-4
    )
    assert "predicted_cell_type" not in adata.obs
    few = predict.explain(adata, run / "bundle", "fibroblast", config=predict.ExplainConfig(n_cells=12, n_genes=3))
    assert (len(few), set(few["n_cells"])) == (3, {12})


def test_without_explanation_there_are_no_rows_and_all_else_is_the_same(cohort, run, predictions, tmp_path):
    predict.predict(predict_config(cohort[1], run, tmp_path / "out", "--explain.n_cells", "0"))
    assert len(read_genes(tmp_path / "out/genes.csv")) == 0
    assert "No call was explained in this run." in (tmp_path / "out/report.html").read_text()
    assert (tmp_path / "out/samples.csv").read_bytes() == (predictions / "samples.csv").read_bytes()


def test_a_gene_that_a_file_lacks_explains_nothing(cohort, run, predictions, tmp_path):
    adata = ad.read_h5ad(cohort[1])
    gone = read_genes(predictions / "genes.csv")["gene"].unique()[::3]
    adata[:, ~adata.var_names.isin(gone)].copy().write_h5ad(tmp_path / "fewer.h5ad")
    arguments = ["--explain.baseline", "unknown", "--explain.n_genes", "700"]
    predict.predict(predict_config(tmp_path / "fewer.h5ad", run, tmp_path / "out", *arguments))
    found = read_genes(tmp_path / "out/genes.csv")
    assert len(found) > 1000
    assert not set(found["gene"]) & set(gone)


@pytest.mark.parametrize(("baseline", "allowed"), [("cells", 0.1), ("unknown", 0.02)])
def test_attributions_of_a_trained_network_add_up(cohort, run, monkeypatch, baseline, allowed):
    """Beside what the network itself says of the same cells, mean over those of each call."""
    found = []

    def noted(*arguments):
        found.append(integrated_gradients(*arguments))
        return found[-1]

    monkeypatch.setattr(predict, "integrated_gradients", noted)
    predict.explain(ad.read_h5ad(cohort[1]), run / "bundle", config=predict.ExplainConfig(baseline=baseline))
    gap = [abs(float(part.genes.sum(dim=1).mean() - part.gain.mean())) for part in found]
    gain = [abs(float(part.gain.mean())) for part in found]
    assert len(found) > 5
    assert np.median(gain) > 0.5
    assert sum(gap) < allowed * sum(gain)


def test_what_is_kept_of_the_cells_has_a_bound(cohort, run, monkeypatch):
    most = []

    def noted(explainer, *block):
        update(explainer, *block)
        most.append((explainer.kept.n_cells, len(explainer.draw.rows()), len(explainer.draw.groups())))

    update = predict.Explainer.update
    monkeypatch.setattr(predict.Explainer, "update", noted)
    predict.explain(ad.read_h5ad(cohort[1]), run / "bundle", "B cell", config=predict.ExplainConfig(n_cells=10))
    assert all(kept <= 2 * drawn <= 2 * 10 * groups for kept, drawn, groups in most)


def test_explaining_what_nothing_is_called_is_a_usage_error(cohort, run):
    with pytest.raises(UsageError, match="neutrophil state"):
        predict.explain(ad.read_h5ad(cohort[1]), run / "bundle", "myeloid cell")
    with pytest.raises(UsageError, match="0 to 256 cells"):
        predict.ExplainConfig(n_cells=257)


def test_a_cell_without_counts_is_kept_and_not_called(cohort, run, tmp_path):
    adata = ad.read_h5ad(cohort[1])[:100].copy()
    counts = adata.X.tolil()
    counts[7] = 0
    adata.X = counts.tocsr()
    adata.write_h5ad(tmp_path / "empty_cell.h5ad")
    predict.predict(predict_config(tmp_path / "empty_cell.h5ad", run, tmp_path / "out"))
    cell = pq.read_table(tmp_path / "out/cells.parquet").to_pandas().iloc[7]
    assert (cell["predicted_cell_type"], cell["neutrophil_probability"], cell["denominator_probability"]) == (
        "low counts",
        0.0,
        0.0,
    )


def test_a_file_without_cells_is_refused(cohort, run, tmp_path):
    ad.read_h5ad(cohort[1])[:0].copy().write_h5ad(tmp_path / "none.h5ad")
    with pytest.raises(InputError, match=r"none\.h5ad"):
        predict.predict(predict_config(tmp_path / "none.h5ad", run, tmp_path / "out"))


def test_without_held_out_donors_the_report_says_not_calibrated(cohort, tmp_path):
    config = train_config(cohort, tmp_path / "run", "--split.val_share", "0", "--trainer.max_epochs", "1")
    train.train(config)
    assert not load_bundle(tmp_path / "run/bundle").is_calibrated
    predict.predict(predict_config(cohort[1], tmp_path / "run", tmp_path / "out"))
    assert "not calibrated" in (tmp_path / "out/report.html").read_text()
    assert not ad.read_h5ad(tmp_path / "out/annotated.h5ad").uns["neutrostage"]["probabilities_are_calibrated"]


def test_a_used_run_folder_is_refused(cohort, run):
    with pytest.raises(OutputError, match="written once"):
        train.train(train_config(cohort, run))


def test_results_are_replaced_only_when_asked(cohort, run, predictions, tmp_path):
    output = tmp_path / "out"
    shutil.copytree(predictions, output)
    with pytest.raises(OutputError, match="not replaced unasked"):
        predict.predict(predict_config(cohort[1], run, output))
    predict.predict(predict_config(cohort[1], run, output, "--overwrite", "true"))
    assert set(predict.FILES) <= {path.name for path in output.iterdir()}


def test_normalised_input_is_refused_and_nothing_is_written(cohort, run, tmp_path, monkeypatch, capsys):
    adata = ad.read_h5ad(cohort[1])[:50].copy()
    adata.X = sparse.csr_matrix(np.log1p(adata.X.toarray()))
    adata.write_h5ad(tmp_path / "logged.h5ad")
    before = sorted(tmp_path.iterdir())
    code, text = command(
        monkeypatch, capsys, predict, tmp_path / "logged.h5ad", "--bundle", run / "bundle", "--output", tmp_path / "out"
    )
    assert code == 3
    assert text.splitlines()[-1].startswith("predict.py: error: ")
    assert "logged.h5ad" in text.splitlines()[-1]
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["missing.h5ad", "--bundle", "{run}/bundle", "--output", "{tmp}/o"], 3, "missing.h5ad"),
        (["{input}", "--bundle", "{run}", "--output", "{tmp}/o"], 4, "bundle.json"),
        (["{input}", "--bundle", "{run}/bundle", "--output", "{run}/split.csv"], 5, "split.csv"),
        (["{input}", "--bundle", "{run}/bundle"], 2, "output"),
        (["{input}", "--bundle", "{run}/bundle", "--output", "{tmp}/o", "--sample_column", "sampel"], 3, "sample_id"),
        (["{input}", "--bundle", "{run}/bundle", "--output", "{tmp}/o", "--device", "cuda"], 2, "CUDA"),
    ],
)
def test_each_fault_is_one_line_with_its_exit_code(
    cohort, run, tmp_path, monkeypatch, capsys, arguments, code, message
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    filled = [a.format(run=run, tmp=tmp_path, input=cohort[1]) for a in arguments]
    found, text = command(monkeypatch, capsys, predict, *filled)
    errors = [line for line in text.splitlines() if "error: " in line]
    assert found == code
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in text
    assert list(tmp_path.iterdir()) == []


def test_genes_of_nowhere_are_refused(cohort, run, tmp_path):
    adata = ad.read_h5ad(cohort[1])[:50].copy()
    adata.var_names = [f"Xyzgene{i}" for i in range(adata.n_vars)]
    adata.write_h5ad(tmp_path / "foreign.h5ad")
    with pytest.raises(InputError, match="0 of"):
        predict.predict(predict_config(tmp_path / "foreign.h5ad", run, tmp_path / "out"))


def test_a_label_that_means_nothing_is_listed_with_its_neighbours(cohort, tmp_path):
    adata = ad.read_h5ad(cohort[0])
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str).replace({"macrophage": "macrofage"})
    adata.write_h5ad(tmp_path / "typo.h5ad")
    with pytest.raises(InputError, match=r"'macrofage' \(nearest: macrophage"):
        train.train(train_config([tmp_path / "typo.h5ad"], tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_flat_list_of_labels_trains_with_no_tree(cohort, tmp_path):
    """Labels that no tree knows; one of them means neutrophil, which is all that the burden asks."""
    adata = ad.read_h5ad(cohort[0])
    is_neutrophil = adata.obs["cell_type"].str.contains("neutrophil").to_numpy()
    is_malignant = (adata.obs["cell_type"] == "malignant epithelial cell").to_numpy()
    adata.obs["kind"] = np.select([is_neutrophil, is_malignant], ["Neutrophils", "group 1"], "group 2")
    adata.write_h5ad(tmp_path / "flat.h5ad")
    arguments = ["--data.ontology", "flat", "--data.columns.cell_type", "kind"]
    train.train(train_config([tmp_path / "flat.h5ad"], tmp_path / "run", *arguments))
    predict.predict(predict_config(cohort[1], tmp_path / "run", tmp_path / "out"))
    cells = pq.read_table(tmp_path / "out/cells.parquet").to_pandas()
    assert set(cells["predicted_cell_type"]) <= {"Neutrophils", "group 1", "group 2"}
    truth = ad.read_h5ad(cohort[1]).obs["true_cell_type_id"] == "MAL"
    assert (cells["predicted_cell_type"].to_numpy()[truth] == "group 1").mean() > 0.8
    samples = read_samples(tmp_path / "out/samples.csv")
    assert samples["burden_percent"].notna().any()


def test_a_cellxgene_file_trains_with_no_map(cohort, tmp_path):
    """Ensembl ids as index, symbols in feature_name, labels as Cell Ontology ids, donors but no samples."""
    adata = ad.read_h5ad(cohort[0])
    cl_ids = {
        "macrophage": "CL:0000235",
        "fibroblast": "CL:4006000",
        "mature neutrophil": "CL:0000096",
        "B cell": "CL:0000236",
    }
    cl_ids |= {"CD8 T cell": "CL:0000909", "CD4 T cell": "CL:0000084", "neutrophil": "CL:0000775"}
    adata = adata[adata.obs["cell_type"].isin(list(cl_ids))].copy()
    terms = adata.obs["cell_type"].astype(str).map(cl_ids).to_numpy()
    terms[:3] = "unknown"
    adata.obs = pd.DataFrame(
        {"cell_type_ontology_term_id": terms, "donor_id": adata.obs["donor_id"].to_numpy(), "is_primary_data": True},
        index=adata.obs_names,
    )
    symbols = adata.var_names.to_numpy()
    ids = [f"ENSMUSG{i:011d}" for i in range(adata.n_vars)]
    adata.var = pd.DataFrame({"feature_name": symbols, "feature_is_filtered": False}, index=ids)
    adata.raw = adata
    adata.X = sparse.csr_matrix(np.log1p(adata.X.toarray()))
    adata.write_h5ad(tmp_path / "cellxgene.h5ad")
    arguments = ["--config", str(ROOT / "configs/debug.yaml"), "--data.files", str(tmp_path / "cellxgene.h5ad")]
    train.train(parse_config(train.TrainConfig, [*arguments, "--output", str(tmp_path / "run")]))
    bundle = load_bundle(tmp_path / "run/bundle")
    assert set(bundle.training_labels) == {"MAC", "FIB", "N_MAT", "B", "T_CD8", "L1_LYM"}
    assert bundle.provenance["data"][0]["counts_location"] == "raw/X"
    assert bundle.vocabulary.symbols[0] in set(symbols)
    assert bundle.vocabulary.ids[0].startswith("ENSMUSG")


def test_tracking_online_without_a_key_goes_offline_and_asks_nothing(cohort, tmp_path, monkeypatch):
    """In a subprocess, because Weights & Biases keeps a service of its own."""
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    arguments = ["--config", "configs/debug.yaml", "--data.files", str(cohort[0]), "--tracking.mode", "online"]
    done = subprocess.run(
        [sys.executable, "train.py", *arguments, "--output", str(tmp_path / "run")],
        cwd=ROOT,
        env={**os.environ, "HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "this run is logged offline" in done.stderr
    assert done.stdout.splitlines() == [str(tmp_path / "run/bundle")]
    assert list((tmp_path / "run/wandb").glob("offline-run-*/*.wandb"))
    media = {path.name.split("_")[0] for path in (tmp_path / "run/wandb").glob("offline-run-*/files/media/**/*.*")}
    assert media == {"burden", "states"}  # the table, and three pictures
    assert (tmp_path / "run/log/metrics.csv").exists()


def test_a_run_is_repeated_from_its_run_json_to_the_last_digit(cohort, run, tmp_path):
    more = ("--burden.seed", "7", "--burden.n_replicates", "300", "--min_counts", "60", "--report", "false")
    predict.predict(predict_config(cohort[1], run, tmp_path / "first", *more))
    again = ("--repeat", str(tmp_path / "first/run.json"))
    predict.predict(predict_config(cohort[1], run, tmp_path / "again", *again))
    assert (tmp_path / "again/samples.csv").read_bytes() == (tmp_path / "first/samples.csv").read_bytes()
    assert (tmp_path / "again/genes.csv").read_bytes() == (tmp_path / "first/genes.csv").read_bytes()
    first, second = (json.loads((tmp_path / name / "run.json").read_text()) for name in ("first", "again"))
    assert first["options"]["burden"]["n_replicates"] == second["options"]["burden"]["n_replicates"] == 300


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (("--min_counts", "70"), 2, "another min_counts"),
        (("--orthologs", "pairs.tsv"), 2, "same table of orthologs"),
        ((), 3, "another input in run.json"),
    ],
)
def test_a_run_that_cannot_be_repeated_is_refused(
    cohort, run, predictions, tmp_path, monkeypatch, capsys, more, code, message
):
    path = cohort[1] if more else cohort[0]
    options = ("--bundle", run / "bundle", "--output", tmp_path / "out", "--repeat", predictions / "run.json", *more)
    found, error = command(monkeypatch, capsys, predict, path, *options)
    assert found == code
    assert message in error
    assert not (tmp_path / "out").exists()


def test_what_is_no_run_json_is_refused(cohort, run, tmp_path, monkeypatch, capsys):
    (tmp_path / "run.json").write_text("{}")
    options = ("--bundle", run / "bundle", "--output", tmp_path / "out", "--repeat", tmp_path / "run.json")
    code, error = command(monkeypatch, capsys, predict, cohort[1], *options)
    assert code == 3
    assert "a run is repeated from its run.json" in error


def test_how_samples_were_prepared_decides_what_is_said(cohort, run, predictions, tmp_path):
    plain = read_samples(predictions / "samples.csv")
    assert set(plain["sort_gate"]) == {"unsorted"}
    for gate, name in (("CD45+", "NBS-1.0/CD45"), ("CD45-", "NBS-1.0")):
        output = tmp_path / gate
        predict.predict(predict_config(cohort[1], run, output, "--preparation.gate", gate, "--report", "false"))
        samples = read_samples(output / "samples.csv")
        assert set(samples["burden_name"]) == {name}
        assert set(samples["sort_gate"]) == {gate}
        is_immune = gate == "CD45+"
        assert ((samples["n_denominator"] < 0.9 * plain["n_denominator"]) == is_immune).all()
        assert is_immune or (samples["assessability"] == "not_assessable").all()
