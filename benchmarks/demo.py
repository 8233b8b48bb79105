"""The demo's last step: estimates beside the truth of the simulated mice, in metrics.json and a short summary."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.metrics import cohen_kappa_score, f1_score

from datamodules.store import open_store
from model.bundle import load_bundle
from schema.labels import CellOntology
from schema.predictions import NOT_ASSESSABLE, read_samples
from schema.stages import StageScale
from scoring.truth import true_burden


def compare(run: Path, truth: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return the metrics of a run's predictions, and one row per sample with estimate and truth.

    Parameters
    ----------
    run
        Run folder with bundle/ and predictions/.
    truth
        Simulated file that was predicted.
    """
    bundle = load_bundle(run / "bundle")
    if bundle.scale is None:
        raise ValueError("Expected a bundle with a stage head.")
    ontology, scale = bundle.ontology, bundle.scale
    cells = pq.read_table(run / "predictions" / "cells.parquet").to_pandas()
    samples = read_samples(run / "predictions" / "samples.csv")
    with open_store(truth) as store:
        kind, stage, lost = (store.obs(name) for name in ("true_cell_type_id", "tumor_stage", "neutrophils_lost"))
    node = np.array([ontology.index_by_id[name] for name in kind.categories])[kind.codes]
    position = {name: i for i, name in enumerate(samples["sample_id"])}
    known = true_burden(
        cells["sample_id"].map(position).to_numpy(dtype=np.int64),
        node,
        stage,
        np.asarray(lost) == "True",
        sample_ids=list(position),
        ontology=ontology,
    ).rename(columns={"burden_percent": "true_burden_percent", "tumor_stage": "true_tumor_stage"})
    table = samples.merge(known, on="sample_id", how="left")
    return cell_metrics(cells, node, ontology) | sample_metrics(table, scale), table


def cell_metrics(
    cells: pd.DataFrame, node: np.ndarray[Any, np.dtype[np.int64]], ontology: CellOntology
) -> dict[str, Any]:
    """Return accuracy and macro-F1 over types (level 2), and macro-F1 over the states of true neutrophils."""
    names = np.array([n.name for n in ontology.nodes], dtype=object)
    true_type = names[ontology.ancestor_at(2)[node]]
    called = cells["predicted_cell_type"].to_numpy(dtype=object)
    states = np.flatnonzero(ontology.parents == ontology.index_by_id[ontology.roles.neutrophil])
    is_neutrophil = np.isin(node, states)
    true_state = names[node[is_neutrophil]]
    called_state = cells["predicted_neutrophil_state"].to_numpy(dtype=object)[is_neutrophil]
    return {
        "n_cells": len(cells),
        "cell_type/accuracy": float((true_type == called).mean()),
        "cell_type/f1_macro": float(f1_score(true_type, called, average="macro", labels=np.unique(true_type))),
        "neutrophil_state/f1_macro": float(
            f1_score(true_state, called_state, average="macro", labels=np.unique(true_state))
        ),
    }


def sample_metrics(table: pd.DataFrame, scale: StageScale) -> dict[str, Any]:
    """Return how burden and stage estimates meet the truth, over the samples whose truth is known."""
    known = table[table["true_burden_percent"].notna() & (table["assessability"] != NOT_ASSESSABLE)]
    true, estimate = known["true_burden_percent"], known["burden_percent"]
    codes = {level.name: code for code, level in enumerate(scale.levels)}
    staged = table[table["true_tumor_stage"].notna()]
    true_stage = staged["true_tumor_stage"].map(codes).to_numpy()
    called_stage = staged["predicted_tumor_stage"].map(codes).to_numpy()
    return {
        "n_samples": len(table),
        "n_not_assessable": int((table["assessability"] == NOT_ASSESSABLE).sum()),
        "burden/mean_absolute_error_percent": float((estimate - true).abs().mean()),
        "burden/concordance": concordance(true.to_numpy(), estimate.to_numpy()),
        "burden/covered_by_interval": int(((known["burden_low"] <= true) & (true <= known["burden_high"])).sum()),
        "burden/n_compared": len(known),
        "tumor_stage/mean_absolute_error": float((staged["tumor_stage_expected"] - true_stage).abs().mean()),
        "tumor_stage/quadratic_kappa": float(cohen_kappa_score(true_stage, called_stage, weights="quadratic")),
    }


def concordance(true: np.ndarray[Any, np.dtype[Any]], estimate: np.ndarray[Any, np.dtype[Any]]) -> float:
    """Return Lin's concordance correlation coefficient (Lin 1989)."""
    covariance = float(np.cov(true, estimate, bias=True)[0, 1])
    return 2 * covariance / float(true.var() + estimate.var() + (true.mean() - estimate.mean()) ** 2)


def summary(metrics: dict[str, Any], table: pd.DataFrame, run: Path) -> str:
    """Return what the demo prints: estimate against truth by sample, and where everything lies."""
    lines = ["", "SIMULATED DATA: estimate against truth, mice that training never saw", ""]
    lines.append(f"{'sample':<12}{'burden, % (95 % interval)':<28}{'truth':>7}   {'stage':<18}{'truth':<18}")
    lines += [_sample_line(row) for row in table.to_dict("records")]
    lines += [
        "",
        f"cell types   accuracy {metrics['cell_type/accuracy']:.3f}, macro-F1 {metrics['cell_type/f1_macro']:.3f}; "
        f"neutrophil states macro-F1 {metrics['neutrophil_state/f1_macro']:.3f}",
        f"burden       mean error {metrics['burden/mean_absolute_error_percent']:.2f} points, "
        f"concordance {metrics['burden/concordance']:.3f}, truth inside the interval in "
        f"{metrics['burden/covered_by_interval']} of {metrics['burden/n_compared']}",
        f"stage        mean error {metrics['tumor_stage/mean_absolute_error']:.2f} stages, "
        f"quadratic kappa {metrics['tumor_stage/quadratic_kappa']:.2f}",
        "",
        f"report       {run / 'predictions' / 'report.html'}",
        f"tables       {run / 'predictions' / 'samples.csv'}, cells.parquet, annotated.h5ad",
        f"bundle       {run / 'bundle'}",
        f"metrics      {run / 'metrics.json'}",
    ]
    return "\n".join(lines)


def _sample_line(row: dict[Any, Any]) -> str:
    shown = f"{row['burden_percent']:5.1f} ({row['burden_low']:.1f} to {row['burden_high']:.1f})"
    burden = "not assessable" if row["assessability"] == NOT_ASSESSABLE else shown
    lost = np.isnan(row["true_burden_percent"])
    truth, stage = ("lost", "") if lost else (f"{row['true_burden_percent']:.1f}", row["true_tumor_stage"])
    return f"{row['sample_id']:<12}{burden:<28}{truth:>7}   {row['predicted_tumor_stage']:<18}{stage:<18}"


def main() -> None:
    """Compare, write metrics.json and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="run folder with bundle/ and predictions/")
    parser.add_argument("--truth", type=Path, required=True, help="simulated file that was predicted")
    options = parser.parse_args()
    metrics, table = compare(options.run, options.truth)
    (options.run / "metrics.json").write_text(json.dumps({"simulated": True} | metrics, indent=1) + "\n")
    print(summary(metrics, table, options.run))


if __name__ == "__main__":
    main()
