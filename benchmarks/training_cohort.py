"""A simulated cohort of which only the training file is used, made once into a work folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.measure import python, run_measured


def cohort(work: Path, options: dict[str, int]) -> Path:
    """Return the file of a simulated cohort, made where it is not there; its held-out mice are thrown away unseen."""
    folder = work / "_".join(f"{name}{value}" for name, value in options.items())
    path = folder / "train_simulated.h5ad"
    if not path.exists():
        shutil.rmtree(folder, ignore_errors=True)
        work.mkdir(parents=True, exist_ok=True)
        pairs = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        run_measured(python("-m", "datamodules.simulate", "--output", str(folder), *pairs), work / "simulate.log")
        (folder / "held_out_simulated.h5ad").unlink()
    return path
