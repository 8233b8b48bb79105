"""predict.py against CellTypist's annotate: the same files, from file to tables, each run a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import anndata as ad

from benchmarks.cells_cohort import CohortConfig, harmonised
from benchmarks.cells_methods import CELLTYPIST, Methods
from benchmarks.cells_settings import Setting
from benchmarks.measure import Measured, python, run_measured
from benchmarks.real_mice import NETWORK
from datamodules.simulate import HELD_OUT_FILE, TRAINING_FILE

N_SAMPLES = 10
"""Samples of a file: one mouse of each of five stages in two studies."""


def big_file(work: Path, config: CohortConfig, seed: int, n_cells: int) -> Path:
    """Return a file of about so many cells of the tissue of a cohort, made where it is not there."""
    path = work / f"speed_{n_cells}.h5ad"
    if not path.exists():
        folder = work / f"speed_{n_cells}"
        shutil.rmtree(folder, ignore_errors=True)
        sizes = {**vars(config), "n_mice": 1, "n_held_out_mice": 1, "n_cells": n_cells // N_SAMPLES, "seed": seed}
        options = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
        run_measured(python("-m", "datamodules.simulate", "--output", str(folder), *options), work / "speed.log")
        (folder / HELD_OUT_FILE).unlink()
        harmonised(folder / TRAINING_FILE, "").write_h5ad(path)
        shutil.rmtree(folder)
    return path


def measure_speed(
    methods: Methods, setting: Setting, files: Sequence[Path], work: Path, n_rounds: int
) -> list[dict[str, Any]]:
    """Predict each file with the bundle and with the CellTypist model of a setting, taking turns; return the rows.

    Each row is of a method and a file: cells, rounds, median seconds, cells per second and peak MiB.
    """
    bundle = methods.place(setting, NETWORK) / "run" / "bundle"
    model = methods.place(setting, CELLTYPIST) / "floor.model"
    tables_alone = ("--report", "false", "--explain.n_cells", "0")
    commands = {NETWORK: python("predict.py", "{file}", "--bundle", str(bundle), "--output", "{output}", *tables_alone)}
    if model.exists():
        peer = [str(methods.python_of(CELLTYPIST)), "-m", f"benchmarks.floor_{CELLTYPIST}", "tables"]
        commands[CELLTYPIST] = [*peer, str(model), "{file}", "{output}"]
    runs: dict[tuple[str, Path], list[Measured]] = {(name, file): [] for file in files for name in commands}
    for _ in range(n_rounds):
        for name, file in runs:
            runs[name, file].append(_run(commands[name], file, work / "speed_output"))
    return [_row(name, file, measured) for (name, file), measured in runs.items()]


def _run(command: Sequence[str], file: Path, output: Path) -> Measured:
    try:
        filled = [text.format(file=file, output=output) for text in command]
        return run_measured(filled, output.with_suffix(".log"))
    finally:
        shutil.rmtree(output, ignore_errors=True)


def _row(name: str, file: Path, measured: Sequence[Measured]) -> dict[str, Any]:
    n_cells = ad.read_h5ad(file, backed="r").n_obs
    seconds = median(one.seconds for one in measured)
    return {
        "method": name,
        "n_cells": n_cells,
        "n_rounds": len(measured),
        "seconds": seconds,
        "seconds_low": min(one.seconds for one in measured),
        "seconds_high": max(one.seconds for one in measured),
        "cells_per_second": n_cells / seconds,
        "peak_mib": median(one.peak_mib for one in measured),
    }
