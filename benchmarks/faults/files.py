"""Things that are no proper HDF5 file: empty, cut, foreign, special files, links, odd names."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import h5py

from benchmarks.faults.edits import placed, rewritten
from benchmarks.faults.fault import Expected, Fault, Make, refused, same


def _fault(name: str, make: Make, expected: Expected) -> Fault:
    return Fault(row="structure of a file", name=name, make=make, expected=expected)


def _link(target: str) -> Make:
    return placed(lambda _, path: path.symlink_to(target))


def _socket(_: Path, path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path must be short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _with_user_block(good: Path, path: Path) -> None:
    with h5py.File(good) as source, h5py.File(path, "w", userblock_size=1024) as target:
        for name in source:
            source.copy(name, target)
        target.attrs.update(source.attrs)


def _newest_format(good: Path, path: Path) -> None:
    with h5py.File(good) as source, h5py.File(path, "w", libver="latest") as target:
        for name in source:
            source.copy(name, target)
        target.attrs.update(source.attrs)


def _zeroed(content: bytes) -> bytes:
    return content[: len(content) // 2] + bytes(len(content) - len(content) // 2)


FAULTS = [
    _fault("nothing there", placed(lambda *_: None), refused("nothing there")),
    _fault("an empty file", rewritten(lambda _: b""), refused("an empty file")),
    _fault("a text file", rewritten(lambda _: b"gene,cell\nCxcr2,1\n"), refused("not HDF5")),
    _fault("a text file called .h5", rewritten(lambda _: b"gene,cell\n", "bad.h5"), refused("not HDF5")),
    _fault("a gzipped .h5ad", rewritten(lambda b: b"\x1f\x8b" + b, "bad.h5ad.gz"), refused("not HDF5")),
    _fault("the HDF5 signature and zeros", rewritten(lambda b: b[:8] + bytes(4000)), refused("readable to its end")),
    _fault("cut in the middle", rewritten(lambda b: b[: len(b) // 2]), refused("readable to its end")),
    _fault("its last byte cut off", rewritten(lambda b: b[:-1]), refused("readable to its end")),
    _fault("cut to its superblock", rewritten(lambda b: b[:96]), refused("readable to its end")),
    _fault("its second half zeroed", rewritten(_zeroed), refused("bad.h5ad")),
    _fault("garbage after its end", rewritten(lambda b: b + b"\xff" * 1000), same()),
    _fault("an empty folder", placed(lambda _, path: path.mkdir()), refused("neither zarr nor 10x")),
    _fault("an empty folder called .zarr", placed(lambda _, path: path.mkdir(), "a.zarr"), refused("neither zarr")),
    _fault("a FIFO", placed(lambda _, path: os.mkfifo(path)), refused("neither a file nor a folder")),
    _fault("a socket", placed(_socket, "s"), refused("neither a file nor a folder")),
    _fault("a device", lambda *_: Path("/dev/zero"), refused("neither a file nor a folder")),
    _fault("a link to a device", _link("/dev/zero"), refused("neither a file nor a folder")),
    _fault("a link to nowhere", _link("/nowhere"), refused("nothing there")),
    _fault("a link to itself", _link("bad.h5ad"), refused("bad.h5ad")),
    _fault("a link to a good file", placed(lambda good, path: path.symlink_to(good)), same()),
    _fault("a name of 250 letters", rewritten(lambda b: b, "a" * 245 + ".h5ad"), same()),
    _fault("a name with a line break", rewritten(lambda b: b[:100], "a\nb.h5ad"), refused("in a b.h5ad")),
    _fault(
        "a name that no encoding knows", rewritten(lambda b: b, os.fsdecode(b"caf\xe9.h5ad")), Expected(2, ("options",))
    ),
    _fault("a user block before the HDF5", placed(_with_user_block), same()),
    _fault("HDF5's newest format", placed(_newest_format), same()),
]
