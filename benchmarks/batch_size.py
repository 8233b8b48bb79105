"""Batch size and learning rate: `python -m benchmarks.batch_size --output docs/results` (also `make bench-batch`)."""

from __future__ import annotations

import argparse
import csv
import json
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.batch_size_page import page
from benchmarks.measure import ROOT, commit, hardware
from benchmarks.training_cohort import cohort
from datamodules.data_config import DataConfig
from model.encoder import EncoderConfig
from model.network import NetworkConfig
from model.training import OptimisationConfig
from train import TrackingConfig, TrainConfig, TrainerConfig, train

COHORT = {"n_mice": 3, "n_cells": 2_000, "n_genes": 2_000, "seed": 0}
QUICK_COHORT = COHORT | {"n_cells": 150, "n_genes": 600}
"""Options of the simulator: about 60,000 training cells, and about 4,500."""
BATCH_SIZES, QUICK_BATCH_SIZES = (128, 512, 2048), (128, 512)
RATES, QUICK_RATES = (1e-3, 2e-3, 4e-3, 8e-3), (5e-4, 1e-3)
N_HIDDEN, N_EPOCHS = 256, 4


def run(cells: Path, folder: Path, batch_size: int, rate: float, seed: int, n_epochs: int) -> dict[str, Any]:
    """Train once and return the metrics of the validation donors after the last epoch."""
    shutil.rmtree(folder, ignore_errors=True)
    config = TrainConfig(
        output=folder,
        data=DataConfig(files=str(cells), batch_size=batch_size),
        network=NetworkConfig(encoder=EncoderConfig(n_hidden=N_HIDDEN)),
        optimisation=OptimisationConfig(learning_rate=rate),
        trainer=TrainerConfig(max_epochs=n_epochs, accelerator="cpu", devices=1, progress_bar=False),
        tracking=TrackingConfig(mode="off"),
        refit=False,  # the validation donors are judged
        seed=seed,
    )
    train(config)
    row = {"batch_size": batch_size, "learning_rate": rate, "seed": seed}
    row |= last_metrics(folder / "log" / "metrics.csv")
    print(f"batch {batch_size}, rate {rate:g}, seed {seed}: loss {row['val/cell_type/loss']:.4f}", file=sys.stderr)
    return row


def last_metrics(log: Path) -> dict[str, float]:
    """Return the last value of each validation metric of a CSV log."""
    found: dict[str, float] = {}
    with log.open(encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            found |= {name: float(value) for name, value in line.items() if name.startswith("val/") and value}
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train over batch sizes and rates; write batch_size.md and .json.")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench_batch", help="folder of cohort and runs")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="a small grid")
    parser.add_argument("--seeds", type=int, default=2, help="seeds of each training: 0, 1, ...")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the grid and write batch_size.md and batch_size.json."""
    options = parse(arguments)
    logging.getLogger().setLevel(logging.ERROR)
    made = QUICK_COHORT if options.quick else COHORT
    sizes, rates = (QUICK_BATCH_SIZES, QUICK_RATES) if options.quick else (BATCH_SIZES, RATES)
    seeds, n_epochs = (range(1), 1) if options.quick else (range(options.seeds), N_EPOCHS)
    results = {
        "command": ("QUICK=1 " if options.quick else "") + "python -m benchmarks.batch_size --output docs/results",
        **{"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware()},
        **{"quick": options.quick, "cohort": made, "seeds": list(seeds), "n_hidden": N_HIDDEN, "n_epochs": n_epochs},
    }
    work = options.work.resolve()
    cells = cohort(work, made)
    rows = [run(cells, work / "run", size, rate, seed, n_epochs) for seed in seeds for size in sizes for rate in rates]
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "batch_size.md").write_text(page(results | {"rows": rows}), encoding="utf-8")
    text = json.dumps(results | {"rows": rows}, indent=1) + "\n"
    (options.output / "batch_size.json").write_text(text, encoding="utf-8")
    print(options.output / "batch_size.md")


if __name__ == "__main__":
    main()
