"""A loader's process as a job, and the rounds in which jobs take turns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.loader_files import WorkFolder
from benchmarks.measure import ROOT
from benchmarks.page_cache import drop, read_through, size_below

Row = dict[str, Any]
Setting = Mapping[str, float]

DISK = "disk"
"""Name of the rows that say how fast a file is read from first to last."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One loader on one format, with the file in the page cache ("warm") or not ("cold")."""

    name: str
    loader: str
    kind: str
    state: str
    setting: Setting = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all jobs have in common.

    Attributes
    ----------
    folder
        The set.
    interpreters
        Python of a loader that needs one of its own.
    seconds, limit_seconds
        How long whole epochs are taken, and after how long an epoch is left unfinished (see `loader_process`).
    batch_size
        Cells.
    time_limit
        Seconds after which a process is ended.
    """

    folder: WorkFolder
    interpreters: Mapping[str, Path]
    seconds: float
    limit_seconds: float = 30.0
    batch_size: int = 4096
    time_limit: float = 600.0

    def command(self, job: Job, seed: int) -> list[str]:
        """Return the command of a job."""
        options = {
            "loader": job.loader,
            "path": self.folder.path(job.kind).resolve(),
            "labels": self.folder.labels.resolve(),
            "state": job.state,
            "batch_size": self.batch_size,
            "seconds": self.seconds,
            "limit_seconds": self.limit_seconds,
            "seed": seed,
            "setting": json.dumps(job.setting),
        }
        pairs = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        python = str(self.interpreters.get(job.loader, sys.executable))
        return [python, "-m", "benchmarks.loader_process", *pairs]

    def run(self, job: Job, number: int) -> Row:
        """Run a job and return its row; a job that fails or takes too long has an `error` instead of figures."""
        row = {"round": number, "name": job.name, "kind": job.kind, "state": job.state, "setting": dict(job.setting)}
        try:
            done = subprocess.run(
                self.command(job, number),
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=self.time_limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return row | {"error": f"not one batch in {self.time_limit:.0f} s"}
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
            return row | {"error": next((line for line in reversed(lines) if "Error" in line), lines[-1])[:300]}
        figures: Row = json.loads(done.stdout.strip().splitlines()[-1])
        figures["cells_per_second"] = figures["n_cells"] / figures["seconds"]
        figures["cells_per_cpu_second"] = figures["n_cells"] / max(figures["cpu_seconds"], 1e-9)
        return row | figures

    def read_disk(self, kind: str, number: int) -> Row:
        """Read a format from the disk, first byte to last, and return how fast that went."""
        path = self.folder.path(kind)
        drop(path)
        n_bytes, seconds = size_below(path), read_through(path)
        row = {"round": number, "name": DISK, "kind": kind, "state": "cold", "seconds": seconds, "n_bytes": n_bytes}
        return row | {"bytes_per_second": n_bytes / seconds}


def run_rounds(bench: Bench, jobs: Sequence[Job], n_rounds: int) -> list[Row]:
    """Run all jobs in turn, then all again, each round beginning with another job; the disk is read in each round."""
    rows = []
    for number in range(n_rounds):
        rows += [bench.read_disk(kind, number) for kind in dict.fromkeys(job.kind for job in jobs)]
        first = number * len(jobs) // n_rounds
        for job in [*jobs[first:], *jobs[:first]]:
            rows.append(bench.run(job, number))
            print(f"round {number + 1}/{n_rounds} {describe(rows[-1])}", file=sys.stderr, flush=True)
    return rows


def describe(row: Row) -> str:
    """Return a row in one line, for the log."""
    figure = row.get("error") or f"{row['cells_per_second']:,.0f} cells/s"
    return f"{row['name']}, {row['kind']}, {row['state']}: {figure}"
