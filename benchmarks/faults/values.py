"""Values that are no raw counts, and counts that stand elsewhere than in X."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata as ad
import h5py
import numpy as np
import scipy.sparse as sp

from benchmarks.faults.edits import edited, replace, set_at, written
from benchmarks.faults.fault import Expected, Fault, Make, answers, refused, same


def _fault(name: str, make: Make, expected: Expected, options: tuple[str, ...] = ()) -> Fault:
    return Fault(row="values", name=name, make=make, expected=expected, options=options)


def _data(change: Callable[[Any], Any]) -> Make:
    return edited(replace("X/data", change))


def _x(change: Callable[[Any], Any]) -> Make:
    """Replace X by what a function makes of the dense counts."""

    def changed(adata: ad.AnnData) -> None:
        adata.X = change(adata.X.toarray())

    return written(changed)


def _last(value: float) -> Make:
    return edited(set_at("X/data", -1, value))


def log1p(counts: Any) -> Any:
    """Return log-normalised counts, as scanpy's normalize_total and log1p give."""
    return sp.csr_matrix(np.log1p(1e4 * counts / counts.sum(1, keepdims=True)).astype(np.float32))


def _scores(counts: Any) -> Any:
    logged = log1p(counts).toarray()
    return ((logged - logged.mean(0)) / (logged.std(0) + 1)).astype(np.float32)


def _per_million(counts: Any) -> Any:
    return sp.csr_matrix((1e6 * counts / counts.sum(1, keepdims=True)).astype(np.float32))


def _counts_in(place: str, *, and_x: Callable[[Any], Any] = log1p) -> Make:
    """Put counts in a layer or in raw, and something else in X."""

    def changed(adata: ad.AnnData) -> ad.AnnData:
        made = ad.AnnData(and_x(adata.X.toarray()), obs=adata.obs, var=adata.var)
        if place == "raw":
            made.raw = adata
        else:
            made.layers[place] = adata.X
        return made

    return written(changed)


def _raw_of_more_genes(adata: ad.AnnData) -> ad.AnnData:
    made = ad.AnnData(log1p(adata.X.toarray()), obs=adata.obs, var=adata.var)[:, ::3].copy()
    made.raw = adata
    return made


def _raw_without_names(file: h5py.File) -> None:
    file.move("X", "raw/X")


def _layers_disagree(adata: ad.AnnData) -> None:
    adata.layers["counts"] = sp.csr_matrix(adata.X.toarray()[:, ::-1])


def _unseen(value: float) -> Make:
    """Spoil one value of many cells, in a row that no sample looks at."""

    def changed(adata: ad.AnnData) -> ad.AnnData:
        made = ad.concat([adata] * 12, index_unique="-", merge="same")
        made.X = sp.csr_matrix(made.X)
        made.X.data[made.X.indptr[100]] = value
        return made

    return written(changed)


def _large(adata: ad.AnnData) -> None:
    adata.X = adata.X.astype(np.float64)
    adata.X.data[3] = 2**24


def _duplicated_past_the_limit(file: h5py.File) -> None:
    """Two entries of one cell and gene, each allowed, whose sum is not exact in float32."""
    indices, data = file["X/indices"][:], file["X/data"][:]
    indices[1], data[:2] = indices[0], 2**24
    file["X/indices"][:], file["X/data"][:] = indices, data


_WHOLE = "whole numbers from 0"
_RAW = "raw counts"

FAULTS = [
    _fault("NaN in the last cell", _last(np.nan), refused(_RAW, "NaN or infinite values (")),
    _fault("infinity in the last cell", _last(np.inf), refused(_RAW, "infinite values (")),
    _fault("minus infinity in the last cell", _last(-np.inf), refused(_RAW, "infinite values (")),
    _fault("a negative count in the last cell", _last(-3), refused(_RAW, "negative values down to -3 (")),
    _fault("a fraction in the last cell", _last(2.5), refused(_RAW, "a fraction of 2.5 (")),
    _fault("a fraction next to a whole number", _last(3.0000002), refused(_RAW, "a fraction of 3 (")),
    _fault("NaN where no sample looks", _unseen(np.nan), refused(_WHOLE, "nan", "rows")),
    _fault("a fraction where no sample looks", _unseen(2.5), refused(_WHOLE, "2.5", "rows")),
    _fault("a negative count where no sample looks", _unseen(-2), refused(_WHOLE, "-2", "rows")),
    _fault("NaN everywhere", _data(lambda d: d * np.nan), refused(_RAW, "NaN")),
    _fault("log-normalised", _x(log1p), refused(_RAW, "log-normalised")),
    _fault("z-scores", _x(_scores), refused(_RAW, "negative")),
    _fault("counts per million", _x(_per_million), refused(_RAW, "CPM")),
    _fault(
        "counts per million, rounded",
        _x(lambda c: np.round(_per_million(c).toarray())),
        answers("normalising to a total and rounding"),
    ),
    _fault("corrected for ambient RNA", _data(lambda d: np.maximum(d - 0.1, 0)), refused(_RAW, "fractions")),
    _fault("all zero", _data(lambda d: d * 0), refused(_RAW, "all zero")),
    _fault("all zero, dense", _x(lambda c: c * 0), refused(_RAW, "all zero")),
    _fault("no entry", _x(lambda c: sp.csr_matrix(c.shape, dtype=np.float32)), refused(_RAW, "all zero")),
    _fault("only 0 and 1", _data(lambda d: np.minimum(d, 1)), refused(_RAW, "binarised")),
    _fault("only 0 and 1, named", _data(lambda d: np.minimum(d, 1)), answers(), ("--layer", "X")),
    _fault("log-normalised, named", _x(log1p), refused(_RAW, "log-normalised"), ("--layer", "X")),
    _fault("a layer that is not there", written(lambda _: None), refused("'spliced'", "X"), ("--layer", "spliced")),
    _fault("all negative", _data(lambda d: -d), refused(_RAW, "negative")),
    _fault("a count of 2**24", written(_large), answers()),
    _fault("a count beyond 2**24", _last(2**24 + 2), refused(_RAW, "too large for counts")),
    _fault("int64 counts beyond 2**31", _data(lambda d: d.astype(np.int64) + 2**31), refused("too large for counts")),
    _fault("uint64 counts beyond 2**63", _data(lambda d: d.astype(np.uint64) + 2**63), refused("too large for counts")),
    _fault("int8 counts that wrapped around", _data(lambda d: (d + 200).astype(np.uint8).astype(np.int8)), refused()),
    _fault("float64 that is denormal", _data(lambda d: d.astype(np.float64) * 5e-324), refused(_RAW)),
    _fault("entries that sum beyond 2**24", edited(_duplicated_past_the_limit), refused(_WHOLE)),
    _fault("counts in a layer", _counts_in("counts"), same("layers/counts")),
    _fault("counts in raw", _counts_in("raw"), same("raw/X")),
    _fault("counts in a layer of another name", _counts_in("umi"), refused(_RAW, "log-normalised", "umi")),
    _fault("counts in a layer of another name, named", _counts_in("umi"), same("layers/umi"), ("--layer", "umi")),
    _fault("counts in raw, named", _counts_in("raw"), same("raw/X"), ("--layer", "raw")),
    _fault("raw of more genes than X", written(_raw_of_more_genes), same("raw/X")),
    _fault("raw without names of genes", edited(_raw_without_names), refused("raw/var")),
    _fault("counts in a layer and others in X", written(_layers_disagree), answers("layers/counts")),
]
