"""An AnnData in memory as a source of cells, for notebooks: the same checks and the same reader as for files."""

from __future__ import annotations

import uuid
from pathlib import Path

import h5py
import pandas as pd
from anndata import AnnData
from anndata.io import write_elem

from datamodules.anndata_source import open_h5ad
from datamodules.store import CellStore

__all__ = ["AnnData", "open_anndata"]


def open_anndata(adata: AnnData, *, layer: str = "auto") -> CellStore:
    """Return a store of the counts, names and obs of an AnnData; the object itself is not changed.

    Parameters
    ----------
    adata
        Cells x genes with raw counts in a layer, in raw or in X.
    layer
        As in `datamodules.store.open_store`.

    Raises
    ------
    InputError
        If there are no raw counts in it.
    """
    name = "AnnData"
    file = h5py.File(f"{name}-{uuid.uuid4()}", "w", driver="core", backing_store=False)
    write_elem(file, "obs", _plain(adata.obs))
    write_elem(file, "var", _plain(adata.var))
    write_elem(file, "X", adata.X)
    if "counts" in adata.layers or layer in adata.layers:
        key = layer if layer in adata.layers else "counts"
        write_elem(file, f"layers/{key}", adata.layers[key])
    if adata.raw is not None:
        write_elem(file, "raw/X", adata.raw.X)
        write_elem(file, "raw/var", _plain(adata.raw.var))
    return CellStore(Path(name), open_h5ad(file, name, layer))


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose index is text and whose columns of mixed kinds are text."""
    plain = frame.copy()
    plain.index = plain.index.astype(str)
    mixed = [column for column in plain.columns if plain[column].dtype == object]
    plain[mixed] = plain[mixed].astype(str).where(plain[mixed].notna(), None)
    return plain
