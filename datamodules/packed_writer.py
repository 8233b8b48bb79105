"""Writes the entries of a part, stretch by stretch, in its order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from datamodules.packed_codec import MAX_NIBBLE, encode, nibble_offset
from datamodules.packed_part import GROUP_ROWS, RECORD
from datamodules.space import Ints

Bytes = npt.NDArray[np.uint8]


class AppendedFiles:
    """Files that only grow, so that what was written since a known moment can be cut off again.

    Parameters
    ----------
    folder
        Where they are.
    sizes
        Names, and the bytes of each that count; what lies behind is cut off.
    """

    def __init__(self, folder: Path, sizes: Mapping[str, int]) -> None:
        self._files: dict[str, BinaryIO] = {}
        for name, size in sizes.items():
            file = self._files[name] = (folder / name).open("r+b" if size else "wb")
            file.truncate(size)
            file.seek(size)

    def append(self, name: str, values: npt.NDArray[Any]) -> None:
        """Write an array at the end of a file."""
        self._files[name].write(np.ascontiguousarray(values).data.cast("B"))

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return self._files[name].tell()

    def settle(self) -> dict[str, int]:
        """Put everything on the disk; return the size of each file."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        return {name: file.tell() for name, file in self._files.items()}

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()


def part_files(*, compressed: bool) -> list[str]:
    """Return the names of the files of entries of a part."""
    entries = ("gaps.bin", "nibbles.bin") if compressed else ("indices.bin", "counts.bin")
    lists = record_lists(compressed=compressed)
    return [*entries, *(f"{name}{end}" for name in lists for end in (".bin", "_pointers.npy"))]


def record_lists(*, compressed: bool) -> Sequence[str]:
    """Return the names of the lists of records of a part."""
    return ("large", "wide_gaps", "wide_counts") if compressed else ("large",)


class EntriesWriter:
    """Appends rows to the files of entries.

    Parameters
    ----------
    folder
        The unfinished part.
    sizes
        Bytes of each file that count already; empty = nothing is written yet.
    compressed
        Form of the entries.
    n_rows, n_entries
        What is written already.
    """

    def __init__(
        self, folder: Path, sizes: Mapping[str, int], *, compressed: bool, n_rows: int = 0, n_entries: int = 0
    ) -> None:
        self._folder, self._compressed, self._n_rows, self._n_entries = folder, compressed, n_rows, n_entries
        names = [name.replace(".npy", ".raw") for name in part_files(compressed=compressed)]
        self.files = AppendedFiles(folder, {name: sizes.get(name, 0) for name in names})

    def append(
        self, indptr: Ints, indices: npt.NDArray[Any], counts: Bytes, large_at: Ints, large: npt.NDArray[np.float32]
    ) -> None:
        """Write rows; their number is a multiple of `GROUP_ROWS`, but for the last ones.

        Parameters
        ----------
        indptr
            int64 `[n_rows + 1]` from 0.
        indices, counts
            `[n_entries]`: genes, rising within a row, and packed counts.
        large_at, large
            Entries whose counts are large, and these counts.
        """
        if self._compressed:
            self._append_compressed(indptr, indices, counts)
        else:
            self.files.append("indices.bin", indices)
            self.files.append("counts.bin", counts)
        self._append_records("large", indptr, large_at, large)
        self._n_rows, self._n_entries = self._n_rows + len(indptr) - 1, self._n_entries + len(counts)

    def finish(self) -> None:
        """Turn the pointers of the lists of records into arrays; close the files."""
        self.files.settle()
        self.files.close()
        for name in record_lists(compressed=self._compressed):
            pointers = np.fromfile(self._folder / f"{name}_pointers.raw", np.int64)
            np.save(self._folder / f"{name}_pointers.npy", np.concatenate([[0], pointers]))

    def _append_compressed(self, indptr: Ints, indices: npt.NDArray[Any], counts: Bytes) -> None:
        odd = (self._n_entries + self._n_rows) % 2
        gaps = np.zeros(len(counts), dtype=np.uint8)
        nibbles = np.zeros(nibble_offset(len(counts) + odd, len(indptr) - 1), dtype=np.uint8)
        encode(indptr, odd, indices, counts, gaps, nibbles)
        self.files.append("gaps.bin", gaps)
        self.files.append("nibbles.bin", nibbles)
        wide = np.flatnonzero(gaps == 0)
        before = np.where(np.isin(wide, indptr), -1, indices[np.maximum(wide, 1) - 1].astype(np.int64))
        self._append_records("wide_gaps", indptr, wide, indices[wide] - before)
        wide = np.flatnonzero(counts > MAX_NIBBLE)
        self._append_records("wide_counts", indptr, wide, counts[wide])

    def _append_records(self, name: str, indptr: Ints, at: Ints, values: npt.NDArray[Any]) -> None:
        group = (np.searchsorted(indptr, at, side="right") - 1) // GROUP_ROWS
        records = np.empty(len(at), dtype=RECORD)
        records["entry"], records["value"] = at - indptr[group * GROUP_ROWS], values
        n_groups, before = -(-(len(indptr) - 1) // GROUP_ROWS), self.files.size(f"{name}.bin") // RECORD.itemsize
        self.files.append(f"{name}.bin", records)
        self.files.append(f"{name}_pointers.raw", before + np.cumsum(np.bincount(group, minlength=n_groups)))
