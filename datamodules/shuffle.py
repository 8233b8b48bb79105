"""The external shuffle: rows of a source, in its order, become sorted runs on disk; runs become rows in a new order.

Memory holds one run, once as it comes and once sorted, and about 40 bytes per cell.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.pack import gather, joined
from datamodules.packed_part import GROUP_ROWS
from datamodules.packed_writer import AppendedFiles
from datamodules.space import Ints, LargeCounts, RowSpace
from datamodules.store import CellStore

RUN_ENTRIES = 2**25
"""Entries in memory at a time; at 6 bytes each, twice 3, 200 MB."""

RUN_FILES = ("runs-rows.bin", "runs-indices.bin", "runs-counts.bin", "runs-large.bin")

_PIECE_ROWS = 1024
"""Rows read at once."""

_ROW = np.dtype([("target", "<i8"), ("length", "<i4"), ("n_large", "<i4"), ("library_size", "<f4")])
_LARGE = np.dtype([("offset", "<u4"), ("count", "<f4")])


def shuffled_by_group(group: npt.NDArray[np.integer[Any]], seed: int) -> Ints:
    """Return rows so that each group's are together and in random order, groups in random order too.

    Parameters
    ----------
    group
        `[n_rows]`: codes >= -1.
    seed
        Seed of both.

    Returns
    -------
    Ints
        int64 `[n_rows]`.
    """
    rng = np.random.default_rng(seed)
    rank = rng.permutation(int(group.max(initial=-1)) + 2)
    rows = rng.permutation(len(group))
    return rows[np.argsort(rank[group[rows].astype(np.int64) + 1], kind="stable")]


class Run(NamedTuple):
    """Sizes of a run: rows, entries, large counts."""

    n_rows: int
    n_entries: int
    n_large: int


class Shuffler:
    """Memory for one run, and what is done with it.

    Parameters
    ----------
    store
        The source.
    index_dtype
        In which genes are packed.
    """

    def __init__(self, store: CellStore, index_dtype: type[np.uint16] | type[np.int32]) -> None:
        self._store = store
        self._n_entries = max(RUN_ENTRIES, GROUP_ROWS * len(store.gene_symbols))
        self._memory: list[tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]] = [
            (np.empty(self._n_entries, index_dtype), np.empty(self._n_entries, np.uint8)) for _ in range(2)
        ]

    def route(self, start: int, target: Ints, files: AppendedFiles) -> Run:
        """Read rows of the source from `start` on, as many as memory holds, and append them to a file as a sorted run.

        Parameters
        ----------
        start
            Row of the source.
        target
            int64 `[n_cells]`: the new place of each row.
        files
            Open `RUN_FILES`.

        Raises
        ------
        InputError
            If a value is no raw count.
        """
        pieces = self._pieces(start)
        n_rows = sum(len(rows) for rows, _ in pieces)
        space = RowSpace(*self._memory[0], n_rows)
        with ThreadPoolExecutor(min(8, len(os.sched_getaffinity(0)))) as pool:
            read = (pool.submit(self._store.read_packed, rows, space, int(rows[0]) - start, at) for rows, at in pieces)
            large = joined([piece.result() for piece in list(read)])
        place = target[start : start + n_rows]
        order = np.argsort(place)
        rows = np.zeros(n_rows, dtype=_ROW)
        rows["target"], rows["length"], rows["library_size"] = place, space.length, space.library_size
        rows["n_large"] = np.bincount(large.row, minlength=n_rows)
        indices, counts = self._memory[1]
        indptr, large_at, count = gather(space, large, order, indices, counts)
        records = np.empty(len(count), dtype=_LARGE)
        records["count"] = count
        records["offset"] = large_at - indptr[np.searchsorted(indptr, large_at, side="right") - 1]
        parts = rows[order], indices[: indptr[-1]], counts[: indptr[-1]], records
        for name, part in zip(RUN_FILES, parts, strict=True):
            files.append(name, part)
        return Run(n_rows, int(indptr[-1]), len(records))

    def merge(self, runs: Runs, start: int) -> Merged:
        """Return rows from `start` on in the new order, as many whole groups as memory holds."""
        stop = runs.stop(start, self._n_entries)
        space = RowSpace(*self._memory[0], stop - start)
        place, large = runs.load(start, stop, space)
        indices, counts = self._memory[1]
        indptr, large_at, count = gather(space, large, np.argsort(place), indices, counts)
        return Merged(indptr, indices[: indptr[-1]], counts[: indptr[-1]], large_at, count)

    def _pieces(self, start: int) -> list[tuple[Ints, int]]:
        """Return rows that are read at once, and where their entries go, as many as memory holds."""
        pieces, entry, n_cells = [], 0, self._store.n_cells
        while start < n_cells:
            rows = np.arange(start, min(start + _PIECE_ROWS, n_cells))
            while len(rows) > 1 and self._store.max_entries(rows) > self._n_entries:
                rows = rows[: len(rows) // 2]
            pieces.append((rows, entry))
            entry, start = entry + self._store.max_entries(rows), start + len(rows)
            if entry > self._n_entries:
                return pieces[:-1]
        return pieces


class Merged(NamedTuple):
    """Rows in the new order, as `datamodules.packed_writer.EntriesWriter.append` takes them."""

    indptr: Ints
    indices: npt.NDArray[Any]
    counts: npt.NDArray[np.uint8]
    large_at: Ints
    large: npt.NDArray[np.float32]


class Runs:
    """The sorted runs of a source on disk.

    Attributes
    ----------
    indptr
        int64 `[n_cells + 1]`: entries before each row of the new order.
    library_size
        float32 `[n_cells]` in the new order.
    """

    def __init__(self, folder: Path, runs: Sequence[Run], index_dtype: type[np.uint16] | type[np.int32]) -> None:
        self._folder, self._dtype = folder, np.dtype(index_dtype)
        self._rows = np.fromfile(folder / RUN_FILES[0], _ROW)
        before = np.zeros((len(runs) + 1, 3), dtype=np.int64)
        np.cumsum(np.array(runs, dtype=np.int64).reshape(-1, 3), axis=0, out=before[1:])
        self._before = before
        self.indptr = np.zeros(len(self._rows) + 1, dtype=np.int64)
        self.indptr[1:][self._rows["target"]] = self._rows["length"]
        np.cumsum(self.indptr, out=self.indptr)
        self.library_size = np.zeros(len(self._rows), dtype=np.float32)
        self.library_size[self._rows["target"]] = self._rows["library_size"]

    def stop(self, start: int, n_entries: int) -> int:
        """Return the row up to which rows from `start` have at most so many entries; whole groups, at least one."""
        n_rows = len(self.library_size)
        stop = int(np.searchsorted(self.indptr, self.indptr[start] + n_entries, side="right")) - 1
        return min(n_rows, max(stop // GROUP_ROWS * GROUP_ROWS, start + GROUP_ROWS)) if stop < n_rows else n_rows

    def load(self, start: int, stop: int, space: RowSpace) -> tuple[Ints, LargeCounts]:
        """Read the rows that come to be `start` to `stop - 1`; return their new places and large counts."""
        place, found, row, entry = [], [], 0, 0
        for run, low, high in self._slices(start, stop):
            rows, before = self._rows[low:high], self._rows[self._before[run, 0] : low]
            first = self._before[run, 1] + before["length"].sum(dtype=np.int64)
            here, at = slice(row, row + len(rows)), np.cumsum(rows["length"], dtype=np.int64)
            n_entries = int(at[-1])
            self._read(1, self._dtype, first, space.indices[entry : entry + n_entries])
            self._read(2, np.dtype(np.uint8), first, space.counts[entry : entry + n_entries])
            space.start[here], space.length[here] = entry + at - rows["length"], rows["length"]
            records = np.empty(rows["n_large"].sum(dtype=np.int64), dtype=_LARGE)
            self._read(3, _LARGE, self._before[run, 2] + before["n_large"].sum(dtype=np.int64), records)
            of_row = np.repeat(np.arange(here.start, here.stop), rows["n_large"])
            found.append(LargeCounts(of_row, records["offset"].astype(np.int64), records["count"]))
            place.append(rows["target"])
            row, entry = here.stop, entry + n_entries
        return np.concatenate(place), joined(found)

    def _slices(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield, for each run, where its rows lie that come to be `start` to `stop - 1`: run, first, last + 1."""
        for run in range(len(self._before) - 1):
            first, last = int(self._before[run, 0]), int(self._before[run + 1, 0])
            low, high = first + np.searchsorted(self._rows["target"][first:last], [start, stop])
            if high > low:
                yield run, int(low), int(high)

    def _read(self, number: int, dtype: np.dtype[Any], first: int, out: npt.NDArray[Any]) -> None:
        with (self._folder / RUN_FILES[number]).open("rb", buffering=0) as file:
            file.seek(int(first) * dtype.itemsize)
            if out.size and file.readinto(out.data.cast("B")) != out.nbytes:
                raise OSError(f"{RUN_FILES[number]} is cut")
