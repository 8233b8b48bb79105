"""Arrays on disk behind one interface, read by slice along their first axis by several threads at once."""

from __future__ import annotations

import logging
import warnings
from typing import Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt
import zarr

from datamodules.chunks import Chunks
from datamodules.direct import open_direct, open_raw
from datamodules.elements import Element

logger = logging.getLogger(__name__)

Values = npt.NDArray[Any]

_ZARRS = {"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}


class StoredArray(Protocol):
    """An array on disk.

    Attributes
    ----------
    shape, dtype
        As of numpy arrays.
    chunk_rows
        Entries along the first axis that are decoded together; 1 where any are read alone.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk_rows: int

    def __getitem__(self, part: slice) -> Values:
        """Return entries as a new array."""
        ...

    def read_into(self, out: Values, start: int) -> Values:
        """Return `out`, contiguous `[n, ...]` of the array's dtype, filled with entries from `start` on."""
        ...

    def will_need(self, start: int, stop: int) -> None:
        """Tell the operating system what is read next, where that helps."""
        ...

    def close(self) -> None:
        """Give back what is held beside the element that was opened."""
        ...


class PlainArray:
    """An array that its own library reads: HDF5 with rare filters, files in memory, spools."""

    def __init__(self, element: Element) -> None:
        self._element = element
        self.shape, self.dtype = tuple(element.shape), np.dtype(element.dtype)
        self.chunk_rows = int(element.chunks[0]) if getattr(element, "chunks", None) else 1

    def __getitem__(self, part: slice) -> Values:
        return np.asarray(self._element[part])

    def read_into(self, out: Values, start: int) -> Values:
        """Fill `out` with entries from `start` on; return it."""
        out[:] = self._element[start : start + len(out)]
        return out

    def will_need(self, start: int, stop: int) -> None:
        """Do nothing: the library decides when it reads."""

    def close(self) -> None:
        """Do nothing: the element's file is closed by who opened it."""


class ZarrArray(PlainArray):
    """A zarr array, decoded by zarrs a chunk at a time."""

    def __init__(self, array: zarr.Array[Any]) -> None:
        super().__init__(_with_zarrs(array))
        self._chunks = Chunks(self._decode, self.chunk_rows)

    def __getitem__(self, part: slice) -> Values:
        start, stop, _ = part.indices(self.shape[0])
        return self.read_into(np.empty((max(0, stop - start), *self.shape[1:]), dtype=self.dtype), start)

    def read_into(self, out: Values, start: int) -> Values:
        """Fill `out` with entries from `start` on; return it."""
        if out.size:
            self._chunks.read_into(out, start)
        return out

    def close(self) -> None:
        """Forget decoded chunks."""
        self._chunks.drop()

    def _decode(self, first: int, stop: int) -> list[Values]:
        n = self.chunk_rows
        block = self._element[first * n : stop * n]
        chunks = [block[at : at + n] for at in range(0, len(block), n)]
        return [chunk if 0 < number < len(chunks) - 1 else chunk.copy() for number, chunk in enumerate(chunks)]


def open_arrays(*elements: Element) -> list[StoredArray]:
    """Return arrays of one file for reading, past libhdf5 where its bytes can be used as they are.

    Closing one of them closes what they share.
    """
    first = elements[0]
    if isinstance(first, zarr.Array):
        return [ZarrArray(array) if array.dtype.isnative else PlainArray(array) for array in elements]
    file = open_raw(first) if isinstance(first, h5py.Dataset) else None
    if file is None:
        return [PlainArray(element) for element in elements]
    found = [open_direct(element, file) for element in elements]
    if not any(found):
        file.close()
    return [array or PlainArray(element) for array, element in zip(found, elements, strict=True)]


def _with_zarrs(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """Return the array opened again with the decoders of zarrs; zarr's own serve where zarrs has none."""
    with zarr.config.set(_ZARRS), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        opened: zarr.AsyncArray[Any] = zarr.AsyncArray(metadata=array.metadata, store_path=array.store_path)
    for warning in caught:
        logger.info("%s: %s", array.path, warning.message)
    return zarr.Array(opened)
