"""Other ways to store the same counts: each must give the same answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata as ad
import h5py
import numpy as np
import scipy.sparse as sp

from benchmarks.faults.edits import cast, edited, put, replace, written
from benchmarks.faults.fault import Expected, Fault, Make, same


def _fault(name: str, make: Make, expected: Expected | None = None) -> Fault:
    return Fault(row="structure of a file", name=name, make=make, expected=same() if expected is None else expected)


def _x(change: Callable[[Any], Any]) -> Make:
    def changed(adata: ad.AnnData) -> None:
        adata.X = change(adata.X)

    return written(changed)


def stored(file: h5py.File) -> sp.csr_matrix:
    """Return the CSR matrix that X is."""
    group = file["X"]
    return sp.csr_matrix((group["data"][:], group["indices"][:], group["indptr"][:]), shape=group.attrs["shape"])


def _dense(**options: Any) -> Make:
    def change(file: h5py.File) -> None:
        put("X", data=stored(file).toarray(), **options)(file)
        file["X"].attrs["encoding-type"], file["X"].attrs["encoding-version"] = "array", "0.2.0"

    return edited(change)


def _parts(change: Callable[[sp.csr_matrix], tuple[Any, Any, Any]]) -> Make:
    """Store X as other data, indices and pointers."""

    def changed(file: h5py.File) -> None:
        for name, values in zip(("data", "indices", "indptr"), change(stored(file)), strict=True):
            put(f"X/{name}", data=values)(file)

    return edited(changed)


def _backwards(matrix: sp.csr_matrix) -> tuple[Any, Any, Any]:
    order = np.concatenate(
        [np.arange(b - 1, a - 1, -1) for a, b in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)]
    )
    return matrix.data[order], matrix.indices[order], matrix.indptr


def _split(matrix: sp.csr_matrix) -> tuple[Any, Any, Any]:
    """Store each count above 1 as two entries of the same cell and gene."""
    rows, twice = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)), matrix.data > 1
    rows, columns = np.concatenate([rows, rows[twice]]), np.concatenate([matrix.indices, matrix.indices[twice]])
    values = np.concatenate([np.where(twice, matrix.data - 1, matrix.data), np.ones(twice.sum(), dtype=np.float32)])
    order = np.argsort(rows, kind="stable")
    pointers = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=matrix.shape[0]))])
    return values[order], columns[order], pointers


def _with_zeros(matrix: sp.csr_matrix) -> tuple[Any, Any, Any]:
    n_rows, n_genes = matrix.shape
    return matrix.toarray().reshape(-1), np.tile(np.arange(n_genes), n_rows), np.arange(n_rows + 1) * n_genes


def _odd_chunks(file: h5py.File) -> None:
    for name, n in (("data", 3), ("indices", 5), ("indptr", 7)):
        replace(f"X/{name}", lambda values: values, chunks=(n,))(file)


def _old_names(file: h5py.File) -> None:
    """Name layout and shape as anndata before 0.7 did."""
    attributes = file["X"].attrs
    attributes["h5sparse_format"], attributes["h5sparse_shape"] = "csr", attributes["shape"]
    for name in ("encoding-type", "encoding-version", "shape"):
        del attributes[name]


def _emptied(matrix: sp.csr_matrix) -> tuple[Any, Any, Any]:
    dense = matrix.toarray()
    dense[5] = 0
    matrix = sp.csr_matrix(dense)
    return matrix.data, matrix.indices, matrix.indptr


_NUMBERS = ("i2", "u2", "i4", "u4", "i8", "u8", "f8", ">f4", ">i2", ">f8", "f2")

FAULTS = [
    _fault("CSC", _x(sp.csc_matrix)),
    _fault("dense", _x(lambda X: X.toarray())),
    _fault("dense with gzip and odd chunks", _dense(compression="gzip", chunks=(7, 33))),
    _fault("dense with lzf and shuffle", _dense(compression="lzf", shuffle=True)),
    _fault("dense with a checksum", _dense(fletcher32=True, chunks=(11, 700))),
    _fault("dense in chunks of one gene", _dense(chunks=(120, 1))),
    *(
        _fault(
            f"data of {number.lstrip('>')}{' big-endian' * (number[0] == '>')}", edited(replace("X/data", cast(number)))
        )
        for number in _NUMBERS
    ),
    _fault("data of long double", edited(replace("X/data", cast(np.longdouble)))),
    *(
        _fault(f"pointers of {number}", edited(replace("X/indptr", cast(number))))
        for number in ("uint32", "uint64", "int64")
    ),
    *(
        _fault(
            f"indices of {np.dtype(number).name}{' big-endian' * (number[0] == '>')}",
            edited(replace("X/indices", cast(number))),
        )
        for number in ("int64", "uint16", "uint64", ">i4")
    ),
    _fault("genes of each cell in falling order", _parts(_backwards)),
    _fault("counts split over duplicate entries", _parts(_split)),
    _fault("zeros stored as entries", _parts(_with_zeros)),
    _fault("lzf", written(lambda _: None, compression="lzf")),
    _fault("gzip", written(lambda _: None, compression="gzip")),
    _fault("chunks of three entries", edited(_odd_chunks)),
    _fault("data with a scale-offset filter", edited(replace("X/data", cast("i4"), chunks=(500,), scaleoffset=0))),
    _fault("the encoding of h5sparse", edited(_old_names)),
    _fault("one cell", written(lambda a: a[:1].copy()), Expected(0)),
    _fault("a cell without counts", _parts(_emptied), Expected(0)),
]
