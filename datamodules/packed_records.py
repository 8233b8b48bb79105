"""Entries of a part that need more room than the others: short lists on disk, found by the group of their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.bulk_read import read_records
from datamodules.compiled import compiled
from datamodules.direct import RawFile
from datamodules.packed_part import GROUP_ROWS, RECORD
from datamodules.source import reading
from schema.errors import InputError

Ints = npt.NDArray[np.int64]


class Placed(NamedTuple):
    """Records of some rows, in order.

    Attributes
    ----------
    row
        int64 `[n]`: from the first of the rows, from 0.
    offset
        int64 `[n]`: entry within the row, from 0.
    value
        int64 `[n]`.
    """

    row: Ints
    offset: Ints
    value: Ints


NONE = Placed(*(np.zeros(0, dtype=np.int64) for _ in range(3)))


class Records:
    """One list of records.

    Parameters
    ----------
    part
        Folder of the part.
    name
        "large", "wide_gaps" or "wide_counts".
    n_rows
        Rows of the part.
    """

    def __init__(self, part: Path, name: str, n_rows: int) -> None:
        self._where = f"{part.name}/{name}.bin"
        self._groups = load_array(part, f"{name}_pointers.npy", np.int64, -(-n_rows // GROUP_ROWS) + 1)
        self._file = RawFile(part / f"{name}.bin")
        if self._groups[0] != 0 or (np.diff(self._groups) < 0).any() or self._n_bytes() != self._file.n_bytes:
            raise damaged(f"pointers that do not fit {self._file.n_bytes} bytes", self._where)

    def within(self, pointers: Ints, start: int, stop: int) -> Placed:
        """Return the records of rows `start` to `stop - 1`; `pointers` are the row pointers of the part.

        Raises
        ------
        InputError
            If one is of no entry of its group, or they do not rise.
        OSError
            If the file cannot be read.
        """
        first, last = start // GROUP_ROWS, -(-stop // GROUP_ROWS)
        low, high = self._groups.item(first), self._groups.item(last)
        if low == high:
            return NONE
        raw = np.empty((high - low) * RECORD.itemsize, dtype=np.uint8)
        self._file.read_into(raw, low * RECORD.itemsize)
        fields = raw.view(np.uint32).reshape(-1, 2)
        row, offset, value, good = _place(fields, self._groups[first : last + 1], pointers, first, start, stop)
        if not good:
            raise damaged("records that do not rise within their group", self._where)
        return Placed(row, offset, value)

    def of_runs(self, pointers: Ints, runs: Ints) -> Placed | None:
        """Return the records of runs of rows, int64 `[n_runs, 2]`, rows numbered through them; None if damaged."""
        first, last = runs[:, 0] // GROUP_ROWS, -(-runs[:, 1] // GROUP_ROWS)
        most = int((self._groups[last] - self._groups[first]).sum())
        found = Placed(*(np.empty(most, dtype=np.int64) for _ in range(3)))
        n = read_records(self._file.descriptor, self._groups, GROUP_ROWS, pointers, runs, *found)
        return None if n < 0 else Placed(*(column[:n] for column in found))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _n_bytes(self) -> int:
        return int(self._groups[-1]) * RECORD.itemsize


@compiled
def _place(
    fields: Any, groups: Ints, pointers: Ints, first_group: int, start: int, stop: int
) -> tuple[Ints, Ints, Ints, bool]:
    n, good = 0, True
    row, offset, value = (
        np.empty(len(fields), np.int64),
        np.empty(len(fields), np.int64),
        np.empty(len(fields), np.int64),
    )
    for g in range(groups.size - 1):
        r = (first_group + g) * 64
        base, end = pointers[r], pointers[min(r + 64, pointers.size - 1)]
        last = base - 1
        for k in range(groups[g] - groups[0], groups[g + 1] - groups[0]):
            entry = base + np.int64(fields[k, 0])
            if entry <= last or entry >= end:
                return row, offset, value, False
            last = entry
            while pointers[r + 1] <= entry:
                r += 1
            if start <= r < stop:
                row[n], offset[n], value[n] = r - start, entry - pointers[r], np.int64(fields[k, 1])
                n += 1
    return row[:n], offset[:n], value[:n], good


def load_array(part: Path, name: str, dtype: npt.DTypeLike, size: int) -> npt.NDArray[Any]:
    """Return a one-dimensional array of a part.

    Raises
    ------
    InputError
        If it is no array of that type and size.
    """
    with reading(f"{part.name}/{name}"):
        array = np.load(part / name, allow_pickle=False)
    if array.dtype != dtype or array.shape != (size,):
        raise damaged(f"{array.dtype} {array.shape} where {np.dtype(dtype)} ({size},) belongs", f"{part.name}/{name}")
    return np.asarray(array)


def damaged(got: str, where: str) -> InputError:
    """Return the error for a part that contradicts itself."""
    return InputError("a store must hold together", got=got, where=where, fix="Copy it, or prepare it, again.")
