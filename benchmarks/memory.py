"""Peak memory against cells: `python -m benchmarks.memory --output docs/results` (also `make bench-memory`)."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py

from benchmarks.measure import ROOT, Measured, commit, hardware, python, run_measured
from benchmarks.memory_page import page

SIZES, QUICK_SIZES = (10_000, 100_000, 1_000_000), (5_000, 20_000)
"""Cells wanted; the simulator makes about as many."""
N_GENES, N_SAMPLES, SEED = 1_000, 40, 0
"""Genes and training samples of every cohort, whatever its cells."""
IMPORTS = {"train.py": "import train", "predict.py": "import predict, scoring.report, umap"}
"""What the baseline of a script imports: what the script does, late imports too."""
TRAINING = {
    "data.stage_scale": "mouse_carcinogenesis",
    "data.batch_size": "2048",
    "data.eval_batch_size": "512",
    "trainer.max_epochs": "1",
    "trainer.accelerator": "cpu",
    "trainer.devices": "1",
    "trainer.progress_bar": "false",
    "tracking.mode": "off",
    "seed": str(SEED),
}
"""What differs from the defaults of train.py. By default large sets take larger batches. Those of the validation are so
small that the smallest set, too, has enough of them to fill what is read ahead."""


def cohort(work: Path, n_cells: int) -> Path:
    """Return the training file of a simulated cohort of about so many cells, made where it is not there."""
    folder = work / f"{n_cells}_cells"
    path = folder / "train_simulated.h5ad"
    if not path.exists():
        shutil.rmtree(folder, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        sizes = {"n_mice": N_SAMPLES // 10, "n_cells": n_cells // N_SAMPLES, "n_genes": N_GENES, "seed": SEED}
        options = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
        run_measured(python("-m", "datamodules.simulate", "--output", str(folder), *options), work / "simulate.log")
        (folder / "held_out_simulated.h5ad").unlink()
    return path


def train(cells: Path, run: Path, log: Path) -> Measured:
    """Train one epoch with train.py into a new run folder."""
    shutil.rmtree(run, ignore_errors=True)
    options = {"output": str(run), "data.files": str(cells)} | TRAINING
    return run_measured(python("train.py", *(text for n, v in options.items() for text in (f"--{n}", v))), log)


def predict(cells: Path, bundle: Path, output: Path, log: Path) -> Measured:
    """Predict with predict.py, everything written; the results are removed again."""
    try:
        command = python("predict.py", str(cells), "--bundle", str(bundle), "--output", str(output), "--device", "cpu")
        return run_measured(command, log)
    finally:
        shutil.rmtree(output, ignore_errors=True)


def measure(work: Path, sizes: Sequence[int], n_rounds: int) -> list[dict[str, Any]]:
    """Run everything and return a row per process; sizes take turns in each round."""
    files = {size: cohort(work, size) for size in sizes}
    rows = []

    def note(step: str, size: int, number: int, measured: Measured) -> None:
        n_cells = count_cells(files[size]) if size else 0
        rows.append({"step": step, "n_cells": n_cells, "round": number, **vars(measured)})
        print(f"{step}, {n_cells:,} cells: {measured.peak_mib:,.0f} MiB, {measured.seconds:.0f} s", file=sys.stderr)

    for number in range(n_rounds):
        for step, statement in IMPORTS.items():
            note(step, 0, number, run_measured(python("-c", statement), work / "imports.log"))
        for size in sizes:
            note("train.py", size, number, train(files[size], work / f"run_{size}", work / "train.log"))
        bundle = work / f"run_{sizes[0]}" / "bundle"
        for size in sizes:
            note("predict.py", size, number, predict(files[size], bundle, work / "predictions", work / "predict.log"))
    return rows


def count_cells(path: Path) -> int:
    """Return the rows of an h5ad."""
    with h5py.File(path) as file:
        return int(file["X"].attrs["shape"][0])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure peak memory; write memory.md and memory.json.")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench_memory", help="folder of cohorts and runs")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="small cohorts")
    parser.add_argument("--rounds", type=int, default=1, help="rounds")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write memory.md and memory.json."""
    options = parse(arguments)
    origin = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware()}
    rows = measure(options.work.resolve(), QUICK_SIZES if options.quick else SIZES, options.rounds)
    results = {
        "command": ("QUICK=1 " if options.quick else "") + "python -m benchmarks.memory --output docs/results",
        **origin,
        "quick": options.quick,
        "seed": SEED,
        "n_genes": N_GENES,
        "n_samples": N_SAMPLES,
        "options": TRAINING,
        "n_rounds": options.rounds,
        "rows": rows,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "memory.md").write_text(page(results), encoding="utf-8")
    (options.output / "memory.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(options.output / "memory.md")


if __name__ == "__main__":
    main()
