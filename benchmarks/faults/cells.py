"""Names of cells, samples and columns that are odd, missing or hostile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from benchmarks.faults.edits import edited, written
from benchmarks.faults.fault import Expected, Fault, Make, refused, same


def _fault(name: str, make: Make, expected: Expected, options: tuple[str, ...] = ()) -> Fault:
    return Fault(row="cells and samples", name=name, make=make, expected=expected, options=options)


def _barcodes(change: Callable[[int], str]) -> Make:
    def changed(adata: ad.AnnData) -> None:
        adata.obs_names = pd.Index([change(row) for row in range(adata.n_obs)], dtype=object)

    return written(changed)


def _samples(change: Callable[[pd.Series], Any]) -> Make:
    def changed(adata: ad.AnnData) -> None:
        adata.obs["sample_id"] = change(adata.obs["sample_id"].astype(object))

    return written(changed)


def _with_column(name: str, value: object) -> Make:
    def changed(adata: ad.AnnData) -> None:
        adata.obs[name] = value

    return written(changed)


def _missing(samples: pd.Series) -> Any:
    samples = samples.copy()
    samples.iloc[5:8] = np.nan
    return samples


def _floats(samples: pd.Series) -> Any:
    return pd.factorize(samples)[0].astype(float)


def _without_samples(adata: ad.AnnData) -> None:
    del adata.obs["sample_id"], adata.obs["donor_id"]


def _renamed(adata: ad.AnnData) -> None:
    adata.obs = adata.obs.rename(columns={"sample_id": "orig.ident"}).drop(columns="donor_id")


def _own_uns(adata: ad.AnnData) -> None:
    adata.uns["neutrostage"] = {"program": "another"}


def _own_obsm(adata: ad.AnnData) -> None:
    adata.obsm["X_neutrostage"] = np.zeros((adata.n_obs, 3))


def _all_own(adata: ad.AnnData) -> None:
    _own_uns(adata)
    _own_obsm(adata)
    adata.obs["predicted_cell_type"] = "mine"


_EVIL = (
    "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "$(rm -rf /)",
    "../../etc/passwd",
    "a\nb\tc",
    "\u202egnp",
    "",
)

FAULTS = [
    _fault("duplicate barcodes", _barcodes(lambda row: f"AAAC{row % 7}-1"), same()),
    _fault("unicode barcodes", _barcodes(lambda row: f"zäh\u200b\U0001f9ec{row}"), same()),
    _fault("barcodes with line breaks", _barcodes(lambda row: f"A{row}\nB\r\n\tC"), same()),
    _fault("barcodes that are formulas", _barcodes(lambda row: f"=cmd|'/C calc'!A{row}"), same()),
    _fault("barcodes of 70,000 letters", _barcodes(lambda row: "A" * 70_000 + str(row)), same()),
    _fault("empty barcodes", _barcodes(lambda _: ""), same()),
    _fault("no sample column", written(_without_samples), same("the whole file is taken as one sample")),
    _fault("a sample column of another name", written(_renamed), same("the whole file is taken as one sample")),
    _fault("a sample column of another name, named", written(_renamed), same(), ("--sample_column", "orig.ident")),
    _fault(
        "a sample column that is not there",
        written(lambda _: None),
        refused("nearest: sample_id"),
        ("--sample_column", "sample"),
    ),
    _fault("cells without sample", _samples(_missing), refused("every cell must belong to a sample", "3 of 120")),
    _fault("samples that are floats", _samples(_floats), same()),
    _fault("samples that are booleans", _samples(lambda s: s == s.iloc[0]), same()),
    _fault("samples that are dates", _samples(lambda _: "2024-01-01T00:00:00"), same()),
    _fault("a sample for each cell", _samples(lambda s: [f"s{row}" for row in range(len(s))]), same()),
    _fault("samples with odd names", _samples(lambda s: [_EVIL[code % 7] for code in pd.factorize(s)[0]]), same()),
    _fault(
        "a sample without a name",
        _samples(lambda s: s.replace(s.iloc[0], "")),
        refused("every cell must belong to a sample"),
    ),
    _fault("a sample of 70,000 letters", _samples(lambda s: s.replace(s.iloc[0], "s" * 70_000)), same()),
    _fault(
        "samples whose names differ in case", _samples(lambda s: np.where(np.arange(len(s)) % 2, "s1", "S1")), same()
    ),
    _fault(
        "a column of ours",
        _with_column("predicted_cell_type", "mine"),
        refused("obs/predicted_cell_type", "--overwrite"),
    ),
    _fault(
        "a column of ours, to be replaced",
        _with_column("predicted_cell_type", "mine"),
        same("replaced"),
        ("--overwrite", "true"),
    ),
    _fault(
        "all that is ours",
        written(_all_own),
        refused("obs/predicted_cell_type", "obsm/X_neutrostage", "uns/neutrostage"),
    ),
    _fault("uns of ours", written(_own_uns), refused("uns/neutrostage")),
    _fault("obsm of ours", written(_own_obsm), refused("obsm/X_neutrostage")),
    _fault(
        "a column with a slash in its name",
        edited(lambda f: f["obs"].create_dataset("a/b", data=np.arange(120))),
        same(),
    ),
    _fault("a column with an odd name", _with_column("<img src=x onerror=alert(1)>", "x"), same()),
]
