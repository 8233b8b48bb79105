"""A matrix with every value stored; rows come out without their zeros."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.arrays import Values, open_arrays
from datamodules.check import RawRows
from datamodules.compiled import compiled
from datamodules.csr import N_SAMPLES
from datamodules.elements import Element
from datamodules.pack import RawPart, is_packable
from datamodules.scratch import SCRATCH
from datamodules.space import Ints, LargeCounts, RowSpace

_SAMPLE_ROWS = 32
_DENSE_BYTES = 2**25
"""Bytes of a dense matrix in memory at a time."""
_PART_BYTES = 2**21
"""Bytes that are read and then packed at a time: they should still be in the processor's cache."""


class DenseMatrix:
    """A matrix with every value stored; rows come out without their zeros, a few megabytes at a time."""

    is_by_rows = True

    def __init__(self, values: Element) -> None:
        (self._values,) = open_arrays(values)
        self.n_rows, self.n_genes = (int(size) for size in values.shape)
        self.is_packable = is_packable(np.dtype(np.int32), self._values.dtype)
        self.chunk_rows = self._values.chunk_rows
        self._row_bytes = max(1, self.n_genes * self._values.dtype.itemsize)

    def read(self, start: int, stop: int) -> RawRows:
        """Return rows `start` to `stop - 1` without zeros."""
        step = max(1, _DENSE_BYTES // self._row_bytes)
        parts = [self._nonzeros(first, min(first + step, stop)) for first in range(start, stop, step)]
        if not parts:
            parts = [(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=self._values.dtype))]
        sizes, columns, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return RawRows(np.concatenate([[0], np.cumsum(sizes)]), columns, values)

    def parts(self, rows: Ints) -> Iterator[RawPart]:
        """Yield rows, int64 ascending, in parts, each valid until this thread asks for the next."""
        for stretch in self._stretches(rows):
            n_values = len(stretch) * self.n_genes
            block = SCRATCH.take("dense", n_values, self._values.dtype).reshape(len(stretch), self.n_genes)
            self._values.read_into(block, int(stretch[0]))
            columns = SCRATCH.take("indices", n_values, np.int32)
            values = SCRATCH.take("values", n_values, self._values.dtype)
            edges: Ints = np.zeros(len(stretch) + 1, dtype=np.int64)
            _without_zeros(block, edges, columns, values)
            yield RawPart(edges[:-1], edges[1:], columns[: edges[-1]], values[: edges[-1]])

    def pack(self, rows: Ints, n_genes: int, space: RowSpace, row: int, entry: int) -> LargeCounts | None:  # noqa: ARG002
        """Return None: zeros must go before rows are packed."""
        return None

    def max_entries(self, rows: Ints) -> int:
        """Return the values of rows, zeros among them."""
        return len(rows) * self.n_genes

    def will_need(self, rows: Ints) -> None:
        """Tell the operating system which rows are read next."""
        for stretch in self._stretches(rows):
            self._values.will_need(int(stretch[0]), int(stretch[-1]) + 1)

    def sample(self) -> Iterator[RawRows]:
        """Yield evenly spaced rows."""
        for start in np.linspace(0, max(0, self.n_rows - _SAMPLE_ROWS), N_SAMPLES).astype(np.int64):
            yield self.read(int(start), min(int(start) + _SAMPLE_ROWS, self.n_rows))

    def close(self) -> None:
        """Close what was opened to read past libhdf5."""
        self._values.close()

    def _stretches(self, rows: Ints) -> Iterator[Ints]:
        """Yield neighbouring rows that are read at a time."""
        step = max(1, _PART_BYTES // self._row_bytes)
        edges = [0, *(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        for a, b in pairwise(edges):
            yield from (rows[at : min(at + step, b)] for at in range(a, b, step))

    def _nonzeros(self, start: int, stop: int) -> tuple[Values, Values, Values]:
        block = np.asarray(self._values[start:stop])
        rows, columns = np.nonzero(block)
        return np.bincount(rows, minlength=stop - start), columns, block[rows, columns]


@compiled
def _without_zeros(
    block: npt.NDArray[Any], edges: Ints, columns: npt.NDArray[np.int32], values: npt.NDArray[Any]
) -> None:
    at = 0
    for row in range(block.shape[0]):
        for column in range(block.shape[1]):
            columns[at], values[at] = column, block[row, column]
            at += block[row, column] != 0
        edges[row + 1] = at
