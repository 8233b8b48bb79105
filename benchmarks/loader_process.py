"""One loader in a process of its own: `python -m benchmarks.loader_process`, one line of JSON on stdout.

It imports nothing but the standard library, numpy and the loader asked for, so that it also runs in an environment
that has nothing of this project installed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.page_cache import drop, read_through, resident_share

Ints = npt.NDArray[np.int64]

LOADERS = {
    "ours": "benchmarks.loader_ours:open_ours",
    "scDataset": "benchmarks.loader_peers:open_scdataset",
    "AnnLoader": "benchmarks.loader_peers:open_annloader",
    "sparse_dataset": "benchmarks.loader_peers:open_sparse_dataset",
    "annbatch": "benchmarks.loader_annbatch:open_annbatch",
}
"""Loader to the module that imports it and the function that opens it."""
STATES = ("warm", "cold")


class Loaded(NamedTuple):
    """What is noted of a batch: its entries (-1 where dense) and the label codes of its cells, int `[n_cells]`."""

    n_entries: int
    labels: npt.NDArray[np.integer[Any]]


class Opened(NamedTuple):
    """An opened loader: a function that begins an epoch, and the name of each label code."""

    epoch: Callable[[], Generator[Loaded, None, None]]
    names: Sequence[str]


class Consumed(NamedTuple):
    """What was read: cells, entries, wall and CPU seconds, and the label codes of each batch."""

    n_cells: int
    n_entries: int
    seconds: float
    cpu_seconds: float
    labels: list[npt.NDArray[np.integer[Any]]]


def consume(opened: Opened, *, seconds: float, limit_seconds: float) -> Consumed:
    """Take batches, whole epochs of them, until an epoch ends after some seconds.

    At the limit it ends within an epoch. The clock starts before the first epoch is begun and stops when the last batch
    is here.
    """
    labels: list[npt.NDArray[np.integer[Any]]] = []
    n_entries, passed, cpu, start = 0, 0.0, _cpu_seconds(), time.perf_counter()
    while passed < min(seconds, limit_seconds) or not labels:
        with closing(opened.epoch()) as epoch:
            for batch in epoch:
                passed = time.perf_counter() - start
                n_entries += batch.n_entries
                labels.append(batch.labels)
                if passed >= limit_seconds:
                    break
    return Consumed(sum(map(len, labels)), n_entries, passed, _cpu_seconds() - cpu, labels)


def label_distance(batches: Sequence[npt.NDArray[np.integer[Any]]], whole: npt.NDArray[np.float64]) -> float:
    """Return the mean total variation between the labels of a batch and those of the set, 0 to 1.

    Parameters
    ----------
    batches
        Label codes of each batch, int `[n_cells]`.
    whole
        Share of each label in the set, float64 `[n_labels]`.
    """
    shares = [np.bincount(batch, minlength=len(whole)) / len(batch) for batch in batches]
    return float(np.mean([np.abs(share - whole).sum() / 2 for share in shares]))


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Open a loader, bring its file into the state asked for, read, and return what it took."""
    module, function = LOADERS[options.loader].split(":")
    open_loader = getattr(importlib.import_module(module), function)
    imports_mib = peak_mib()
    start = time.perf_counter()
    opened = open_loader(options.path, options.batch_size, options.seed, **json.loads(options.setting))
    setup_seconds = time.perf_counter() - start
    (drop if options.state == "cold" else read_through)(options.path)
    resident = resident_share(options.path)
    seconds = options.seconds if options.state == "warm" else 0.0
    got = consume(opened, seconds=seconds, limit_seconds=options.limit_seconds)
    return {
        "setup_seconds": setup_seconds,
        "resident_share": resident,
        "n_cells": got.n_cells,
        "entries_per_cell": got.n_entries / got.n_cells if got.n_entries > 0 else None,
        "seconds": got.seconds,
        "cpu_seconds": got.cpu_seconds,
        "imports_mib": imports_mib,
        "peak_mib": peak_mib(),
        "label_distance": label_distance(*_full_batches(got.labels, opened.names, options)),
    }


def peak_mib() -> float:
    """Return the largest resident memory of this process so far, MiB; that of workers is not in it.

    Linux is asked for the process's own mark, because `ru_maxrss` starts at what the parent had.
    """
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    own = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)
    per_mib = 2**20 if sys.platform == "darwin" else 2**10
    return own / 2**10 if own is not None else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_mib


def _full_batches(
    labels: list[npt.NDArray[np.integer[Any]]], names: Sequence[str], options: argparse.Namespace
) -> tuple[list[Ints], npt.NDArray[np.float64]]:
    """Return the full batches in the label codes of the set, and the set's shares."""
    described = json.loads(options.labels.read_text(encoding="utf-8"))
    position = {name: code for code, name in enumerate(described["names"])}
    codes = np.array([position.get(name, -1) for name in names], dtype=np.int64)
    full = [codes[batch] for batch in labels if len(batch) == options.batch_size]
    whole = np.array(described["n_cells"], dtype=np.float64)
    return full or [codes[batch] for batch in labels], whole / whole.sum()


def _cpu_seconds() -> float:
    """Return the user and system seconds of this process and of its ended children."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure one loader.")
    parser.add_argument("--loader", choices=list(LOADERS), required=True)
    parser.add_argument("--path", type=Path, required=True, help="file or folder to load from")
    parser.add_argument("--labels", type=Path, required=True, help="JSON with the names and n_cells of the labels")
    parser.add_argument("--state", choices=STATES, required=True, help="whether the file is in the page cache")
    parser.add_argument("--batch_size", type=int, default=4096, help="cells")
    parser.add_argument("--seconds", type=float, default=5.0, help="take epochs for so long (warm); cold is one epoch")
    parser.add_argument("--limit_seconds", type=float, default=30.0, help="end within an epoch after so long")
    parser.add_argument("--seed", type=int, default=0, help="seed of the order")
    parser.add_argument("--setting", default="{}", help="further options of the loader, JSON")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure and print."""
    sys.stdout.write(json.dumps(measure(parse())) + "\n")


if __name__ == "__main__":
    main()
