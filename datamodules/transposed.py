"""Matrices that are not stored by rows: transposed into a spool on disk when the first row is asked for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from datamodules.arrays import open_arrays
from datamodules.check import RawRows
from datamodules.csr import N_SAMPLES, CsrMatrix, read_pointers
from datamodules.elements import Element, length
from datamodules.pack import RawPart
from datamodules.space import Ints, LargeCounts, RowSpace
from datamodules.spool import Entries, Spool

logger = logging.getLogger(__name__)

_SAMPLE_ENTRIES = 4096
_ENTRIES = 2**20
"""Entries of a column-wise matrix in memory at a time."""


class SpooledMatrix:
    """A matrix not stored by rows; transposed into a spool on disk when the first row is asked for."""

    is_by_rows = False
    is_packable = True  # as the spool stores numbers
    chunk_rows = 1

    def __init__(
        self, entries: Callable[[], Iterator[Entries]], n_rows: int, n_genes: int, n_entries: int, where: str
    ) -> None:
        self.n_rows, self.n_genes = n_rows, n_genes
        self._entries, self._n_entries, self._where = entries, n_entries, where
        self._spool: Spool | None = None
        self._rows: CsrMatrix | None = None
        self._lock = threading.Lock()

    def read(self, start: int, stop: int) -> RawRows:
        """Return rows `start` to `stop - 1`; the first call transposes the matrix."""
        return self._by_rows().read(start, stop)

    def parts(self, rows: Ints) -> Iterator[RawPart]:
        """Yield rows, int64 ascending, in parts, each valid until this thread asks for the next."""
        return self._by_rows().parts(rows)

    def pack(self, rows: Ints, n_genes: int, space: RowSpace, row: int, entry: int) -> LargeCounts | None:
        """Read rows into a space in one call; see `datamodules.matrix.RawReader`."""
        return self._by_rows().pack(rows, n_genes, space, row, entry)

    def max_entries(self, rows: Ints) -> int:
        """Return the stored entries of rows."""
        return self._by_rows().max_entries(rows)

    def will_need(self, rows: Ints) -> None:
        """Do nothing: what was just written is in memory, or there is none to spare."""

    def sample(self) -> Iterator[RawRows]:
        """Yield the first entries, as one row."""
        for block in islice(self._entries(), 1):
            yield RawRows(np.array([0, len(block.values)]), block.columns, block.values)

    def close(self) -> None:
        """Remove the spool."""
        if self._spool is not None:
            self._spool.close()

    def _by_rows(self) -> CsrMatrix:
        with self._lock:
            if self._rows is None:
                logger.info("%s is not stored by cells: transposing it into a temporary folder", self._where)
                spool = self._spool = Spool(self._entries(), self.n_rows, self.n_genes, self._n_entries, self._where)
                self._rows = CsrMatrix(spool.indptr, spool.indices, spool.counts, self.n_genes, self._where)
            return self._rows


class CscMatrix(SpooledMatrix):
    """A matrix stored gene by gene, as AnnData's CSC."""

    def __init__(self, indptr: Element, indices: Element, values: Element, n_rows: int, where: str) -> None:
        self._indptr = read_pointers(indptr, indices, where)
        self._indices, self._values = open_arrays(indices, values)
        super().__init__(self._all_entries, n_rows, len(self._indptr) - 1, length(values), where)

    def sample(self) -> Iterator[RawRows]:
        """Yield evenly spaced stretches of entries, each as one row."""
        for start in np.linspace(0, max(0, self._n_entries - _SAMPLE_ENTRIES), N_SAMPLES).astype(np.int64):
            values = self._values[start : start + _SAMPLE_ENTRIES]
            yield RawRows(np.array([0, len(values)]), np.zeros(len(values), dtype=np.int64), values)

    def close(self) -> None:
        """Remove the spool and close what was opened to read past libhdf5."""
        super().close()
        self._indices.close()
        self._values.close()

    def _all_entries(self) -> Iterator[Entries]:
        for start in range(0, self._n_entries, _ENTRIES):
            stop = min(start + _ENTRIES, self._n_entries)
            columns = np.searchsorted(self._indptr, np.arange(start, stop), side="right") - 1
            yield Entries(self._indices[start:stop], columns, self._values[start:stop])
