"""Transposes a matrix that is not stored by rows: one pass into buckets of rows on disk, then each is sorted."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.check import Values, check_indices, check_values
from schema.errors import OutputError

_MIN_ROWS, _MAX_BUCKETS = 1024, 512
"""Rows of a bucket at least, and buckets at most: a bucket is what is sorted in memory at a time."""

_RECORD = np.dtype([("row", np.int32), ("column", np.int32), ("count", np.float32)])


class Entries(NamedTuple):
    """Some entries of a matrix, in any order: whole numbers `[n]` from 0, and values of any dtype `[n]`."""

    rows: Values
    columns: Values
    values: Values


class DiskArray:
    """A one-dimensional array in a file, read by slice; nothing of it stays in memory."""

    def __init__(self, file: Path, dtype: type[np.int32] | type[np.float32]) -> None:
        self._file, self.dtype = file, np.dtype(dtype)
        self.shape = (file.stat().st_size // self.dtype.itemsize,)

    def __getitem__(self, part: slice) -> Values:
        start, stop, _ = part.indices(self.shape[0])
        return np.fromfile(self._file, self.dtype, count=stop - start, offset=start * self.dtype.itemsize)


class Spool:
    """Rows of a matrix in a temporary folder that goes with `close`.

    Attributes
    ----------
    indptr
        int64 `[n_rows + 1]`, in memory.
    indices
        int32 `[n_entries]`, on disk; in the order in which the entries of a row came.
    counts
        float32 `[n_entries]`, on disk; checked to be counts.

    Parameters
    ----------
    entries
        All entries of the matrix, block by block.
    n_rows, n_columns, n_entries
        Shape of the matrix and the number of its entries.
    where
        File and dataset, for messages.

    Raises
    ------
    InputError
        If a value is not a count or an index is out of range.
    OutputError
        If the temporary folder has too little space.
    """

    def __init__(self, entries: Iterator[Entries], n_rows: int, n_columns: int, n_entries: int, where: str) -> None:
        _check_space(_RECORD.itemsize * n_entries, where)
        self._scratch = tempfile.TemporaryDirectory(prefix="neutrostage-")
        self._folder = Path(self._scratch.name)
        self._n_rows, self._bucket = n_rows, max(_MIN_ROWS, -(-n_rows // _MAX_BUCKETS))
        try:
            for block in entries:
                check_indices(block.rows, n_rows, where, of="cells")
                check_indices(block.columns, n_columns, where)
                check_values(block.values, where)
                self._route(block)
            self.indptr = self._sort()
        except BaseException:
            self.close()
            raise
        self.indices = DiskArray(self._folder / "indices", np.int32)
        self.counts = DiskArray(self._folder / "counts", np.float32)

    def close(self) -> None:
        """Remove the folder."""
        self._scratch.cleanup()

    def _route(self, block: Entries) -> None:
        """Append each entry to the file of its bucket."""
        if not len(block.rows):
            return
        bucket, row = np.divmod(block.rows, self._bucket)
        order = np.argsort(bucket, kind="stable")
        records = np.empty(len(order), dtype=_RECORD)
        records["row"], records["column"], records["count"] = row[order], block.columns[order], block.values[order]
        numbers, starts = np.unique(bucket[order], return_index=True)
        for number, part in zip(numbers, np.split(records, starts[1:]), strict=True):
            with (self._folder / f"bucket{number}").open("ab") as file:
                part.tofile(file)

    def _sort(self) -> Values:
        """Write the buckets row by row, one after the other; return the row pointers."""
        sizes = np.zeros(self._n_rows + 1, dtype=np.int64)
        with (self._folder / "indices").open("wb") as indices, (self._folder / "counts").open("wb") as counts:
            for first in range(0, self._n_rows, self._bucket):
                file = self._folder / f"bucket{first // self._bucket}"
                if not file.exists():
                    continue
                records = np.fromfile(file, _RECORD)
                file.unlink()
                records = records[np.argsort(records["row"], kind="stable")]
                n_rows = min(self._bucket, self._n_rows - first)
                sizes[first + 1 : first + 1 + n_rows] = np.bincount(records["row"], minlength=n_rows)
                np.ascontiguousarray(records["column"]).tofile(indices)
                np.ascontiguousarray(records["count"]).tofile(counts)
        return np.cumsum(sizes)


def _check_space(n_bytes: int, where: str) -> None:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if n_bytes > free:
        raise OutputError(
            "a matrix not stored by cells is transposed in a temporary folder",
            got=f"{free / 1e9:.1f} GB free, {n_bytes / 1e9:.1f} GB needed",
            where=where,
            fix="Point TMPDIR at a larger disk.",
        )
