"""What it costs to check every value: rows packed and epochs read with and without checks."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import numpy.typing as npt

from benchmarks.measure import commit, hardware
from benchmarks.spread import Spread, figure
from datamodules import bulk_rows
from datamodules.compiled import compiled
from datamodules.coverage import cover
from datamodules.narrow import Rows, narrow
from datamodules.order import ReadSizes, Share, ShuffledPlan
from datamodules.pack import large_room, pack_rows, sum_of_small
from datamodules.read import read_batches
from datamodules.sources import SourceFile
from datamodules.space import Ints, RowSpace, index_dtype
from datamodules.store import CellStore, open_store
from schema.batch import LARGE
from schema.genes import GeneVocabulary

PAGE = Path(__file__).with_name("check_cost_page.md")

N_GENES, ENTRIES_PER_CELL, SEED = 20_000, 2_000, 100
N_CELLS, N_CELLS_QUICK = 20_000, 2_000
_ROWS, _BATCH = 64, 512
"""Cells packed at a time and in a block of an epoch, about as many as the reader takes: what is packed is still in the
processor's cache."""


def write_cells(path: Path, n_cells: int) -> None:
    """Write cells of made-up counts as an .h5ad of anndata's form, CSR float32 without filters."""
    rng = np.random.default_rng(SEED)
    strings = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        for name, n in (("obs", n_cells), ("var", N_GENES)):
            table = file.create_group(name)
            table.attrs["_index"] = "_index"
            table.create_dataset("_index", data=[f"Cd{number}a" for number in range(n)], dtype=strings)
        group = file.create_group("X")
        group.attrs["encoding-type"], group.attrs["shape"] = "csr_matrix", [n_cells, N_GENES]
        group["indptr"] = np.arange(n_cells + 1, dtype=np.int64) * ENTRIES_PER_CELL
        indices = group.create_dataset("indices", (n_cells * ENTRIES_PER_CELL,), np.int32)
        data = group.create_dataset("data", (n_cells * ENTRIES_PER_CELL,), np.float32)
        for row in range(n_cells):
            at = slice(row * ENTRIES_PER_CELL, (row + 1) * ENTRIES_PER_CELL)
            indices[at] = np.sort(rng.choice(N_GENES, ENTRIES_PER_CELL, replace=False))
            data[at] = rng.geometric(0.5, ENTRIES_PER_CELL)


def times_of(steps: Sequence[Callable[[], object]], n_rounds: int) -> list[list[float]]:
    """Return the seconds of each step in each round, after one that counts for nothing; steps take turns."""
    times: list[list[float]] = [[] for _ in steps]
    for number in range(n_rounds + 1):
        for step, found in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            if number:
                found.append(time.perf_counter() - start)
    return times


def measure(n_cells: int, n_rounds: int) -> list[list[float]]:
    """Return the seconds of packing with checks, packing without, and reading and packing from the file."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "cells.h5ad"
        write_cells(path, n_cells)
        with open_store(path) as store, h5py.File(path) as file:
            block = slice(0, _ROWS * ENTRIES_PER_CELL)  # as the reader leaves it: in the processor's cache
            indices, values = file["X/indices"][block], file["X/data"][block]
            space = RowSpace(
                np.empty(_ROWS * ENTRIES_PER_CELL, index_dtype(N_GENES)),
                np.empty(_ROWS * ENTRIES_PER_CELL, np.uint8),
                _ROWS,
            )
            large = large_room(_ROWS * ENTRIES_PER_CELL)
            starts = range(0, n_cells - _ROWS + 1, _ROWS)
            edges = np.arange(_ROWS + 1, dtype=np.int64) * ENTRIES_PER_CELL

            def pack(kernel: Callable[..., int]) -> None:
                for _ in starts:
                    kernel(edges[:-1], edges[1:], indices, values, 0, N_GENES, *space.arrays, 0, 0, large, 0)

            names = tuple(f"Cd{number}a" for number in range(N_GENES))
            match = cover(store, GeneVocabulary(names, ("",) * N_GENES, "mouse"), orthologs=None, min_share=1.0).match
            source = SourceFile.unlabelled(store, match, narrow(np.zeros(n_cells, dtype=np.int64)))
            epochs = [partial(_epoch, source, n_cells, kernel) for kernel in (pack_rows, _pack_unchecked)]
            steps = [lambda: pack(pack_rows), lambda: pack(_pack_unchecked), lambda: _read(store, space, starts)]
            return times_of([*steps, *epochs], n_rounds)


def _read(store: CellStore, space: RowSpace, starts: range) -> None:
    for start in starts:
        store.read_packed(np.arange(start, start + _ROWS, dtype=np.int64), space, 0, 0)


def _epoch(source: SourceFile, n_cells: int, kernel: Callable[..., int]) -> None:
    """Read all cells as batches of shuffled blocks, as training does, by threads that pack with this kernel."""
    reads = ReadSizes(batch_size=_BATCH, block_rows=_ROWS, window_rows=4 * _BATCH)
    plan = ShuffledPlan([n_cells], reads, Share(seed=SEED))
    with mock.patch.object(bulk_rows, "pack_rows", kernel):
        for _ in read_batches([source], [Rows.first(n_cells)], plan):
            pass


@compiled
def _pack_unchecked(
    begin: Ints,
    end: Ints,
    indices: npt.NDArray[np.int32],
    values: npt.NDArray[np.float32],
    base: int,
    n_genes: int,  # noqa: ARG001 - as pack_rows
    genes_out: npt.NDArray[np.uint16],
    counts_out: npt.NDArray[np.uint8],
    start: Ints,
    length: Ints,
    library_size: npt.NDArray[np.float32],
    row: int,
    entry: int,
    large: Ints,  # noqa: ARG001
    n_large: int,
) -> int:
    """Do what `pack_rows` does with small counts, and look at none of them."""
    for i in range(begin.size):
        a, b, n = begin[i] - base, end[i] - base, end[i] - begin[i]
        columns, counts = indices[a:b], values[a:b]
        genes, packed = genes_out[entry : entry + n], counts_out[entry : entry + n]
        for j in range(n):
            genes[j] = columns[j]
        for j in range(n):
            packed[j] = np.uint8(np.int32(min(counts[j], np.float32(LARGE))))
        has_large = False
        for j in range(n):
            has_large |= packed[j] == LARGE
        n_large += has_large
        start[row + i], length[row + i], library_size[row + i] = entry, n, sum_of_small(packed)
        entry += n
    return n_large


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write checks.md and checks.json."""
    parser = argparse.ArgumentParser(description="Measure what checking costs; write checks.md and checks.json.")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="fewer cells")
    options = parser.parse_args(arguments)
    n_cells, n_rounds = (N_CELLS_QUICK, 20) if options.quick else (N_CELLS, 20)
    measured = measure(n_cells, n_rounds)
    with_checks, without, reading, *epochs = measured
    cost = 100 * (min(with_checks) - min(without)) / min(reading)
    ratio = Spread.of([checked / unchecked for checked, unchecked in zip(*epochs, strict=True)])
    per_entry = 1e9 / (n_cells // _ROWS * _ROWS * ENTRIES_PER_CELL)
    names = (
        *("packed with checks", "packed without", "read from the page cache, checked and packed"),
        *("an epoch of shuffled batches, checked", "the same epoch without checks"),
    )
    rows = [
        f"| {name} | {per_entry * min(times):.2f} | {figure(Spread.of([per_entry * n for n in times]), digits=2)} |"
        for name, times in zip(names, measured, strict=True)
    ]
    results = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit(),
        "hardware": hardware(),
        "quick": options.quick,
        "n_cells": n_cells,
        "seconds": dict(zip(names, measured, strict=True)),
        "cost_percent": cost,
        "epoch_ratio": vars(ratio),
    }
    text = PAGE.read_text(encoding="utf-8").format(
        **results, n_rounds=n_rounds, rows="\n".join(rows), cost=f"{cost:.1f}", ratio=figure(ratio, digits=2)
    )
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "checks.md").write_text(text, encoding="utf-8")
    (options.output / "checks.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(text, file=sys.stderr)
    print(options.output / "checks.md")


if __name__ == "__main__":
    main()
