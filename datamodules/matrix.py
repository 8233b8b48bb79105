"""Count matrices on disk, one reader per layout: rows come out unchecked, in the dtype of the file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Protocol

import numpy as np

from datamodules.check import RawRows, Values, check_indptr
from datamodules.elements import Element, attribute, is_group, length
from datamodules.reach import check_complete
from datamodules.spool import Entries, Spool
from schema.errors import InputError

logger = logging.getLogger(__name__)

N_SAMPLES = 8
"""Places over a matrix at which values are looked at when counts are searched."""

_SAMPLE_ROWS, _SAMPLE_ENTRIES = 32, 4096
_ENTRIES = 2**20
"""Entries of a column-wise matrix in memory at a time."""
_DENSE_BYTES = 2**25
"""Bytes of a dense matrix in memory at a time."""


class MatrixReader(Protocol):
    """Rows of a matrix `[n_rows, n_genes]`."""

    n_rows: int
    n_genes: int

    def read(self, start: int, stop: int) -> RawRows:
        """Return rows `start` to `stop - 1` as the file has them."""
        ...

    def sample(self) -> Iterator[RawRows]:
        """Yield a few stretches of the matrix, from its first to its last entries."""
        ...

    def close(self) -> None:
        """Give back what the reader holds beside the file."""
        ...


class CsrMatrix:
    """A matrix stored row by row: AnnData's CSR, the CSC of genes x cells of a 10x .h5, or a spool.

    The row pointers (8 bytes per cell) are held in memory; indices and values stay on disk.
    """

    def __init__(self, indptr: Element, indices: Element, values: Element, n_genes: int, where: str) -> None:
        self._indptr = np.asarray(indptr[:]).astype(np.int64)
        if length(values) != length(indices):
            raise _disagree(f"{length(values)} values for {length(indices)} indices", where)
        check_indptr(self._indptr, length(indices), where)
        self._indices, self._values, self._n_entries = indices, values, length(values)
        self.n_rows, self.n_genes = len(self._indptr) - 1, n_genes

    def read(self, start: int, stop: int) -> RawRows:
        """Return rows `start` to `stop - 1` as the file has them."""
        first, last = int(self._indptr[start]), int(self._indptr[stop])
        return RawRows(self._indptr[start : stop + 1] - first, self._indices[first:last], self._values[first:last])

    def sample(self) -> Iterator[RawRows]:
        """Yield rows around evenly spaced entries, so that empty cells do not hide the values."""
        for entry in np.linspace(0, max(0, self._n_entries - 1), N_SAMPLES).astype(np.int64):
            row = min(int(np.searchsorted(self._indptr, entry, side="right")) - 1, max(0, self.n_rows - 1))
            yield self.read(row, min(row + _SAMPLE_ROWS, self.n_rows))

    def close(self) -> None:
        """Nothing is held beside the file."""


class SpooledMatrix:
    """A matrix not stored by rows; transposed into a spool on disk when the first row is asked for."""

    def __init__(
        self, entries: Callable[[], Iterator[Entries]], n_rows: int, n_genes: int, n_entries: int, where: str
    ) -> None:
        self.n_rows, self.n_genes = n_rows, n_genes
        self._entries, self._n_entries, self._where = entries, n_entries, where
        self._spool: Spool | None = None
        self._rows: CsrMatrix | None = None

    def read(self, start: int, stop: int) -> RawRows:
        """Return rows `start` to `stop - 1`; the first call transposes the matrix."""
        if self._rows is None:
            logger.info("%s is not stored by cells: transposing it into a temporary folder", self._where)
            spool = self._spool = Spool(self._entries(), self.n_rows, self.n_genes, self._n_entries, self._where)
            self._rows = CsrMatrix(spool.indptr, spool.indices, spool.counts, self.n_genes, self._where)
        return self._rows.read(start, stop)

    def sample(self) -> Iterator[RawRows]:
        """Yield the first entries, as one row."""
        for block in islice(self._entries(), 1):
            yield RawRows(np.array([0, len(block.values)]), block.columns, block.values)

    def close(self) -> None:
        """Remove the spool."""
        if self._spool is not None:
            self._spool.close()


class CscMatrix(SpooledMatrix):
    """A matrix stored gene by gene, as AnnData's CSC."""

    def __init__(self, indptr: Element, indices: Element, values: Element, n_rows: int, where: str) -> None:
        self._indptr = np.asarray(indptr[:]).astype(np.int64)
        if length(values) != length(indices):
            raise _disagree(f"{length(values)} values for {length(indices)} indices", where)
        check_indptr(self._indptr, length(indices), where)
        self._indices, self._values = indices, values
        super().__init__(self._all_entries, n_rows, len(self._indptr) - 1, length(values), where)

    def sample(self) -> Iterator[RawRows]:
        """Yield evenly spaced stretches of entries, each as one row."""
        for start in np.linspace(0, max(0, self._n_entries - _SAMPLE_ENTRIES), N_SAMPLES).astype(np.int64):
            values = self._values[start : start + _SAMPLE_ENTRIES]
            yield RawRows(np.array([0, len(values)]), np.zeros(len(values), dtype=np.int64), values)

    def _all_entries(self) -> Iterator[Entries]:
        for start in range(0, self._n_entries, _ENTRIES):
            stop = min(start + _ENTRIES, self._n_entries)
            columns = np.searchsorted(self._indptr, np.arange(start, stop), side="right") - 1
            yield Entries(self._indices[start:stop], columns, self._values[start:stop])


class DenseMatrix:
    """A matrix with every value stored; rows come out without their zeros, a few megabytes at a time."""

    def __init__(self, values: Element) -> None:
        self._values = values
        self.n_rows, self.n_genes = (int(size) for size in values.shape)
        self._step = max(1, _DENSE_BYTES // max(1, self.n_genes * values.dtype.itemsize))

    def read(self, start: int, stop: int) -> RawRows:
        """Return rows `start` to `stop - 1` without zeros."""
        parts = [self._nonzeros(first, min(first + self._step, stop)) for first in range(start, stop, self._step)]
        if not parts:
            parts = [(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=self._values.dtype))]
        sizes, columns, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return RawRows(np.concatenate([[0], np.cumsum(sizes)]), columns, values)

    def sample(self) -> Iterator[RawRows]:
        """Yield evenly spaced rows."""
        for start in np.linspace(0, max(0, self.n_rows - _SAMPLE_ROWS), N_SAMPLES).astype(np.int64):
            yield self.read(int(start), min(int(start) + _SAMPLE_ROWS, self.n_rows))

    def close(self) -> None:
        """Nothing is held beside the file."""

    def _nonzeros(self, start: int, stop: int) -> tuple[Values, Values, Values]:
        block = np.asarray(self._values[start:stop])
        rows, columns = np.nonzero(block)
        return np.bincount(rows, minlength=stop - start), columns, block[rows, columns]


def open_matrix(element: Element, where: str) -> MatrixReader:
    """Return the reader for an AnnData matrix: CSR, CSC or dense.

    Raises
    ------
    InputError
        If it is none of these, or its parts contradict each other.
    """
    if not is_group(element):
        if element.shape is None or len(element.shape) != 2:
            raise _disagree(f"an array of shape {element.shape}", where)
        return DenseMatrix(element)
    missing = [part for part in ("indptr", "indices", "data") if part not in element]
    if missing:
        raise _disagree(f"no {', '.join(missing)}", where)
    layout = attribute(element, "encoding-type") or f"{attribute(element, 'h5sparse_format')}_matrix"
    shape = element.attrs.get("shape", element.attrs.get("h5sparse_shape", ()))
    if layout not in ("csr_matrix", "csc_matrix") or len(shape) != 2:
        raise _disagree(f"the layout {layout!r} with shape {tuple(shape)}", where)
    n_rows, n_genes = int(shape[0]), int(shape[1])
    parts = element["indptr"], element["indices"], element["data"]
    check_complete(element["data"], f"{where}/data")
    if length(element["indices"]) > max(n_rows, n_genes):  # else they may all be 0, which zarr need not store
        check_complete(element["indices"], f"{where}/indices")
    csr = layout == "csr_matrix"
    matrix = CsrMatrix(*parts, n_genes, where) if csr else CscMatrix(*parts, n_rows, where)
    if (matrix.n_rows, matrix.n_genes) != (n_rows, n_genes):
        raise _disagree(f"{length(element['indptr']) - 1} row pointers for shape {(n_rows, n_genes)}", where)
    return matrix


def _disagree(got: str, where: str) -> InputError:
    return InputError("a matrix must hold together", got=got, where=where, fix="Write the file again.")
