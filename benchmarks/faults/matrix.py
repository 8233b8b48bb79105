"""Sparse matrices whose parts are damaged, missing, of another kind, or contradict each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

from benchmarks.faults.edits import cast, edited, put, replace, set_at, set_attribute, then, without, written
from benchmarks.faults.fault import Expected, Fault, Make, refused

_TOGETHER = "hold together"


def _fault(name: str, make: Make, expected: Expected) -> Fault:
    return Fault(row="structure of a file", name=name, make=make, expected=expected)


def _instead(name: str, values: Any, *words: str) -> Fault:
    """Put an array in the place of X."""
    return _fault(f"X {name}", edited(put("X", data=values)), refused("X", *words))


def _pointers(name: str, values: Callable[[Any], Any], *words: str) -> Fault:
    return _fault(f"pointers {name}", edited(replace("X/indptr", values)), refused(*(words or (_TOGETHER,))))


def _shape(name: str, shape: Any) -> Fault:
    return _fault(f"a shape {name}", edited(set_attribute("X", "shape", shape)), refused("shape", "X"))


def _falling(pointers: Any) -> Any:
    pointers[5], pointers[6] = pointers[6], pointers[5]
    return pointers


def _beyond(pointers: Any) -> Any:
    return np.where(np.arange(len(pointers)) == 7, 2**63 + 1, pointers.astype(np.uint64))


def _compound(values: Any) -> Any:
    made = np.zeros(len(values), dtype=[("count", "f4"), ("code", "i4")])
    made["count"] = values
    return made


def _references(file: h5py.File) -> None:
    target = file["obs"].ref
    replace("X/data", lambda d: np.full(len(d), target, dtype=h5py.ref_dtype), dtype=h5py.ref_dtype)(file)


def _texts(values: Any) -> Any:
    return values.astype(int).astype(str).astype(object)


def _damaged(name: str, offset: int, junk: bytes, **options: Any) -> Callable[[h5py.File], None]:
    """Store data in chunks and change stored bytes of the second behind HDF5's back."""

    def change(file: h5py.File) -> None:
        replace(name, lambda values: values, chunks=(1000,), **options)(file)
        chunk = file[name].id.get_chunk_info(1)
        file.flush()
        with open(file.filename, "r+b") as raw:  # noqa: PTH123 - the file is open already
            raw.seek(chunk.byte_offset + offset)
            raw.write(junk)

    return change


def _unknown_filter(file: h5py.File) -> None:
    """Say that chunks were packed by a filter that nobody has."""
    values, attributes = file["X/data"][:], dict(file["X/data"].attrs)
    del file["X/data"]
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((1000,))
    made.set_filter(31_999, h5py.h5z.FLAG_OPTIONAL, ())
    space = h5py.h5s.create_simple(values.shape)
    new = h5py.Dataset(h5py.h5d.create(file["X"].id, b"data", h5py.h5t.IEEE_F32LE, space, made))
    for start in range(0, len(values), 1000):
        part = np.zeros(1000, dtype=np.float32)
        part[: len(values[start : start + 1000])] = values[start : start + 1000]
        new.id.write_direct_chunk((start,), part.tobytes(), 0)
    new.attrs.update(attributes)


def _unwritten(file: h5py.File) -> None:
    values, attributes = file["X/data"][:], dict(file["X/data"].attrs)
    del file["X/data"]
    new = file.create_dataset("X/data", values.shape, values.dtype, chunks=(1000,))
    new[:3000] = values[:3000]
    new.attrs.update(attributes)


_WIDE = np.int64

FAULTS = [
    _fault("X absent", edited(without("X")), refused("no matrix")),
    _fault("X null", edited(put("X", dtype="f4", shape=None)), refused("X", _TOGETHER)),
    _instead("a number", 3.0, _TOGETHER),
    _instead("of one dimension", np.ones(700), _TOGETHER),
    _instead("of three dimensions", np.ones((120, 700, 2)), _TOGETHER),
    _instead("of text", np.full((120, 700), b"a"), "|S1"),
    _fault(
        "X an empty group", edited(then(without("X"), lambda f: f.create_group("X"))), refused("no indptr, indices")
    ),
    _fault("pointers absent", edited(without("X/indptr")), refused("no indptr")),
    _fault("indices absent", edited(without("X/indices")), refused("no indices")),
    _fault("data absent", edited(without("X/data")), refused("no data")),
    _pointers("that fall", _falling, "fall at row"),
    _pointers("from 1", lambda p: p + 1),
    _pointers("beyond the entries", lambda p: np.append(p[:-1], 10**7), _TOGETHER, "10000000"),
    _pointers("one too few", lambda p: p[:-1]),
    _pointers("of no length", lambda p: p[:0]),
    _pointers("negative", lambda p: -p),
    _pointers("of uint64 beyond int64", _beyond),
    _pointers("of float64", cast(np.float64), "float64"),
    _pointers("NaN", lambda p: p * np.nan, "float64"),
    _pointers("of text", cast("S8"), "|S8"),
    _pointers("of two dimensions", lambda p: p.reshape(1, -1)),
    _fault(
        "pointers a group",
        edited(then(without("X/indptr"), lambda f: f.create_group("X/indptr"))),
        refused("row pointers that are a group", _TOGETHER),
    ),
    _fault("an index out of range", edited(set_at("X/indices", -1, 700)), refused("index 700 for 700 genes")),
    _fault("an index far out of range", edited(set_at("X/indices", 17, 2**31 - 1)), refused("index 2147483647")),
    _fault("a negative index", edited(set_at("X/indices", -1, -1)), refused("index -1 for 700 genes")),
    _fault(
        "an index beyond int32",
        edited(then(replace("X/indices", cast(_WIDE)), set_at("X/indices", 9, 2**32 + 5))),
        refused("index 4294967301"),
    ),
    _fault("indices of float32", edited(replace("X/indices", cast(np.float32))), refused("float32")),
    _fault("indices of another length", edited(replace("X/indices", lambda i: i[:-1])), refused("values for")),
    _fault("indices of two dimensions", edited(replace("X/indices", lambda i: i.reshape(-1, 1))), refused(_TOGETHER)),
    _fault("data of two dimensions", edited(replace("X/data", lambda d: d.reshape(-1, 1))), refused(_TOGETHER)),
    _fault("data of complex numbers", edited(replace("X/data", cast(np.complex64))), refused("complex64")),
    _fault("data of bool", edited(replace("X/data", cast(bool))), refused("bool")),
    _fault("data of text", edited(replace("X/data", lambda d: d.astype(int).astype("S6"))), refused("|S6")),
    _fault("data of text of any length", edited(replace("X/data", _texts)), refused("object")),
    _fault("data of a compound type", edited(replace("X/data", _compound)), refused("X")),
    _fault("data of object references", edited(_references), refused("X")),
    _shape("that is not there", None),
    _shape("of three numbers", [120, 700, 1]),
    _shape("of text", "ab"),
    _shape("of more cells", [121, 700]),
    _fault("a shape of fewer genes", edited(set_attribute("X", "shape", [120, 699])), refused("699", "700")),
    _fault("a shape of more genes", edited(set_attribute("X", "shape", [120, 701])), refused("700", "701")),
    _shape("below zero", [120, -700]),
    _fault("a huge shape", edited(set_attribute("X", "shape", [120, 2**62])), refused("4611686018427387904")),
    _shape("of NaN", [120, np.nan]),
    _shape("of fractions", [120.5, 700]),
    _fault("an unknown encoding", edited(set_attribute("X", "encoding-type", "bsr_matrix")), refused("bsr_matrix")),
    _fault("no encoding", edited(set_attribute("X", "encoding-type", None)), refused("layout")),
    _fault("an encoding that is a number", edited(set_attribute("X", "encoding-type", 3)), refused("layout")),
    _fault("CSR said to be CSC", edited(set_attribute("X", "encoding-type", "csc_matrix")), refused("X")),
    _fault(
        "a bit flipped under a checksum",
        edited(_damaged("X/data", 100, b"\x55", fletcher32=True)),
        refused("readable to its end"),
    ),
    _fault(
        "bytes changed in a deflated chunk",
        edited(_damaged("X/data", 300, b"\xff\x00\xff\x00\xff\x00", compression="gzip")),
        refused("readable to its end"),
    ),
    _fault(
        "bytes changed in an lzf chunk",
        edited(_damaged("X/indices", 50, b"\xff" * 20, compression="lzf")),
        refused("bad.h5ad"),
    ),
    _fault("a filter that nobody has", edited(_unknown_filter), refused("readable to its end")),
    _fault("chunks that were never written", edited(_unwritten), refused("chunks")),
    _fault("no cells", written(lambda a: a[:0].copy()), refused("no cells")),
    _fault("no genes", written(lambda a: a[:, :0].copy()), refused("no genes")),
]
