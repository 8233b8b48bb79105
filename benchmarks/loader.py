"""The loader benchmark: `python -m benchmarks.loader --output docs/results` (also `make bench-loader`)."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loader_bench import Bench, Row, Setting, run_rounds
from benchmarks.loader_environment import annbatch_python, annbatch_versions
from benchmarks.loader_files import WorkFolder, packing_command
from benchmarks.loader_jobs import ANNBATCH, SETTINGS, all_jobs, compile_kernels, fastest, needed_jobs, try_settings
from benchmarks.loader_page import page
from benchmarks.loader_set import SetConfig
from benchmarks.measure import ROOT, commit, hardware

SIZES = {"default": 60_000, "large": 1_000_000, "quick": 10_000}
"""Cells of the set."""
PACKAGES = ("anndata", "h5py", "numpy", "scdataset", "scipy", "torch", "zarr", "zarrs")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Make the set where it is not there, run all loaders, and return the rows with what the page says of them."""
    origin = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware()}
    size = "quick" if options.quick else "large" if options.large else "default"
    folder = WorkFolder.of(options.work.resolve(), SetConfig(n_cells=SIZES[size]))
    folder.prepare()
    packing = folder.make("packed", packing_command(folder.path("raw h5ad")))
    interpreters, notes = _annbatch(options.python312, options.work.resolve(), folder)
    seconds, limit = (1.0, 5.0) if options.quick else (options.seconds, 60.0 if options.large else 30.0)
    bench = Bench(folder=folder, interpreters=interpreters, seconds=seconds, limit_seconds=limit)
    peers = [name for name in SETTINGS if name != ANNBATCH or interpreters]
    tried = [] if options.quick else [row for name in peers for row in try_settings(bench, name)]
    settings = {name: fastest(tried, name) for name in peers}
    few = options.quick or options.brief
    jobs = [job for job in all_jobs(settings, quick=few) if job.loader != ANNBATCH or interpreters]
    jobs = needed_jobs(jobs) if options.brief else jobs
    if not options.quick:
        compile_kernels(bench, jobs)
    rows = run_rounds(bench, jobs, 1 if options.quick else options.rounds)
    return (
        origin
        | _words(bench, rows, tried, settings)
        | {
            "command": ("QUICK=1 " if options.quick else "")
            + "python -m benchmarks.loader"
            + (" --large" if options.large else "")
            + (" --brief" if options.brief else "")
            + " --output docs/results",
            "seeds": sorted({row["round"] for row in rows}),
            "quick": options.quick,
            "packing_seconds": packing,
            "versions": _versions(interpreters.get(ANNBATCH)),
            "notes": notes,
        }
    )


def ideal_distance(n_cells: Sequence[int], batch_size: int, seed: int = 0) -> float:
    """Return the mean total variation between the labels of a random draw and those of the set.

    Parameters
    ----------
    n_cells
        Cells of each label.
    batch_size
        Cells drawn, each once at most.
    seed
        Seed of 1,000 draws.
    """
    whole = np.asarray(n_cells) / np.sum(n_cells)
    draws = np.random.default_rng(seed).multivariate_hypergeometric(
        np.asarray(n_cells), min(batch_size, int(np.sum(n_cells))), size=1000
    )
    return float(np.abs(draws / draws.sum(axis=1, keepdims=True) - whole).sum(axis=1).mean() / 2)


def _words(bench: Bench, rows: list[Row], tried: list[Row], settings: dict[str, Setting]) -> dict[str, Any]:
    """Return what belongs to the rows."""
    folder, labels = bench.folder, json.loads(bench.folder.labels.read_text(encoding="utf-8"))
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    return {
        "set": asdict(folder.config),
        "batch_size": bench.batch_size,
        "seconds": bench.seconds,
        "limit_seconds": bench.limit_seconds,
        "n_rounds": len({row["round"] for row in rows}),
        "bytes_per_cell": {kind: folder.bytes_per_cell(kind) for kind in kinds},
        "entries_per_cell": next((r["entries_per_cell"] for r in rows if r.get("entries_per_cell")), float("nan")),
        "ideal_distance": ideal_distance(labels["n_cells"], bench.batch_size),
        "settings": {name: dict(setting) for name, setting in settings.items()},
        "settings_tried": tried,
        "rows": rows,
    }


def _annbatch(python: str, work: Path, folder: WorkFolder) -> tuple[dict[str, Path], list[str]]:
    """Return the interpreter of annbatch, with its store written; none and a note that says why otherwise."""
    try:
        interpreter = annbatch_python(python, work)
        command = [str(interpreter), "-m", "benchmarks.loader_annbatch", "--source", str(folder.path("raw h5ad"))]
        folder.make("annbatch", lambda path: [*command, "--target", str(path)])
    except RuntimeError as error:
        return {}, [f"annbatch: {str(error).strip().splitlines()[-1]}"]
    return {ANNBATCH: interpreter}, []


def _versions(annbatch: Path | None) -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    of_annbatch = annbatch_versions(annbatch) if annbatch else {}
    return found | {f"{name} (annbatch's)" if name in found else name: v for name, v in of_annbatch.items()}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure loaders; write loader.md and loader.json.")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench_loader", help="folder of the sets")
    parser.add_argument("--large", action="store_true", help="1,000,000 cells; about 45 GB of disk")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="one small round")
    parser.add_argument("--brief", action="store_true", help="only what the targets are about")
    parser.add_argument("--rounds", type=int, default=3, help="rounds")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each warm process")
    parser.add_argument("--python312", default="python3.12", help="Python >= 3.12, for annbatch")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write loader.md and loader.json; loader_large for the large set."""
    options = parse(arguments)
    results = measure(options)
    name = "loader_large" if options.large else "loader"
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"{name}.md").write_text(page(results), encoding="utf-8")
    (options.output / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(options.output / f"{name}.md")


if __name__ == "__main__":
    main()
