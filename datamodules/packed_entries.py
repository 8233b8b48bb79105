"""The entries of a part, plain or compressed: neighbouring rows straight into the memory of who asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from datamodules.bulk_read import Places, read_stretches, will_need
from datamodules.direct import RawFile
from datamodules.packed_codec import Bytes, Ints, decode_counts, decode_gaps, has_fault, nibble_offset
from datamodules.packed_part import PartInfo
from datamodules.packed_records import Placed, Records, damaged
from datamodules.scratch import SCRATCH
from datamodules.space import index_dtype


class Entries(Protocol):
    """Entries of rows on disk."""

    def read(self, start: int, stop: int, indices: npt.NDArray[Any], counts: Bytes) -> None:
        """Fill genes and counts, `[n_entries]`, of rows `start` to `stop - 1`.

        Raises
        ------
        InputError
            If a gene is out of range or a count 0.
        OSError
            If a file is cut.
        """
        ...

    def will_need(self, runs: Ints) -> None:
        """Tell the operating system which runs of rows, int64 `[n_runs, 2]`, are read next."""
        ...

    def close(self) -> None:
        """Close the files."""
        ...


class PlainEntries:
    """Genes and counts as they are used, in two files."""

    def __init__(self, part: Path, info: PartInfo, pointers: Ints) -> None:
        self._dtype, self._n_genes, self._pointers = np.dtype(index_dtype(info.n_genes)), info.n_genes, pointers
        self._unsigned = self._dtype.str.replace("i", "u")
        self._indices, self._counts = RawFile(part / "indices.bin"), RawFile(part / "counts.bin")
        self._where = f"{part.name}/indices.bin and counts.bin"
        n_entries = info.n_entries
        if (self._indices.n_bytes, self._counts.n_bytes) != (n_entries * self._dtype.itemsize, n_entries):
            raise damaged(f"other sizes than {n_entries:,} entries have", self._where)

    def read(self, start: int, stop: int, indices: npt.NDArray[Any], counts: Bytes) -> None:
        """Fill genes and counts of rows `start` to `stop - 1`; see `Entries`."""
        first = self._pointers.item(start)
        self._indices.read_into(indices.view(np.uint8), first * self._dtype.itemsize)
        self._counts.read_into(counts, first)
        if has_fault(indices.view(self._unsigned), counts, self._n_genes):
            raise damaged("a gene out of range or a count of 0", f"{self._where}, rows {start}-{stop - 1}")

    def read_runs(self, runs: Ints, indices: npt.NDArray[Any], counts: Bytes) -> bool:
        """Fill genes and counts of runs of rows, int64 `[n_runs, 2]`; return whether all is as it should be."""
        files, (first, last) = (self._indices.descriptor, self._counts.descriptor), runs.T
        genes = indices.view(self._unsigned)
        return read_stretches(*files, self._pointers[first], self._pointers[last], genes, counts, self._n_genes)

    def will_need(self, runs: Ints) -> None:
        """Tell the operating system which runs of rows are read next."""
        begin, end = self._pointers[runs.T]
        places = _from_first(self._pointers.item(-1))
        will_need(self._indices.descriptor, places, self._dtype.itemsize, begin, end)
        will_need(self._counts.descriptor, places, 1, begin, end)

    def close(self) -> None:
        """Close the files."""
        self._indices.close()
        self._counts.close()


class CompressedEntries:
    """Gaps between genes and counts in halves of bytes; see `datamodules.packed_codec`."""

    def __init__(self, part: Path, info: PartInfo, pointers: Ints) -> None:
        self._n_genes, self._pointers = info.n_genes, pointers
        self._gaps, self._nibbles = RawFile(part / "gaps.bin"), RawFile(part / "nibbles.bin")
        self._wide_gaps = Records(part, "wide_gaps", info.n_cells)
        self._wide_counts = Records(part, "wide_counts", info.n_cells)
        self._where = f"{part.name}/gaps.bin and nibbles.bin"
        sizes = info.n_entries, nibble_offset(info.n_entries, info.n_cells)
        if (self._gaps.n_bytes, self._nibbles.n_bytes) != sizes:
            raise damaged(f"other sizes than {info.n_entries:,} entries have", self._where)

    def read(self, start: int, stop: int, indices: npt.NDArray[Any], counts: Bytes) -> None:
        """Fill genes and counts of rows `start` to `stop - 1`; see `Entries`."""
        first, last = self._pointers.item(start), self._pointers.item(stop)
        pointers = self._pointers[start : stop + 1] - first
        at = nibble_offset(first, start)
        gaps = SCRATCH.take("gaps", last - first, np.uint8)
        nibbles = SCRATCH.take("nibbles", nibble_offset(last, stop) - at, np.uint8)
        self._gaps.read_into(gaps, first)
        self._nibbles.read_into(nibbles, at)
        wide, gap = _entries_of(self._wide_gaps.within(self._pointers, start, stop), pointers)
        good = decode_gaps(pointers, gaps, wide, gap, self._n_genes, indices)
        wide, count = _entries_of(self._wide_counts.within(self._pointers, start, stop), pointers)
        if not (decode_counts(pointers, first, start, nibbles, wide, count, counts) and good):
            raise damaged("a gene out of range or a count of 0", f"{self._where}, rows {start}-{stop - 1}")

    def will_need(self, runs: Ints) -> None:
        """Tell the operating system which runs of rows are read next."""
        entries = self._pointers[runs.T]
        will_need(self._gaps.descriptor, _from_first(self._gaps.n_bytes), 1, *entries)
        will_need(self._nibbles.descriptor, _from_first(self._nibbles.n_bytes), 1, *nibble_offset(entries, runs.T))

    def close(self) -> None:
        """Close the files."""
        for file in (self._gaps, self._nibbles, self._wide_gaps, self._wide_counts):
            file.close()


def _from_first(n: int) -> Places:
    """Return the places of an array that begins its file."""
    return Places(np.array([0, n], dtype=np.int64), np.zeros(1, dtype=np.int64))


def _entries_of(placed: Placed, pointers: Ints) -> tuple[Ints, Ints]:
    return pointers[placed.row] + placed.offset, placed.value
