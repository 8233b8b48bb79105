"""Opens a part of a packed store: rows shuffled once on disk, entries as they are used, so that reading is copying."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.check import MAX_COUNT, RawRows, check_indptr
from datamodules.compiled import compiled
from datamodules.pack import joined
from datamodules.packed_check import check_files, check_source
from datamodules.packed_entries import CompressedEntries, Entries, PlainEntries
from datamodules.packed_obs import PackedCells, read_genes
from datamodules.packed_part import LIBRARY, POINTERS, PartInfo, parts_of
from datamodules.packed_records import Placed, Records, damaged, load_array
from datamodules.row_packer import runs_of
from datamodules.scratch import SCRATCH
from datamodules.source import Source, reading
from datamodules.space import Ints, LargeCounts, RowSpace, index_dtype
from schema.batch import LARGE
from schema.errors import InputError

__all__ = ["PackedMatrix", "only_part", "open_packed", "parts_of"]

_SAMPLE_ROWS = 256
_NO_LARGE = joined([])


def open_packed(part: Path, layer: str = "auto") -> Source:
    """Return the source in a part of a packed store.

    Raises
    ------
    InputError
        If a file of it is missing, cut or changed, if its source has changed since, or another layer is asked for.
    """
    info = PartInfo.load(part)
    check_files(part, info)
    location = info.source.counts_location
    if layer != "auto" and {"X": "X", "raw": "raw/X"}.get(layer, f"layers/{layer}") != location:
        raise InputError(
            "a store holds the counts it was prepared from",
            got=f"{layer!r} asked for where {location} is",
            where=part.name,
            fix=f"Prepare it again with --layer {layer}.",
        )
    with reading(part.name):
        genes = read_genes(part)
        cells = PackedCells(part, info.source.name)
        matrix = PackedMatrix(part, info)
    check_source(part, info, genes.symbols, genes.ids)
    return Source(
        kind="packed",
        matrix=matrix,
        counts_location=location,
        genes=genes,
        cells=cells,
        close=cells.close,
        name=info.source.name,
    )


def only_part(parts: list[Path], name: str) -> Path:
    """Return the part of a store that has one.

    Raises
    ------
    InputError
        If it has several: they are sources of their own.
    """
    if len(parts) > 1:
        raise InputError(
            "a source of cells must be one file or one part of a store",
            got=f"a store of {len(parts)} parts",
            where=name,
            fix=f"Give one of them: {name}/{parts[0].name}.",
        )
    return parts[0]


class PackedMatrix:
    """The counts of a part; about 12 bytes per cell are held in memory.

    Attributes
    ----------
    n_rows, n_genes
        Shape.
    """

    def __init__(self, part: Path, info: PartInfo) -> None:
        self.n_rows, self.n_genes, self._where = info.n_cells, info.n_genes, part.name
        self._pointers = load_array(part, POINTERS, np.int64, info.n_cells + 1)
        check_indptr(self._pointers, info.n_entries, f"{part.name}/{POINTERS}")
        self._library_size = load_array(part, LIBRARY, np.float32, info.n_cells)
        form = CompressedEntries if info.compressed else PlainEntries
        self._entries: Entries = form(part, info, self._pointers)
        self._large = Records(part, "large", info.n_cells)
        self._index_dtype = index_dtype(info.n_genes)

    def read(self, start: int, stop: int) -> RawRows:
        """Return rows `start` to `stop - 1`."""
        n_entries = int(self._pointers[stop] - self._pointers[start])
        indices: npt.NDArray[Any] = np.empty(n_entries, dtype=self._index_dtype)
        counts = np.empty(n_entries, dtype=np.uint8)
        space = RowSpace(indices, counts, stop - start)
        large = self._read(start, stop, space, 0, 0)
        values = counts.astype(np.float32)
        values[space.start[large.row] + large.offset] = large[2]
        return RawRows(self._pointers[start : stop + 1] - self._pointers[start], indices, values)

    def sample(self) -> Iterator[RawRows]:
        """Yield the first rows: they are in random order."""
        yield self.read(0, min(_SAMPLE_ROWS, self.n_rows))

    def max_entries(self, rows: Ints) -> int:
        """Return the entries of rows."""
        first, last = runs_of(rows).T
        return int((self._pointers[last] - self._pointers[first]).sum())

    def read_packed(self, rows: Ints, space: RowSpace, row: int, entry: int) -> LargeCounts:
        """Read rows into a space; see `datamodules.store.CellStore.read_packed`."""
        runs = runs_of(rows)
        if (at_once := self._read_at_once(runs, space, row, entry)) is not None:
            return at_once
        found = []
        for start, stop in runs.tolist():
            found.append(self._read(start, stop, space, row, entry))
            entry += self._pointers.item(stop) - self._pointers.item(start)
            row += stop - start
        return joined(found)

    def will_need(self, rows: Ints) -> None:
        """Tell the operating system which rows are read next."""
        self._entries.will_need(runs_of(rows))

    def close(self) -> None:
        """Close the files."""
        self._entries.close()
        self._large.close()

    def _read_at_once(self, runs: Ints, space: RowSpace, row: int, entry: int) -> LargeCounts | None:
        """Read plain entries of many runs in one go; None where that cannot be, or where one is damaged."""
        if not isinstance(self._entries, PlainEntries) or space.indices.dtype != self._index_dtype:
            return None
        first, last = runs.T
        n_rows = int((last - first).sum())
        end = entry + int((self._pointers[last] - self._pointers[first]).sum())
        if row + n_rows > len(space.start) or end > min(len(space.indices), len(space.counts)):
            raise ValueError("the space must hold the rows")
        of_rows = space.start, space.length, space.library_size
        _note_runs(self._pointers, self._library_size, runs, *of_rows, row, entry)
        if not self._entries.read_runs(runs, space.indices[entry:end], space.counts[entry:end]):
            return None
        large = self._large.of_runs(self._pointers, runs)
        return None if large is None else self._checked(large, row) if len(large.row) else _NO_LARGE

    def _read(self, start: int, stop: int, space: RowSpace, row: int, entry: int) -> LargeCounts:
        """Read neighbouring rows into a space."""
        end = entry + self._pointers.item(stop) - self._pointers.item(start)
        if row + stop - start > len(space.start) or end > min(len(space.indices), len(space.counts)):
            raise ValueError("the space must hold the rows")
        of_rows = space.start, space.length, space.library_size
        _note_rows(self._pointers, self._library_size, start, stop, *of_rows, row, entry)
        wanted = space.indices[entry:end]
        same = wanted.dtype == self._index_dtype
        indices = wanted if same else SCRATCH.take("narrow", len(wanted), self._index_dtype)
        self._entries.read(start, stop, indices, space.counts[entry:end])
        if not same:
            wanted[:] = indices
        large = self._large.within(self._pointers, start, stop)
        return self._checked(large, row) if len(large.row) else _NO_LARGE

    def _checked(self, large: Placed, row: int) -> LargeCounts:
        if large.value.min() < LARGE or large.value.max() > MAX_COUNT:
            raise damaged("a large count out of range", f"{self._where}/large.bin")
        return LargeCounts(large.row + row, large.offset, large.value.astype(np.float32))


@compiled
def _note_rows(
    pointers: Ints,
    of_store: npt.NDArray[np.float32],
    start: int,
    stop: int,
    starts: Ints,
    lengths: Ints,
    library_size: npt.NDArray[np.float32],
    row: int,
    entry: int,
) -> None:
    for i in range(stop - start):
        starts[row + i] = entry + pointers[start + i] - pointers[start]
        lengths[row + i] = pointers[start + i + 1] - pointers[start + i]
        library_size[row + i] = of_store[start + i]


@compiled
def _note_runs(
    pointers: Ints,
    of_store: npt.NDArray[np.float32],
    runs: Ints,
    starts: Ints,
    lengths: Ints,
    library_size: npt.NDArray[np.float32],
    row: int,
    entry: int,
) -> None:
    for i in range(len(runs)):
        start, stop = runs[i, 0], runs[i, 1]
        _note_rows(pointers, of_store, start, stop, starts, lengths, library_size, row, entry)
        row, entry = row + stop - start, entry + pointers[stop] - pointers[start]
