"""A sparse matrix stored row by row: which entries of which rows are read together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from datamodules.arrays import StoredArray, Values, open_arrays
from datamodules.bulk_rows import open_bulk
from datamodules.check import RawRows, check_indptr
from datamodules.elements import Element, length
from datamodules.narrow import narrow
from datamodules.pack import RawPart, is_packable
from datamodules.scratch import SCRATCH
from datamodules.space import Ints, LargeCounts, RowSpace

N_SAMPLES = 8
"""Places over a matrix at which values are looked at when counts are searched."""

_SAMPLE_ROWS = 32
_PART_ENTRIES = 2**17
"""Entries that are read and then packed at a time: they should still be in the processor's cache."""
_GAP_ENTRIES = 2**13
"""Entries between two rows that are rather read along than left out by a second read."""


class CsrMatrix:
    """A matrix stored row by row: AnnData's CSR, the CSC of genes x cells of a 10x .h5, or a spool.

    The row pointers (4 bytes per cell, 8 from 2**31 entries on) are held in memory; indices and values stay on disk.
    """

    is_by_rows = True

    def __init__(self, indptr: Element, indices: Element, values: Element, n_genes: int, where: str) -> None:
        self._indptr = narrow(read_pointers(indptr, indices, where))
        self._n_entries = length(values)
        self._indices, self._values = open_arrays(indices, values)
        self.n_rows, self.n_genes = len(self._indptr) - 1, n_genes
        self.is_packable = is_packable(self._indices.dtype, self._values.dtype)
        chunk = max(self._indices.chunk_rows, self._values.chunk_rows)
        self.chunk_rows = -(-chunk * self.n_rows // max(1, self._n_entries)) if chunk > 1 else 1
        self._gap = max(_GAP_ENTRIES, chunk)
        self._bulk = open_bulk(self._indices, self._values) if self.is_packable else None

    def read(self, start: int, stop: int) -> RawRows:
        """Return rows `start` to `stop - 1` as the file has them."""
        first, last = int(self._indptr[start]), int(self._indptr[stop])
        edges = self._indptr[start : stop + 1].astype(np.int64) - first
        return RawRows(edges, self._indices[first:last], self._values[first:last])

    def parts(self, rows: Ints) -> Iterator[RawPart]:
        """Yield rows, int64 ascending, in parts, each valid until this thread asks for the next."""
        begin, end = self._bounds(rows)
        for first, last in pairwise(self._stretches(begin, end).tolist()):
            low, high = int(begin[first]), int(end[last - 1])
            yield RawPart(
                begin[first:last] - low,
                end[first:last] - low,
                _borrowed("indices", self._indices, low, high),
                _borrowed("values", self._values, low, high),
            )

    def pack(self, rows: Ints, n_genes: int, space: RowSpace, row: int, entry: int) -> LargeCounts | None:
        """Read rows into a space in one call; see `datamodules.matrix.RawReader`."""
        if self._bulk is None:
            return None
        begin, end = self._bounds(rows)
        return self._bulk.pack(begin, end, self._stretches(begin, end), n_genes, space, row, entry)

    def max_entries(self, rows: Ints) -> int:
        """Return the stored entries of rows."""
        begin, end = self._bounds(rows)
        return int((end - begin).sum())

    def will_need(self, rows: Ints) -> None:
        """Tell the operating system which rows are read next."""
        begin, end = self._bounds(rows)
        stretches = self._stretches(begin, end)
        if self._bulk is not None:
            self._bulk.will_need(begin, end, stretches)
            return
        for first, last in pairwise(stretches.tolist()):
            self._indices.will_need(int(begin[first]), int(end[last - 1]))
            self._values.will_need(int(begin[first]), int(end[last - 1]))

    def sample(self) -> Iterator[RawRows]:
        """Yield rows around evenly spaced entries, so that empty cells do not hide the values."""
        for entry in np.linspace(0, max(0, self._n_entries - 1), N_SAMPLES).astype(np.int64):
            row = min(int(np.searchsorted(self._indptr, entry, side="right")) - 1, max(0, self.n_rows - 1))
            yield self.read(row, min(row + _SAMPLE_ROWS, self.n_rows))

    def close(self) -> None:
        """Close what was opened to read past libhdf5."""
        self._indices.close()
        self._values.close()

    def _bounds(self, rows: Ints) -> tuple[Ints, Ints]:
        """Return the first entry of rows and the entry after the last, int64 `[n_rows]` each."""
        return self._indptr[rows].astype(np.int64), self._indptr[rows + 1].astype(np.int64)

    def _stretches(self, begin: Ints, end: Ints) -> Ints:
        """Return where what is read at a time begins among rows of these entries, int64 `[n_stretches + 1]`."""
        if not len(begin):
            return np.zeros(1, dtype=np.int64)
        gaps = begin[1:] - end[:-1]
        cuts = gaps > self._gap
        if end[-1] - begin[0] > _PART_ENTRIES:
            read = np.cumsum((end - begin)[1:] + np.where(cuts, 0, gaps)) + end[0] - begin[0]
            cuts |= read // _PART_ENTRIES > np.concatenate([end[:1] - begin[:1], read[:-1]]) // _PART_ENTRIES
        return np.concatenate([[0], np.flatnonzero(cuts) + 1, [len(begin)]])


def read_pointers(indptr: Element, indices: Element, where: str) -> Ints:
    """Return row (or column) pointers as int64, however they are stored, checked against the entries.

    Raises
    ------
    InputError
        If they do not fit the entries.
    """
    pointers: Ints = np.asarray(indptr[:]).astype(np.int64)
    check_indptr(pointers, length(indices), where)
    return pointers


def _borrowed(name: str, array: StoredArray, start: int, stop: int) -> Values:
    """Return entries of an array in this thread's scratch memory."""
    return array.read_into(SCRATCH.take(name, stop - start, array.dtype), start)
