"""How a source stores its counts, in words: layout, compression, chunks, and how they are read."""

from __future__ import annotations

from typing import NamedTuple

import h5py
import zarr

from datamodules.arrays import open_arrays
from datamodules.direct import DirectArray
from datamodules.elements import Element, attribute, is_group
from datamodules.packed_part import PartInfo
from datamodules.store import CellStore
from datamodules.tenx_folder import read_header


class Layout(NamedTuple):
    """How counts are stored.

    Attributes
    ----------
    words
        Layout, number types, compression, chunks.
    reading
        How training reads it.
    n_entries
        Stored entries; None where every value is stored.
    """

    words: str
    reading: str
    n_entries: int | None


def describe_layout(store: CellStore) -> Layout:
    """Return how the counts of an opened source are stored."""
    if store.kind == "packed":
        return _packed(store)
    if store.kind == "10x folder":
        file = store.path / store.counts_location
        return Layout("text, gene by gene", _TRANSPOSED, read_header(file, file.name).n_entries)
    if store.kind == "zarr":
        return _matrix(store, zarr.open_group(store.path, mode="r")[store.counts_location])
    with h5py.File(store.path, "r") as file:
        return _matrix(store, file[store.counts_location])


_TRANSPOSED = "not by training; transposed in a temporary folder by prediction and by prepare"


def _packed(store: CellStore) -> Layout:
    info = PartInfo.load(store.path)
    form = "gaps of one byte and counts of half a byte" if info.compressed else "genes and counts as they are used"
    together = "" if info.sample_column is None else f" of each obs[{info.sample_column!r}] together,"
    words = f"{form}; rows{together} in random order (seed {info.seed}), from {info.source.name}"
    return Layout(words, "directly", info.n_entries)


def _matrix(store: CellStore, element: Element) -> Layout:
    if not is_group(element):
        return Layout(f"dense {_array(element)}", _reading(element), None)
    by_rows = "by cells" if store.is_by_rows else "by genes"
    kind = attribute(element, "encoding-type").removesuffix("_matrix").upper() or "sparse"
    words = f"{kind} {by_rows}, {element['indices'].dtype} and {_array(element['data'])}"
    reading = _reading(element["data"]) if store.is_by_rows else _TRANSPOSED
    return Layout(words, reading, int(element["data"].shape[0]))


def _array(element: Element) -> str:
    chunks = (
        "in one piece" if element.chunks is None else f"in chunks of {' x '.join(f'{n:,}' for n in element.chunks)}"
    )
    return f"{element.dtype} {chunks}, {_compression(element)}"


def _compression(element: Element) -> str:
    if isinstance(element, zarr.Array):
        return ", ".join(type(codec).__name__ for codec in element.compressors) or "not compressed"
    if element.compression is None:
        return "not compressed" if not element._filters else ", ".join(element._filters)
    return str(element.compression)


def _reading(element: Element) -> str:
    if isinstance(element, zarr.Array):
        return "through zarrs"
    (array,) = open_arrays(element)
    try:
        if not isinstance(array, DirectArray):
            return "through libhdf5, one thread"
        return "directly" if array.chunk_rows == 1 else "directly, inflated in threads"
    finally:
        array.close()
