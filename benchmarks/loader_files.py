"""The set on disk in every format, written once into a work folder and used again while its description holds."""

from __future__ import annotations

import json
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.loader_set import LabelSortedSet, SetConfig, gene_names, label_names
from benchmarks.measure import python, run_measured
from benchmarks.page_cache import size_below

FILES = {
    "raw h5ad": "cells.h5ad",
    "gzip h5ad": "cells_gzip.h5ad",
    "zarr": "cells.zarr",
    "packed": "cells_packed",
    "annbatch": "cells_annbatch.zarr",
}
"""Format to its file or folder."""
DESCRIPTION = "description.json"


@dataclass(frozen=True)
class WorkFolder:
    """The folder of one set.

    Attributes
    ----------
    folder
        Where its files are.
    config
        What they hold.
    """

    folder: Path
    config: SetConfig

    @classmethod
    def of(cls, work: Path, config: SetConfig) -> WorkFolder:
        """Return the folder of a set inside the work folder, one per number of cells."""
        return cls(work / f"{config.n_cells}_cells", config)

    def path(self, kind: str) -> Path:
        """Return where a format is."""
        return self.folder / FILES[kind]

    @property
    def labels(self) -> Path:
        """JSON with the `names` of the labels and `n_cells` of each."""
        return self.folder / "labels.json"

    def description(self) -> dict[str, Any]:
        """Return what makes the files again."""
        return {"config": asdict(self.config), "anndata": version("anndata")}

    def prepare(self) -> None:
        """Make the files that anndata writes, unless they are there and described alike."""
        described = self.folder / DESCRIPTION
        if described.exists() and json.loads(described.read_text(encoding="utf-8")) == self.description():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._write()
        described.write_text(json.dumps(self.description(), indent=1), encoding="utf-8")

    def make(self, kind: str, command: Callable[[Path], list[str]]) -> float | None:
        """Make a format by a command that gets the path to write; return its seconds, or None where it was there."""
        if self.path(kind).exists():
            return None
        draft = self.folder / f"draft_{FILES[kind]}"
        shutil.rmtree(draft, ignore_errors=True)
        seconds = run_measured(command(draft), self.folder / f"{kind}.log").seconds
        draft.rename(self.path(kind))
        return seconds

    def bytes_per_cell(self, kind: str) -> float:
        """Return the bytes on disk of a format, by cell."""
        return size_below(self.path(kind)) / self.config.n_cells

    def _write(self) -> None:
        cells = LabelSortedSet(self.config)
        spool = self.folder / "spool"
        spool.mkdir()
        adata = ad.AnnData(
            _spooled(cells, spool), obs=cells.obs(), var=pd.DataFrame(index=gene_names(self.config.n_genes))
        )
        for kind, write in WRITERS.items():
            start = time.perf_counter()
            write(adata, self.path(kind))
            print(f"{kind}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
        del adata
        shutil.rmtree(spool)
        labels = {"names": label_names(self.config.n_labels), "n_cells": cells.sizes.tolist()}
        self.labels.write_text(json.dumps(labels), encoding="utf-8")


def packing_command(source: Path) -> Callable[[Path], list[str]]:
    """Return the command that packs a file into a path."""
    return lambda path: python("-m", "datamodules.prepare", str(source), "--output", str(path))


def _write_zarr(adata: ad.AnnData, path: Path) -> None:
    with ad.settings.override(zarr_write_format=3, auto_shard_zarr_v3=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata are not in the format's specification yet
        adata.write_zarr(path)


WRITERS: dict[str, Callable[[ad.AnnData, Path], None]] = {
    "raw h5ad": lambda adata, path: adata.write_h5ad(path),
    "gzip h5ad": lambda adata, path: adata.write_h5ad(path, compression="gzip"),
    "zarr": _write_zarr,
}
"""anndata's own writers with its own settings; zarr in version 3, which anndata 0.13 takes by default."""


def _spooled(cells: LabelSortedSet, folder: Path) -> sparse.csr_matrix:
    """Return the counts as CSR over mapped files, so that memory does not grow with cells."""
    data, indices, indptr = folder / "data", folder / "indices", [np.zeros(1, dtype=np.int64)]
    with data.open("wb") as data_file, indices.open("wb") as indices_file:
        for block in cells.blocks():
            data_file.write(block.data.data)
            indices_file.write(block.indices.data)
            indptr.append(indptr[-1][-1] + block.indptr[1:].astype(np.int64))
    mapped = np.memmap(data, np.float32, "r"), np.memmap(indices, np.int32, "r"), np.concatenate(indptr)
    return sparse.csr_matrix(mapped, shape=(cells.config.n_cells, cells.config.n_genes))
