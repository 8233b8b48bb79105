"""Transposes a matrix that is not stored by rows: two passes over its entries into arrays on disk, in flat memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.check import Values, check_indices, check_values
from schema.errors import OutputError


class Entries(NamedTuple):
    """Some entries of a matrix, in any order: whole numbers `[n]` from 0, and values of any dtype `[n]`."""

    rows: Values
    columns: Values
    values: Values


class Spool:
    """Rows of a matrix in a temporary folder that goes with `close`.

    Attributes
    ----------
    indptr
        int64 `[n_rows + 1]`.
    indices
        int32 `[n_entries]`, on disk; in the order in which the entries came within a row.
    counts
        float32 `[n_entries]`, on disk; checked to be counts.
    """

    def __init__(self, entries: Callable[[], Iterator[Entries]], n_rows: int, n_columns: int, where: str) -> None:
        """Read all entries twice: count those of each row, then put each in its place.

        Raises
        ------
        InputError
            If a value is not a count or an index is out of range.
        OutputError
            If the temporary folder has too little space.
        """
        self.indptr = np.zeros(n_rows + 1, dtype=np.int64)
        for block in entries():
            check_indices(block.rows, n_rows, where, of="cells")
            check_indices(block.columns, n_columns, where)
            check_values(block.values, where)
            self.indptr[1:] += np.bincount(block.rows, minlength=n_rows)
        np.cumsum(self.indptr, out=self.indptr)
        n_entries = int(self.indptr[-1])
        _check_space(Path(tempfile.gettempdir()), 8 * n_entries, where)
        self._folder = tempfile.TemporaryDirectory(prefix="neutrostage-")
        self.indices = self._array("indices", np.int32, n_entries)
        self.counts = self._array("counts", np.float32, n_entries)
        self._fill(entries())

    def _array(self, name: str, dtype: type[np.int32] | type[np.float32], size: int) -> Values:
        if size == 0:
            return np.zeros(0, dtype=dtype)  # an empty file cannot be mapped
        return np.memmap(Path(self._folder.name) / name, dtype=dtype, mode="w+", shape=(size,))

    def _fill(self, blocks: Iterator[Entries]) -> None:
        cursor = self.indptr[:-1].copy()
        for block in blocks:
            order = np.argsort(block.rows, kind="stable")
            rows, first, sizes = np.unique(block.rows[order], return_index=True, return_counts=True)
            rank = np.arange(len(order)) - np.repeat(first, sizes)
            place = np.repeat(cursor[rows], sizes) + rank
            self.indices[place] = block.columns[order]
            self.counts[place] = block.values[order]
            cursor[rows] += sizes

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()


def _check_space(folder: Path, n_bytes: int, where: str) -> None:
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise OutputError(
            "a matrix stored by genes is transposed in a temporary folder",
            got=f"{free / 1e9:.1f} GB free, {n_bytes / 1e9:.1f} GB needed",
            where=where,
            fix="Point TMPDIR at a larger disk.",
        )
