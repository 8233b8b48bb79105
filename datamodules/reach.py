"""Refuses files that reach outside themselves, or declare far more than they store."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import h5py
import zarr

from schema.errors import InputError

MAX_RATIO = 2_000
"""Declared bytes per stored byte above which a dataset is not believed; deflate reaches 1,032."""

_SMALL = 2**24
"""Declared bytes below which no dataset is a danger."""


def check_hdf5_reach(file: h5py.File, name: str) -> None:
    """Refuse external links, external storage, virtual datasets and datasets with almost nothing stored.

    Raises
    ------
    InputError
        Naming the link or dataset.
    """

    def find_link(link: bytes, info: h5py.h5l.LinkInfo) -> InputError | None:
        if info.type in (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT):
            return None
        return _reaches("an external link", f"{name}, {link.decode(errors='replace')}")

    def find_dataset(path: str, element: h5py.Group | h5py.Dataset) -> InputError | None:
        return _dataset_fault(element, f"{name}, {path}") if isinstance(element, h5py.Dataset) else None

    # the walks end at the first fault; HDF5 does not let exceptions pass through its own loops
    if (fault := file.id.links.visit(find_link, info=True) or file.visititems(find_dataset)) is not None:
        raise fault


def _dataset_fault(dataset: h5py.Dataset, where: str) -> InputError | None:
    if dataset.is_virtual:
        return _reaches("a virtual dataset", where)
    if dataset.external:
        return _reaches("external storage", where)
    declared = math.prod(dataset.shape or (0,)) * dataset.dtype.itemsize
    stored = int(dataset.id.get_storage_size())
    if declared <= max(_SMALL, MAX_RATIO * stored):
        return None
    return InputError(
        "a dataset must hold what it declares",
        got=f"{declared:.3g} bytes declared, {stored:.3g} stored",
        where=where,
        fix="Write the file again.",
    )


def check_complete(array: h5py.Dataset | zarr.Array[Any], where: str) -> None:
    """Refuse an array of which chunks were never written: they would read as zeros.

    Raises
    ------
    InputError
        Saying how many are missing.
    """
    if isinstance(array, zarr.Array):
        n_chunks, n_stored = array.nchunks, array.nchunks_initialized
    elif array.chunks is None:
        return
    else:
        n_chunks = math.prod(-(-size // step) for size, step in zip(array.shape, array.chunks, strict=True))
        n_stored = array.id.get_num_chunks()
    if n_stored < n_chunks:
        raise InputError(
            "an array must be stored whole",
            got=f"{n_stored} of {n_chunks} chunks",
            where=where,
            fix="Copy or download it again.",
        )


def check_zarr_reach(folder: Path) -> None:
    """Refuse a zarr folder with links to elsewhere, or whose arrays are decoded by running code.

    Raises
    ------
    InputError
        Naming the file.
    """
    for file in folder.rglob("*"):
        where = f"{folder.name}, {file.relative_to(folder)}"
        if file.is_symlink() and not file.resolve().is_relative_to(folder.resolve()):
            raise _reaches("a link to another place", where)
        if file.name in (".zarray", "zarr.json") and _names_pickle(file):
            raise _reaches("a codec that runs code (pickle)", where)


def _names_pickle(file: Path) -> bool:
    try:
        return "pickle" in json.dumps(_codecs(json.loads(file.read_text(encoding="utf-8"))))
    except (ValueError, OSError, AttributeError):
        return False  # whatever it is, zarr will refuse it by its own rules


def _codecs(meta: dict[str, object]) -> list[object]:
    return [meta.get(key) for key in ("filters", "compressor", "codecs")]


def _reaches(got: str, where: str) -> InputError:
    return InputError(
        "a file must hold its own data", got=got, where=where, fix="Write it again as one plain file without links."
    )
