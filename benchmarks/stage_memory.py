"""Peak memory of stages: `python -m benchmarks.stage_memory --output docs/results` (also `make bench-stage-memory`).

One sample of a million cells and ten thousand samples, beside a small file; many samples also with the same bundle
without its heads for the stage, so that what the stage costs can be told from the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from benchmarks.measure import ROOT, commit, hardware, python, run_measured
from benchmarks.stage_memory_page import BUNDLES, MANY, ONE, SMALL, STAGE, WITHOUT_STAGE, page
from datamodules.simulate import HELD_OUT_FILE, TRAINING_FILE
from datamodules.simulation.file import new_counts_file
from model.bundle import load_bundle, save_bundle

CONFIG = "configs/experiment/stage_benchmark.yaml"
SEED, N_MICE, N_CELLS, N_GENES = 0, 2, 200, 600
"""Of the cohort that the bundle is trained on, and whose held-out mice the files are made of."""
TABLES_ALONE = ("--report", "false", "--explain.n_cells", "0", "--device", "cpu")


@dataclass(frozen=True)
class File:
    """A file to predict: its name, samples and cells of each."""

    name: str
    n_samples: int
    n_cells: int


FILES = (File(SMALL, 20, 1_000), File(ONE, 1, 1_000_000), File(MANY, 10_000, 130))
QUICK_FILES = (File(SMALL, 20, 130), File(ONE, 1, 20_000), File(MANY, 200, 130))


def bundles(work: Path) -> dict[str, Path]:
    """Return a bundle that has learnt a stage, and the same without; made where they are not there."""
    work.mkdir(parents=True, exist_ok=True)
    found = {STAGE: work / "run" / "bundle", WITHOUT_STAGE: work / "without_stage"}
    if not (work / "cohort").exists():
        sizes = {"n_mice": N_MICE, "n_held_out_mice": 1, "n_cells": N_CELLS, "n_genes": N_GENES, "seed": SEED}
        options = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
        simulate = python("-m", "datamodules.simulate", "--output", str(work / "cohort"), *options)
        run_measured([*simulate, "--stage_through", "state"], work / "simulate.log")
    if not found[STAGE].exists():
        shutil.rmtree(work / "run", ignore_errors=True)
        train = python("train.py", "--config", CONFIG, "--output", str(work / "run"), "--refit", "false")
        cells = ("--data.files", str(work / "cohort" / TRAINING_FILE), "--seed", str(SEED))
        run_measured([*train, *cells, "--trainer.progress_bar", "false"], work / "train.log")
    if not found[WITHOUT_STAGE].exists():
        bundle = load_bundle(found[STAGE])
        save_bundle(replace(bundle, staging=None, stage_support=None), found[WITHOUT_STAGE])
    return found


def write_file(path: Path, cells: ad.AnnData, file: File) -> None:
    """Write samples of the same cells, again and again, each cell under a name of its own.

    Parameters
    ----------
    path
        The h5ad to make.
    cells
        Raw counts, CSR, that samples take in turn.
    file
        How many samples of how many cells.
    """
    n_rows = file.n_samples * file.n_cells
    counts = cells.X.astype(np.float32).tocsr()
    with new_counts_file(path, cells.n_vars, None) as target:
        for start in range(0, n_rows, cells.n_obs):
            target.append(counts[: min(cells.n_obs, n_rows - start)])
        codes = np.repeat(np.arange(file.n_samples), file.n_cells)
        names = pd.Categorical.from_codes(codes, pd.Index([f"sample-{n}" for n in range(file.n_samples)]))
        obs = pd.DataFrame({"sample_id": names}, index=[f"cell-{row}" for row in range(n_rows)])
        target.finish(obs, pd.DataFrame(index=cells.var_names), {})


def measure(work: Path, files: Sequence[File]) -> list[dict[str, Any]]:
    """Predict each file with each bundle in a process of its own and return a row for each."""
    rows = []
    of_name = bundles(work)
    cells = ad.read_h5ad(work / "cohort" / HELD_OUT_FILE)
    for file in files:
        path, output = work / f"{file.name.replace(' ', '_')}.h5ad", work / "predictions"
        write_file(path, cells, file)
        for bundle in (STAGE,) if file.name == ONE else BUNDLES:
            command = python(
                "predict.py", str(path), "--bundle", str(of_name[bundle]), "--output", str(output), *TABLES_ALONE
            )
            measured = run_measured(command, work / "predict.log")
            n_said = _n_said(output / "samples.csv") if bundle == STAGE else 0
            rows.append({"file": file.name, "n_samples": file.n_samples, "n_cells": file.n_samples * file.n_cells})
            rows[-1] |= {"bundle": bundle, "n_said": n_said, **vars(measured)}
            print(f"{file.name}, {bundle}: {measured.peak_mib:,.0f} MiB, {measured.seconds:.0f} s", file=sys.stderr)
            shutil.rmtree(output)
        path.unlink()
    return rows


def _n_said(samples: Path) -> int:
    """Return the samples of which a stage is said."""
    return int(pd.read_csv(samples, usecols=["predicted_tumor_stage"])["predicted_tumor_stage"].notna().sum())


def state_bytes(bundle: Path) -> int:
    """Return the bytes that a bundle's heads for the stage keep of each sample while cells pass."""
    staging = load_bundle(bundle).staging
    if staging is None:
        raise ValueError("Expected a bundle that has learnt a stage.")
    state = staging.empty(1)
    pools = [tensor for output in state.outputs for part in (*output.pools, output.top) for tensor in part]
    return sum(tensor.nbytes for tensor in (*state.sums, *pools))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write stage_memory.md and stage_memory.json."""
    parser = argparse.ArgumentParser(description="Measure peak memory of stages; write stage_memory.md and .json.")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench_stage_memory", help="folder of files")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="small files")
    options = parser.parse_args(arguments)
    work = options.work.resolve()
    origin = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware()}
    content = {
        "command": ("QUICK=1 " if options.quick else "") + "make bench-stage-memory",
        **origin,
        **{"quick": options.quick, "seed": SEED, "n_genes": N_GENES},
        "rows": measure(work, QUICK_FILES if options.quick else FILES),
        "state_bytes": state_bytes(bundles(work)[STAGE]),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "stage_memory.md").write_text(page(content), encoding="utf-8")
    (options.output / "stage_memory.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(options.output / "stage_memory.md")


if __name__ == "__main__":
    main()
