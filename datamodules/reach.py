"""Refuses files that reach outside themselves, lead nowhere, or declare far more than they store."""

from __future__ import annotations

import json
import math
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import Any

import h5py
import numpy as np
import zarr

from schema.errors import FaultList, InputError

MAX_RATIO = 2_000
"""Declared bytes per stored byte above which a dataset is not believed; deflate reaches 1,032."""

_SMALL = 2**24
"""Declared bytes below which no dataset is a danger."""

_MAX_DEPTH, _MAX_MEMBERS = 100, 1_000_000
"""Groups inside each other, and members in all, above which a file is none of cells: libhdf5 would follow them all."""

_MAX_CHUNKS = 2**22
"""Chunks of a zarr array above which it is not believed."""

_FOLLOWED = (h5py.h5l.TYPE_HARD, h5py.h5l.TYPE_SOFT)


def check_hdf5_reach(file: h5py.File, name: str) -> None:
    """Refuse external links, external storage, virtual datasets, links to nowhere and datasets that store nothing.

    Raises
    ------
    InputError
        Naming all such links and datasets, in one line.
    """
    faults, seen = FaultList(InputError), {_address(file)}
    waiting: list[tuple[h5py.Group, str, int]] = [(file, "", 1)]
    n_members = 0
    while waiting:  # not by libhdf5's own walk, which a deep file crashes
        group, path, depth = waiting.pop()
        for member in group:
            n_members += 1
            place = f"{path}/{member}" if path else str(member)
            if depth > _MAX_DEPTH or n_members > _MAX_MEMBERS:
                faults.note(
                    _odd(
                        "a file of cells must be nested like AnnData",
                        f"more than {_MAX_DEPTH} groups inside each other, or {_MAX_MEMBERS:,} members",
                        f"{name}, {place[:100]}",
                    )
                )
                faults.check()
            element = _member(group, member, f"{name}, {place}", faults)
            if isinstance(element, h5py.Dataset):
                _check_dataset(element, f"{name}, {place}", faults)
            elif isinstance(element, h5py.Group) and (address := _address(element)) not in seen:
                seen.add(address)
                waiting.append((element, place, depth + 1))
    faults.check()


def _member(group: h5py.Group, member: str, where: str, faults: FaultList) -> object:
    """Return a member; None, and a fault noted, where a link leads out of the file or nowhere."""
    if group.id.links.get_info(member.encode(errors="surrogateescape")).type not in _FOLLOWED:
        faults.note(_reaches("an external link", where))
        return None
    try:
        return group[member]
    except (KeyError, RuntimeError, OSError):
        faults.note(_odd("a file must hold its own data", "a link that leads nowhere", where))
        return None


def _address(group: h5py.Group) -> int:
    """Return where a group lies in its file, by which it is known again under another name."""
    return int(h5py.h5o.get_info(group.id).addr)


def _check_dataset(dataset: h5py.Dataset, where: str, faults: FaultList) -> None:
    if dataset.is_virtual:
        faults.note(_reaches("a virtual dataset", where))
        return
    if dataset.external:
        faults.note(_reaches("external storage", where))
        return
    declared = math.prod(dataset.shape or (0,)) * dataset.dtype.itemsize
    stored = int(dataset.id.get_storage_size())
    if declared > max(_SMALL, MAX_RATIO * stored):
        got = f"{declared:.3g} bytes declared, {stored:.3g} stored"
        faults.note(_odd("a dataset must hold what it declares", got, where))


def check_complete(array: h5py.Dataset | zarr.Array[Any], where: str) -> None:
    """Refuse an array of which chunks were never written: they would read as zeros.

    Raises
    ------
    InputError
        Saying how many are missing.
    """
    if isinstance(array, zarr.Array):
        n_chunks = array.nchunks
        n_stored = array.nchunks_initialized if n_chunks <= _MAX_CHUNKS else 0  # zarr makes a list of them
    elif array.chunks is None:
        return
    else:
        n_chunks = math.prod(-(-size // step) for size, step in zip(array.shape, array.chunks, strict=True))
        n_stored = array.id.get_num_chunks()
    if n_stored < n_chunks:
        raise InputError(
            "an array must be stored whole",
            got=f"{n_stored} of {n_chunks} chunks" if n_chunks <= _MAX_CHUNKS else f"{n_chunks:,} chunks",
            where=where,
            fix="Copy or download it again.",
        )


def check_written(element: object, where: str) -> None:
    """Refuse an HDF5 array of which chunks were never written; zarr leaves out those that hold zeros alone.

    Raises
    ------
    InputError
        As `check_complete`.
    """
    if isinstance(element, h5py.Dataset):
        check_complete(element, where)


def check_zarr_reach(folder: Path) -> None:
    """Refuse a zarr folder with links to elsewhere, special files, arrays decoded by code, or chunks that are bombs.

    Raises
    ------
    InputError
        Naming all such files, in one line.
    """
    faults = FaultList(InputError)
    for file in folder.rglob("*"):
        where, kind = f"{folder.name}, {file.relative_to(folder)}", file.lstat().st_mode
        if S_ISLNK(kind) and (file.is_dir() or not file.resolve().is_relative_to(folder.resolve())):
            faults.note(_reaches("a link to another place", where))
        elif not (S_ISLNK(kind) or S_ISREG(kind) or S_ISDIR(kind)):
            faults.note(_reaches("a special file (pipe, socket or device)", where))
        elif file.name in (".zarray", "zarr.json") and S_ISREG(kind):
            _check_metadata(file, where, faults)
    faults.check()


def _check_metadata(file: Path, where: str, faults: FaultList) -> None:
    if file.stat().st_size > _SMALL:
        faults.note(_odd("metadata of an array must be short", f"{file.stat().st_size:,} bytes", where))
        return
    try:
        meta = json.loads(file.read_text(encoding="utf-8"))
        if "pickle" in json.dumps([meta.get(key) for key in ("filters", "compressor", "codecs")]):
            faults.note(_reaches("a codec that runs code (pickle)", where))
        declared = _chunk_bytes(meta)
    except (ValueError, OSError, AttributeError, TypeError, KeyError, RecursionError):
        return  # whatever it is, zarr will refuse it by its own rules
    if declared > _SMALL:
        stored = max((each.stat().st_size for each in file.parent.rglob("*") if each.is_file()), default=0)
        if declared > MAX_RATIO * stored:
            got = f"chunks of {declared:.3g} bytes declared, {stored:.3g} stored"
            faults.note(_odd("a dataset must hold what it declares", got, where))


def _chunk_bytes(meta: dict[str, Any]) -> int:
    """Return the bytes of one decoded chunk of an array, by its metadata of format 2 or 3; 0 for a group."""
    if "data_type" in meta:
        chunks, dtype = meta["chunk_grid"]["configuration"]["chunk_shape"], str(meta["data_type"])
    elif "dtype" in meta:
        chunks, dtype = meta["chunks"], meta["dtype"]
    else:
        return 0
    return int(math.prod(chunks)) * (8 if "str" in dtype or "bytes" in dtype else np.dtype(dtype).itemsize)


def _odd(rule: str, got: str, where: str) -> InputError:
    return InputError(rule, got=got, where=where, fix="Write the file again.")


def _reaches(got: str, where: str) -> InputError:
    return InputError(
        "a file must hold its own data", got=got, where=where, fix="Write it again as one plain file without links."
    )
