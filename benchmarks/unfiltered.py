"""An unfiltered matrix beside the filtered one: `python -m benchmarks.unfiltered --run runs/demo --cells FILE`.

Prints what a prediction costs, how far the figures move, and which neutrophils of few UMI are found.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from benchmarks.markdown import number, table
from benchmarks.measure import Measured, python, run_measured
from benchmarks.unfiltered_cells import THINNED, write_thinned, write_unfiltered
from schema.labels import CellOntology
from schema.predictions import read_samples

UMI_EDGES = (150, 250, 500, 1000)
"""Between these, recall of neutrophils is told."""


def predict(path: Path, run: Path, output: Path, *more: str) -> Measured:
    """Predict a file with predict.py and the bundle of a run."""
    command = python("predict.py", str(path), "--bundle", str(run / "bundle"), "--output", str(output))
    return run_measured([*command, "--overwrite", "true", *more], output.with_suffix(".log"))


def is_neutrophil(node_ids: pd.Series, ontology: CellOntology) -> pd.Series:
    """Return which node ids lie at or below neutrophil."""
    neutrophil = ontology.index_by_id[ontology.roles.neutrophil]
    at_two = ontology.ancestor_at(2)
    return node_ids.astype(str).map(lambda name: at_two[ontology.index_by_id[name]] == neutrophil)


def recall_rows(truth: pd.Series, cells: pd.DataFrame, ontology: CellOntology) -> list[list[str]]:
    """Return, between UMI edges, true neutrophils, the share called neutrophil and the share below 500 genes."""
    ours = cells[is_neutrophil(truth, ontology).to_numpy()]
    rows = []
    for low, high in pairwise(UMI_EDGES):
        part = ours[(ours["library_size"] >= low) & (ours["library_size"] < high)]
        recall = float((part["predicted_cell_type"] == "neutrophil").mean())
        rows.append([f"{low}-{high}", str(len(part)), number(recall), number(float((part["n_genes"] < 500).mean()))])
    return rows


def thinned_rows(truth: pd.Series, cells: pd.DataFrame, ontology: CellOntology) -> list[list[str]]:
    """Return, for each expected UMI, recall and mean probability of neutrophils, and other cells called neutrophil."""
    ours = is_neutrophil(truth, ontology).to_numpy()
    called = (cells["predicted_cell_type"] == "neutrophil").to_numpy()
    rows = []
    for umi in THINNED:
        here = (cells["sample_id"] == str(umi)).to_numpy()
        probability = float(cells["neutrophil_probability"][here & ours].mean())
        shares = [float(called[here & ours].mean()), probability, float(called[here & ~ours].mean())]
        rows.append([str(umi), *(number(share) for share in shares)])
    return rows


def cost_rows(spent: Sequence[dict[str, Measured]], n_barcodes: dict[str, int]) -> list[list[str]]:
    """Return, for each file, barcodes, seconds (median, least and most of the rounds) and largest peak memory."""
    rows = []
    for name, n_rows in n_barcodes.items():
        seconds = [one[name].seconds for one in spent]
        spread = f"{np.median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f})"
        rows.append([name, f"{n_rows:,}", spread, f"{max(one[name].peak_mib for one in spent):.0f}"])
    return rows


def compare(filtered: Path, unfiltered: Path) -> str:
    """Return how far an unfiltered file reads otherwise than the filtered one, from the folders of the predictions."""
    calls = [
        pd.read_parquet(folder / "cells.parquet").set_index("cell_id")["predicted_cell_type"]
        for folder in (filtered, unfiltered)
    ]
    burden = [
        read_samples(folder / "samples.csv").set_index("sample_id")["burden_percent"]
        for folder in (filtered, unfiltered)
    ]
    same = float((calls[1].loc[calls[0].index] == calls[0]).mean())
    moved = float((burden[1] - burden[0]).abs().max())
    return f"Calls of the cells that agree: {same:.4f}; largest move of a burden: {moved:.3f} points."


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Predict an unfiltered matrix beside the filtered one.")
    parser.add_argument("--run", type=Path, required=True, help="run folder of a bundle that knows ambient droplets")
    parser.add_argument("--cells", type=Path, required=True, help="held-out cells of the simulator")
    parser.add_argument("--work", type=Path, default=Path("runs/unfiltered"), help="folder for what is made")
    parser.add_argument("--droplets", type=int, default=320_000, help="droplets without a cell")
    parser.add_argument("--ambient", type=int, default=3_000, help="droplets that hold more ambient RNA")
    parser.add_argument("--rounds", type=int, default=3, help="how often each prediction is timed")
    options = parser.parse_args(arguments)
    work, run = options.work.resolve(), options.run.resolve()
    work.mkdir(parents=True, exist_ok=True)
    ontology, cells = CellOntology.load(), ad.read_h5ad(options.cells)
    raw = write_unfiltered(cells, work / "raw.h5ad", options.droplets, options.ambient)
    files = {"filtered": options.cells.resolve(), "unfiltered": raw}
    spent = [{name: predict(path, run, work / name) for name, path in files.items()} for _ in range(options.rounds)]
    found = {name: pd.read_parquet(work / name / "cells.parquet").set_index("cell_id") for name in files}
    costs = cost_rows(spent, {name: len(of_file) for name, of_file in found.items()})
    recall = recall_rows(cells.obs["true_cell_type_id"], found["unfiltered"].loc[cells.obs_names], ontology)
    predict(write_thinned(cells, work / "thinned.h5ad"), run, work / "thinned", "--min_counts", "1")
    truth = ad.read_h5ad(work / "thinned.h5ad", backed="r").obs["true_cell_type_id"]
    thinned = thinned_rows(truth, pd.read_parquet(work / "thinned" / "cells.parquet"), ontology)
    parts = (
        table(["file", "barcodes", "seconds", "peak, MiB"], costs),
        compare(work / "filtered", work / "unfiltered"),
        table(["UMI", "neutrophils", "recall", "below 500 genes"], recall),
        table(["thinned to", "recall", "mean probability", "others called so"], thinned),
    )
    sys.stdout.write("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
