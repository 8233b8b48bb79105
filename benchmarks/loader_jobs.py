"""Which loaders are measured on which format, and with which settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from benchmarks.loader_bench import Bench, Job, Row, Setting, describe

OURS, SCDATASET, ANNLOADER, ROWS, ANNBATCH = "ours", "scDataset", "AnnLoader", "sparse_dataset", "annbatch"
HELD_OUT, UNCONVERTED = "ours, 2 of 8 donors held out", "AnnLoader, without its conversion to dense"

SETTINGS: dict[str, tuple[Setting, ...]] = {
    SCDATASET: (
        {"fetch_factor": 4, "num_workers": 0},
        {"fetch_factor": 1, "num_workers": 0},
        {"fetch_factor": 16, "num_workers": 0},
        {"fetch_factor": 1, "num_workers": 2},
        {"fetch_factor": 4, "num_workers": 2},
    ),
    ANNLOADER: ({"dense": True, "num_workers": 0}, {"dense": True, "num_workers": 2}),
    ANNBATCH: ({"chunk_size": 512, "preload_nchunks": 32}, {"chunk_size": 32, "preload_nchunks": 256}),
}
"""What is tried for a peer; the first where nothing is tried. annbatch: its defaults, and those of its README."""
TRIED_ON = {ANNBATCH: "annbatch"}
"""Format on which settings are tried, where it is not raw h5ad."""


def all_jobs(settings: Mapping[str, Setting], *, quick: bool = False) -> list[Job]:
    """Return what is measured, with the setting of each peer; a quick run leaves out what only completes the table."""

    def job(name: str, kind: str, state: str, loader: str = "", **setting: float) -> Job:
        loader = loader or name
        return Job(name=name, loader=loader, kind=kind, state=state, setting={**settings.get(loader, {}), **setting})

    both = [
        *(job(OURS, kind, state) for kind in ("raw h5ad", "gzip h5ad", "zarr", "packed") for state in ("warm", "cold")),
        *(job(SCDATASET, kind, state) for kind in ("raw h5ad", "gzip h5ad") for state in ("warm", "cold")),
        *(job(name, "raw h5ad", state) for name in (ANNLOADER, ROWS) for state in ("warm", "cold")),
        *(job(ANNBATCH, "annbatch", state) for state in ("warm", "cold")),
    ]
    warm = [
        *(job(name, "gzip h5ad", "warm") for name in (ANNLOADER, ROWS)),
        job(UNCONVERTED, "raw h5ad", "warm", ANNLOADER, dense=False),
        *(job(HELD_OUT, kind, "warm", OURS, val_share=0.25) for kind in ("raw h5ad", "packed")),
    ]
    return both if quick else both + warm


def needed_jobs(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that the targets are about, and zarr and random rows beside them."""
    cold = {(OURS, "packed"), (OURS, "raw h5ad"), (SCDATASET, "raw h5ad"), (ANNBATCH, "annbatch")}
    return [job for job in jobs if job.state == "warm" or (job.name, job.kind) in cold]


def compile_kernels(bench: Bench, jobs: Sequence[Job]) -> None:
    """Run ours once on each format and forget the figures, so that no round pays for compiling what is kept on disk."""
    for job in jobs:
        if job.name == OURS and job.state == "warm":
            bench.run(job, 0)


def try_settings(bench: Bench, loader: str) -> list[Row]:
    """Run a loader once with each of its settings, warm."""
    kind = TRIED_ON.get(loader, "raw h5ad")
    jobs = [Job(name=loader, loader=loader, kind=kind, state="warm", setting=s) for s in SETTINGS[loader]]
    rows = []
    for job in jobs:
        rows.append(bench.run(job, 0))
        print(f"tried {dict(job.setting)} {describe(rows[-1])}", file=sys.stderr, flush=True)
    return rows


def fastest(rows: Sequence[Row], loader: str) -> Setting:
    """Return the setting with most cells per second; the first of the loader's where none ran."""
    ran = [row for row in rows if row["name"] == loader and "error" not in row]
    best: Setting = max(ran, key=lambda row: row["cells_per_second"])["setting"] if ran else SETTINGS[loader][0]
    return best
