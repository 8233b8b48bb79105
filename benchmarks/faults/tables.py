"""Tables of cells and genes (obs, var) that are damaged or contradict the matrix."""

from __future__ import annotations

import h5py
import numpy as np

from benchmarks.faults.edits import cast, edited, put, replace, set_at, set_attribute, then, without
from benchmarks.faults.fault import Expected, Fault, Make, refused, same


def _fault(name: str, make: Make, expected: Expected) -> Fault:
    return Fault(row="structure of a file", name=name, make=make, expected=expected)


def _listed(file: h5py.File) -> None:
    file["obs"].attrs["column-order"] = ["sample_id", "donor_id", "sort_gate", "lost"]


def _with_extra(file: h5py.File) -> None:
    put("obs/extra", data=np.arange(7))(file)
    file["obs"].attrs["column-order"] = ["sample_id", "donor_id", "sort_gate", "extra"]


def _own_group(name: str) -> Make:
    return edited(then(without(name), lambda file: file.create_group(name)))


def _nullable(kind: str) -> Make:
    """Store samples as a masked column."""

    def change(file: h5py.File) -> None:
        codes, names = file["obs/sample_id/codes"][:], file["obs/sample_id/categories"][:]
        del file["obs/sample_id"]
        group = file.create_group("obs/sample_id")
        group["values"] = codes.astype(np.int64) if kind == "integer" else names[codes]
        group["mask"] = np.zeros(len(codes), dtype=bool)
        group.attrs["encoding-type"], group.attrs["encoding-version"] = f"nullable-{kind}", "0.1.0"

    return edited(change)


def _lengthened(name: str) -> Make:
    return edited(replace(name, lambda values: np.append(values, [b"x"])))


FAULTS = [
    _fault("HDF5 without obs and var", edited(without("obs", "var")), refused("no obs and no var")),
    _fault("obs absent", edited(without("obs")), refused("no obs")),
    _fault("obs a dataset", edited(put("obs", data=np.arange(120))), refused("obs", "stored as columns")),
    _fault(
        "obs of a compound type (anndata 0.6)",
        edited(put("obs", data=np.zeros(120, dtype=[("index", "S9")]))),
        refused("obs", "compound"),
    ),
    _fault("obs without its index", edited(without("obs/_index")), refused("'_index'", "obs")),
    _fault("obs without the name of its index", edited(set_attribute("obs", "_index", None)), same()),
    _fault("an index of obs that is not there", edited(set_attribute("obs", "_index", "barcode")), refused("barcode")),
    _fault("an index of obs that is a group", _own_group("obs/_index"), refused("obs/_index")),
    _fault(
        "an index of obs of two dimensions", edited(replace("obs/_index", lambda v: v.reshape(-1, 2))), refused("obs")
    ),
    _fault("an index of obs that is too long", _lengthened("obs/_index"), refused("121", "120")),
    _fault("an index of var that is too short", edited(replace("var/_index", lambda v: v[:-1])), refused("699", "700")),
    _fault(
        "gene ids of another length", edited(replace("var/gene_id", lambda v: v[:-1])), refused("699 values for 700")
    ),
    _fault(
        "a column of another length",
        edited(replace("obs/sample_id/codes", lambda v: v[:-3])),
        refused("117 values for 120 rows"),
    ),
    _fault(
        "an unused column of another length",
        edited(_with_extra),
        refused("extra"),
    ),
    _fault("codes without category", edited(set_at("obs/sample_id/codes", 3, 99)), refused("99")),
    _fault("codes below -1", edited(set_at("obs/sample_id/codes", 3, -5)), refused("-5")),
    _fault("codes of float", edited(replace("obs/sample_id/codes", cast(np.float64))), refused("codes", "float64")),
    _fault("categories absent", edited(without("obs/sample_id/categories")), refused("no categories", "sample_id")),
    _fault("the sample column an empty group", _own_group("obs/sample_id"), refused("sample_id")),
    _fault("a column that is listed but not there", edited(_listed), refused("lost")),
    _fault("samples as nullable integers", _nullable("integer"), same()),
    _fault("samples as nullable text", _nullable("string-array"), same()),
]
