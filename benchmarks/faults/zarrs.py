"""The .zarr form of AnnData: other ways to store it, missing chunks, links, pipes, codecs and bombs."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad

from benchmarks.faults.fault import Expected, Fault, Make, refused, same

NAME = "bad.zarr"


def _fault(row: str, name: str, make: Make, expected: Expected) -> Fault:
    return Fault(row=row, name=f"zarr: {name}", make=make, expected=expected)


def _zarr(change: Callable[[Path], object] = lambda _: None, zarr_format: int = 2, layout: str = "csr") -> Make:
    def make(good: Path, folder: Path) -> Path:
        adata = ad.read_h5ad(good)
        adata.X = {"csr": adata.X, "csc": adata.X.tocsc(), "dense": adata.X.toarray()}[layout]
        with warnings.catch_warnings(), ad.settings.override(zarr_write_format=zarr_format):
            warnings.simplefilter("ignore")  # anndata announces its next default
            adata.write_zarr(folder / NAME)
        for file in folder.rglob(".zmetadata"):
            file.unlink()  # what stands in the folder is what counts
        change(folder / NAME)
        return folder / NAME

    return make


def _metadata(array: str, **values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / array / ".zarray"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    return change


def _lost(array: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        next(file for file in sorted((folder / array).iterdir()) if not file.name.startswith(".")).unlink()

    return change


def _put(place: str, put: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / place
        if path.exists():
            path.unlink()
        put(path)

    return change


def _bytes(place: str, content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / place).write_bytes(content((folder / place).read_bytes()))

    return change


def _flip(content: bytes) -> bytes:
    return content[:40] + bytes(byte ^ 0x55 for byte in content[40:80]) + content[80:]


def _loop(path: Path) -> None:
    path.symlink_to(path.parent.parent, target_is_directory=True)


_STRUCTURE, _REACH = "structure of a file", "reach outside the file"
_DEEP = "[" * 100_000

FAULTS = [
    _fault(_STRUCTURE, "format 2", _zarr(), same()),
    _fault(_STRUCTURE, "format 3", _zarr(zarr_format=3), same()),
    _fault(_STRUCTURE, "CSC", _zarr(layout="csc"), same()),
    _fault(_STRUCTURE, "dense", _zarr(layout="dense"), same()),
    _fault(_STRUCTURE, "a chunk of counts lost", _zarr(_lost("X/data")), refused("0 of", "chunks", "X/data")),
    _fault(_STRUCTURE, "pointers lost", _zarr(_lost("X/indptr")), refused(NAME)),
    _fault(_STRUCTURE, "names of cells lost", _zarr(_lost("obs/_index")), refused("chunks", "obs/_index")),
    _fault(_STRUCTURE, "a chunk changed", _zarr(_bytes("X/data/0", _flip)), refused(NAME)),
    _fault(_STRUCTURE, "a chunk cut", _zarr(_bytes("X/indices/0", lambda b: b[:50])), refused(NAME)),
    _fault(_STRUCTURE, "a chunk of another length", _zarr(_bytes("X/data/0", lambda _: b"")), refused(NAME)),
    _fault(_STRUCTURE, "metadata that are no JSON", _zarr(_bytes("X/data/.zarray", lambda _: b"{")), refused(NAME)),
    _fault(
        _STRUCTURE, "metadata nested deep", _zarr(_put("X/data/.zarray", lambda p: p.write_text(_DEEP))), refused(NAME)
    ),
    _fault(_STRUCTURE, "metadata of another length", _zarr(_metadata("X/data", shape=[7])), refused("values for")),
    _fault(_STRUCTURE, "metadata of another type", _zarr(_metadata("X/data", dtype="|O")), refused(NAME)),
    _fault(_STRUCTURE, "metadata of a negative shape", _zarr(_metadata("X/data", shape=[-7])), refused(NAME)),
    _fault(_STRUCTURE, "chunks of no length", _zarr(_metadata("X/data", chunks=[0])), refused(NAME)),
    _fault(_STRUCTURE, "a codec that nobody has", _zarr(_metadata("X/data", compressor={"id": "evil"})), refused(NAME)),
    _fault(_STRUCTURE, "no metadata of the group", _zarr(lambda p: (p / ".zgroup").unlink()), refused(NAME)),
    _fault(
        _STRUCTURE, "a shape that lies", _zarr(_bytes("X/.zattrs", lambda b: b.replace(b"700", b"70"))), refused(NAME)
    ),
    _fault(
        _REACH, "a codec that runs code", _zarr(_metadata("X/data", filters=[{"id": "pickle"}])), refused("runs code")
    ),
    _fault(
        _REACH,
        "a chunk linked from elsewhere",
        _zarr(_put("X/data/0", lambda p: p.symlink_to("/etc/passwd"))),
        refused("another place"),
    ),
    _fault(_REACH, "a folder linked into itself", _zarr(_put("uns/loop", _loop)), refused("another place")),
    _fault(_REACH, "a chunk that is a FIFO", _zarr(_put("X/data/0", os.mkfifo)), refused("special file")),
    _fault(_REACH, "metadata that are a FIFO", _zarr(_put("X/data/.zarray", os.mkfifo)), refused("special file")),
    _fault(
        _REACH, "a chunk of a terabyte", _zarr(_metadata("X/data", shape=[2**38], chunks=[2**38])), refused("declared")
    ),
    _fault(_REACH, "rows beyond number", _zarr(_metadata("obs/_index", shape=[2**40])), refused(NAME)),
    _fault(_REACH, "pointers beyond number", _zarr(_metadata("X/indptr", shape=[2**36])), refused(NAME)),
]
