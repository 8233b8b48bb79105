"""Arrays of an HDF5 file read past libhdf5: it names the place of each chunk once, then bytes come by `preadv`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from datamodules.bulk_read import Places
from datamodules.chunks import Chunks, inflate
from datamodules.scratch import SCRATCH

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_SHUFFLED: list[int] = [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE]
_PIPELINES: tuple[list[int], ...] = ([], [h5py.h5z.FILTER_DEFLATE], _SHUFFLED)
"""The filters that are undone here; all others are left to libhdf5."""


class RawFile:
    """A file read by position, by any number of threads at once."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self.n_bytes = os.fstat(self._descriptor).st_size

    def read_into(self, out: Bytes, offset: int) -> None:
        """Fill `out` with the bytes from `offset` on.

        Raises
        ------
        OSError
            If the file ends before.
        """
        while out.size:
            n_read = os.preadv(self._descriptor, [out.data], offset)
            if not n_read:
                raise OSError(f"the file ends {out.size} bytes early")
            out, offset = out[n_read:], offset + n_read

    def will_need(self, offset: int, n_bytes: int) -> None:
        """Tell the operating system what is read next."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, offset, n_bytes, os.POSIX_FADV_WILLNEED)

    @property
    def descriptor(self) -> int:
        """The open file; -1 once it is closed."""
        return self._descriptor

    def close(self) -> None:
        """Close the file; reading is an error from then on."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()


@dataclass(frozen=True)
class ChunkTable:
    """Where the chunks of an array lie in its file; a contiguous array is one chunk.

    Attributes
    ----------
    offset, n_bytes
        int64 `[n_chunks]`: first byte and stored bytes.
    n_rows
        Entries along the first axis per chunk.
    deflated, shuffled
        How the bytes of a chunk were changed.
    """

    offset: Ints
    n_bytes: Ints
    n_rows: int
    deflated: bool = False
    shuffled: bool = False


class DirectArray:
    """An array in a file, sliced along its first axis.

    Attributes
    ----------
    shape, dtype
        As of numpy arrays; `dtype` may be of either byte order.
    chunk_rows
        Entries along the first axis that are decoded together; 1 where any are read alone.
    """

    def __init__(self, file: RawFile, table: ChunkTable, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._file, self._table, self.shape, self.dtype = file, table, shape, dtype
        self._row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        self._chunk_bytes = self._row_bytes * table.n_rows
        self._run_stop = _run_stops(table)
        self._chunks = Chunks(self._decode, table.n_rows) if table.deflated else None
        self.chunk_rows = table.n_rows if table.deflated else 1

    def __getitem__(self, part: slice) -> npt.NDArray[Any]:
        start, stop, _ = part.indices(self.shape[0])
        out = np.empty((max(0, stop - start), *self.shape[1:]), dtype=self.dtype)
        return self.read_into(out, start)

    def read_into(self, out: npt.NDArray[Any], start: int) -> npt.NDArray[Any]:
        """Fill `out`, contiguous `[n, ...]` of the array's dtype, with entries from `start` on; return it.

        Raises
        ------
        OSError
            If the file ends before, or a chunk cannot be decoded to what it should hold.
        """
        if start < 0 or start + len(out) > self.shape[0]:
            raise ValueError("the slice must lie within the array")
        if not out.size:
            return out
        if self._chunks is not None:
            self._chunks.read_into(out, start)
        else:
            plain, first = out.view(np.uint8).reshape(-1), start * self._row_bytes
            for low, high, offset in self._places(first, first + plain.size):
                self._file.read_into(plain[low - first : high - first], offset)
        return out

    def will_need(self, start: int, stop: int) -> None:
        """Tell the operating system that entries `start` to `stop - 1` are read next."""
        if self._chunks is None:
            for low, high, offset in self._places(start * self._row_bytes, stop * self._row_bytes):
                self._file.will_need(offset, high - low)
        elif start < stop:
            first, last = start // self.chunk_rows, (stop - 1) // self.chunk_rows
            for run in self._runs(first, last + 1):
                offset = int(self._table.offset[run.start])
                self._file.will_need(offset, int(self._table.n_bytes[run.start : run.stop].sum()))

    @property
    def places(self) -> Places | None:
        """Where the entries lie; None where they must be decoded or are rows themselves."""
        if self._chunks is not None or len(self.shape) != 1:
            return None
        runs = list(self._runs(0, len(self._table.offset)))
        first = [run.start * self._table.n_rows for run in runs]
        offset = self._table.offset[[run.start for run in runs]]
        return Places(np.array([*first, self.shape[0]], dtype=np.int64), offset)

    @property
    def descriptor(self) -> int:
        """The open file; arrays of one file share it."""
        return self._file.descriptor

    def close(self) -> None:
        """Close the file, also for other arrays in it."""
        self._file.close()
        if self._chunks is not None:
            self._chunks.drop()

    def _runs(self, first: int, stop: int) -> Iterator[range]:
        """Yield chunks `first` to `stop - 1` as runs that lie end to end in the file."""
        while first < stop:
            end = min(stop, int(self._run_stop[first]))
            yield range(first, end)
            first = end

    def _places(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Yield stretches of bytes `start` to `stop - 1` of a plain array and where they lie: first, end, offset."""
        if start < stop:
            for run in self._runs(start // self._chunk_bytes, (stop - 1) // self._chunk_bytes + 1):
                first = run.start * self._chunk_bytes
                low, high = max(start, first), min(stop, run.stop * self._chunk_bytes)
                yield low, high, int(self._table.offset[run.start]) + low - first

    def _decode(self, first: int, stop: int) -> list[npt.NDArray[Any]]:
        """Return chunks `first` to `stop - 1`, each `[chunk_rows, ...]`."""
        decoded = []
        for run in self._runs(first, stop):
            sizes = self._table.n_bytes[run.start : run.stop]
            raw = SCRATCH.take("stored", int(sizes.sum()), np.uint8)
            self._file.read_into(raw, int(self._table.offset[run.start]))
            for end, size in zip(np.cumsum(sizes).tolist(), sizes.tolist(), strict=True):
                item = self.dtype.itemsize if self._table.shuffled else 1
                chunk = inflate(raw[end - size : end], self._chunk_bytes, shuffled=item)
                decoded.append(chunk.view(self.dtype).reshape(-1, *self.shape[1:]))
        return decoded


def _run_stops(table: ChunkTable) -> Ints:
    """Return for each chunk the first after it that does not lie at the end of the one before, int64 `[n_chunks]`."""
    n_chunks = len(table.offset)
    broken = table.offset[1:] != table.offset[:-1] + table.n_bytes[:-1]
    stops = np.append(np.flatnonzero(broken) + 1, n_chunks)
    return stops[np.searchsorted(stops, np.arange(n_chunks), side="right")]


def open_raw(dataset: h5py.Dataset) -> RawFile | None:
    """Return the file of a dataset to be read past libhdf5; None where it is no plain file open for reading."""
    file = dataset.file
    plain = file.driver == "sec2" and file.mode == "r" and file.userblock_size == 0
    return RawFile(Path(file.filename)) if plain else None


def open_direct(dataset: h5py.Dataset, file: RawFile) -> DirectArray | None:
    """Return an array over the stored bytes of a dataset; None where only libhdf5 can read it.

    That is so for filters other than deflate and shuffle, chunks that do not hold whole rows or were stored past their
    filters, entries never written, and number types that numpy does not have.
    """
    dtype = dataset.dtype
    if dtype.kind not in "iuf" or not dataset.id.get_type().equal(h5py.h5t.py_create(dtype)):
        return None
    if not dataset.shape or 0 in dataset.shape:
        return None
    table = _contiguous(dataset) if dataset.chunks is None else _chunked(dataset)
    if table is None or (table.offset < 0).any() or (table.n_bytes < 0).any():
        return None
    if (table.offset > file.n_bytes - table.n_bytes).any():
        return None  # libhdf5 has its own words for it
    return DirectArray(file, table, dataset.shape, dtype)


def _contiguous(dataset: h5py.Dataset) -> ChunkTable | None:
    offset, n_bytes = dataset.id.get_offset(), dataset.nbytes
    if offset is None or dataset.id.get_storage_size() != n_bytes:
        return None
    return ChunkTable(np.array([offset], dtype=np.int64), np.array([n_bytes], dtype=np.int64), dataset.shape[0])


def _chunked(dataset: h5py.Dataset) -> ChunkTable | None:
    filters = _filters(dataset)
    if dataset.chunks[1:] != dataset.shape[1:] or filters is None:
        return None
    n_rows = dataset.chunks[0]
    place: Ints = np.full((-(-dataset.shape[0] // n_rows), 2), -1, dtype=np.int64)
    odd = []

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        place[chunk.chunk_offset[0] // n_rows] = chunk.byte_offset, chunk.size
        if chunk.filter_mask:
            odd.append(chunk)

    dataset.id.chunk_iter(note)
    whole = n_rows * dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
    if odd or (not filters and (place[:, 1] != whole).any()):
        return None
    return ChunkTable(
        place[:, 0].copy(), place[:, 1].copy(), n_rows, deflated=bool(filters), shuffled=filters == _SHUFFLED
    )


def _filters(dataset: h5py.Dataset) -> list[int] | None:
    """Return the filters of a dataset; None where one of them cannot be undone here."""
    made = dataset.id.get_create_plist()
    found = [made.get_filter(number) for number in range(made.get_nfilters())]
    codes = [code for code, *_ in found]
    if codes not in _PIPELINES:
        return None
    sizes = [values[0] for code, _, values, _ in found if code == h5py.h5z.FILTER_SHUFFLE]
    return codes if sizes in ([], [dataset.dtype.itemsize]) else None
