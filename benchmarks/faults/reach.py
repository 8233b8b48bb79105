"""Files that reach outside themselves, or unpack to far more than they are."""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np

from benchmarks.faults.edits import edited, put
from benchmarks.faults.fault import Expected, Fault, Make, refused, same


def _fault(name: str, make: Make, expected: Expected | None = None) -> Fault:
    wanted = refused("hold its own data") if expected is None else expected
    return Fault(row="reach outside the file", name=name, make=make, expected=wanted)


def _bomb(name: str, shape: tuple[int, ...], chunks: tuple[int, ...]) -> Make:
    return edited(put(name, shape=shape, dtype="f4", chunks=chunks, compression="gzip"))


def _external_link(name: str) -> Make:
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = h5py.ExternalLink("/etc/hostname", "/data")

    return edited(change)


def _external_storage(name: str) -> Make:
    def change(file: h5py.File) -> None:
        attributes, n = dict(file[name].attrs), len(file[name])
        del file[name]
        secret = [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
        file.create_dataset(name, (n,), "u1", external=secret).attrs.update(attributes)

    return edited(change)


def _virtual(name: str) -> Make:
    def change(file: h5py.File) -> None:
        attributes, old = dict(file[name].attrs), file[name]
        layout = h5py.VirtualLayout(old.shape, old.dtype)
        layout[:] = h5py.VirtualSource("other.h5", "x", old.shape)
        del file[name]
        file.create_virtual_dataset(name, layout).attrs.update(attributes)

    return edited(change)


def _circle(file: h5py.File) -> None:
    del file["X"]
    file["X"], file["Y"] = h5py.SoftLink("/Y"), h5py.SoftLink("/X")


def _dangling(file: h5py.File) -> None:
    del file["X/indices"]
    file["X/indices"] = h5py.SoftLink("/nowhere")


def _soft(file: h5py.File) -> None:
    file.move("X", "elsewhere")
    file["X"] = h5py.SoftLink("/elsewhere")


def _loop(file: h5py.File) -> None:
    file["uns/loop"] = file["/"]


def _nested(depth: int) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        group = file["uns"]
        for _ in range(depth):
            group = group.create_group("g")

    return change


def _many(file: h5py.File) -> None:
    group = file.create_group("uns/many", track_order=True)
    for number in range(5_000):
        group.create_group(str(number))


def _long_names(file: h5py.File) -> None:
    put("obs/_index", data=np.full(120, b"A" * 50_000), compression="gzip", chunks=(10,))(file)


FAULTS = [
    _fault("X an external link", _external_link("X")),
    _fault("the index of obs an external link", _external_link("obs/_index")),
    _fault("an external link in uns", _external_link("uns/evil")),
    _fault("data in external storage", _external_storage("X/data")),
    _fault("names of cells in external storage", _external_storage("obs/_index")),
    _fault("data virtual", _virtual("X/data")),
    _fault("links that lead in a circle", edited(_circle), refused("leads nowhere", "X")),
    _fault("a link to nowhere inside", edited(_dangling), refused("leads nowhere", "X/indices")),
    _fault("a soft link inside", edited(_soft), same()),
    _fault("a group that holds the file", edited(_loop), same()),
    _fault("groups nested 3,000 deep", edited(_nested(3000)), refused("nested")),
    _fault("groups nested 40,000 deep", edited(_nested(40_000)), refused("nested")),
    _fault("5,000 groups", edited(_many), same()),
    _fault("a matrix of a terabyte, nothing stored", _bomb("X", (10**6, 10**6), (1000, 1000)), refused("declared")),
    _fault(
        "a layer of a terabyte, nothing stored", _bomb("layers/counts", (120, 2**34), (120, 1000)), refused("declared")
    ),
    _fault("an array of a terabyte in uns", _bomb("uns/big", (2**38,), (2**20,)), refused("declared")),
    _fault("names of 50,000 letters, packed", edited(_long_names), same()),
]
