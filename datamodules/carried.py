"""Carries an input over into a new .h5ad as it is, a few megabytes at a time: copied bytes, copied arrays or counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr
from anndata.io import write_elem

from datamodules.lasting import LastingFile, open_lasting
from datamodules.source import reading
from datamodules.store import CellStore
from schema.signals import STOP

_BYTES = 2**25
"""Bytes in memory at a time."""
_ROWS = 4096
"""Cells in memory at a time."""
_PACKED = {"chunks": True, "compression": "gzip", "compression_opts": 1, "shuffle": True}


def carry_over(store: CellStore, target: Path) -> tuple[h5py.File, LastingFile]:
    """Write an input's content to a new .h5ad and return that, open for additions, and the file that knows of faults.

    An .h5ad is copied byte for byte, a .zarr array by array. Of 10x counts a new AnnData is made: X the counts of genes
    as CSR, obs the barcodes, var the symbols (made unique as scanpy does) with `gene_ids`.

    Parameters
    ----------
    store
        The opened input.
    target
        File to write; replaced where it is there.
    """
    if store.kind == "h5ad":
        _copy_file(store.path, target)
        return open_lasting(target, "r+")
    file, below = open_lasting(target, "w")
    try:
        if store.kind == "zarr":
            with reading(store.name):
                source = zarr.open_group(store.path, mode="r")
            _copy_group(source, file, store.name, below)
        else:
            _write_tenx(store, file, below)
    except BaseException:
        file.close()
        below.close()
        raise
    return file, below


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file; signals that wait are looked at on the way."""
    with source.open("rb") as old, target.open("wb") as new:
        while block := old.read(_BYTES):
            new.write(block)
            STOP.obey()


def mark(element: h5py.Group | h5py.Dataset, encoding: str, version: str) -> None:
    """Say how AnnData is to read an element."""
    element.attrs["encoding-type"], element.attrs["encoding-version"] = encoding, version


def _copy_group(source: zarr.Group, target: h5py.Group, where: str, below: LastingFile) -> None:
    _copy_attributes(source.attrs.asdict(), target)
    for name, member in source.members():
        if isinstance(member, zarr.Group):
            _copy_group(member, target.create_group(name), f"{where}/{name}", below)
        else:
            _copy_attributes(member.attrs.asdict(), _copy_array(member, target, name, f"{where}/{name}", below))


def _copy_attributes(attributes: Mapping[str, object], target: h5py.Group | h5py.Dataset) -> None:
    for name, value in attributes.items():
        texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
        target.attrs[name] = np.array(value, dtype=h5py.string_dtype()) if texts else value


def _copy_array(source: zarr.Array[Any], target: h5py.Group, name: str, where: str, below: LastingFile) -> h5py.Dataset:
    is_text = source.dtype.kind in "OUT"
    dtype = h5py.string_dtype() if is_text else source.dtype
    if source.ndim == 0:
        return target.create_dataset(name, data=str(source[()]) if is_text else source[()], dtype=dtype)
    dataset = target.create_dataset(name, source.shape, dtype, **(_PACKED if source.size else {}))
    row_bytes = max(1, source.dtype.itemsize * (source.size // max(1, source.shape[0])))
    step = source.chunks[0] * max(1, _BYTES // (row_bytes * source.chunks[0])) if source.size else 1
    for start in range(0, source.shape[0], step):
        with reading(where):
            block = np.asarray(source[start : start + step])
        dataset[start : start + step] = block.astype(object) if is_text else block
        below.check()
    return dataset


def _write_tenx(store: CellStore, file: h5py.File, below: LastingFile) -> None:
    symbols = ad.utils.make_index_unique(pd.Index(store.gene_symbols, dtype=object))
    write_elem(file, "/", ad.AnnData(var=pd.DataFrame({"gene_ids": list(store.gene_ids)}, index=symbols)))
    _write_names(store, file)
    _write_counts(store, file.create_group("X"), below)


def _write_names(store: CellStore, file: h5py.File) -> None:
    del file["obs"]
    obs = file.create_group("obs")
    mark(obs, "dataframe", "0.2.0")
    obs.attrs["_index"], obs.attrs["column-order"] = "_index", np.array([], dtype=h5py.string_dtype())
    names = obs.create_dataset("_index", (store.n_cells,), h5py.string_dtype())
    mark(names, "string-array", "0.2.0")
    for start in range(0, store.n_cells, _ROWS):
        stop = min(start + _ROWS, store.n_cells)
        names[start:stop] = store.cell_ids(start, stop)


def _write_counts(store: CellStore, group: h5py.Group, below: LastingFile) -> None:
    mark(group, "csr_matrix", "0.1.0")
    group.attrs["shape"] = [store.n_cells, len(store.gene_symbols)]
    indices = group.create_dataset("indices", (0,), np.int32, maxshape=(None,), **_PACKED)
    data = group.create_dataset("data", (0,), np.float32, maxshape=(None,), **_PACKED)
    indptr = group.create_dataset("indptr", (store.n_cells + 1,), np.int64)
    indptr[0] = end = 0
    for start in range(0, store.n_cells, _ROWS):
        block = store.read(start, min(start + _ROWS, store.n_cells))
        indptr[start + 1 : start + len(block.indptr)] = end + block.indptr[1:]
        for dataset, values in ((indices, block.indices), (data, block.counts)):
            dataset.resize(end + len(values), axis=0)
            dataset[end:] = values
        end += len(block.counts)
        below.check()
