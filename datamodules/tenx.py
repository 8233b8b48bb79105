"""Opens 10x output: an .h5 (Cell Ranger 2 or 3), or a folder of matrix, features and barcodes."""

from __future__ import annotations

from collections.abc import Callable

import h5py
import pandas as pd

from datamodules.csr import CsrMatrix
from datamodules.elements import Element, check_column, length, texts
from datamodules.reach import check_complete
from datamodules.source import GeneNames, Source, reading
from datamodules.structure import broken_matrix, check_parts, read_shape
from schema.errors import InputError

_PARTS = ("barcodes", "data", "indices", "indptr", "shape")


class Barcodes:
    """Cells of which only the names are known.

    Parameters
    ----------
    names
        Function of (start, stop) that returns barcodes.
    n_rows
        Number of cells.
    """

    columns: tuple[str, ...] = ()

    def __init__(self, names: Callable[[int, int], list[str]], n_rows: int) -> None:
        self.names, self.n_rows = names, n_rows

    def column(self, name: str) -> pd.Categorical:
        """Refuse: 10x files have no columns of obs."""
        raise KeyError(name)


def tenx_groups(file: h5py.File) -> list[str]:
    """Return the groups of an HDF5 file that hold a 10x matrix: "matrix" (v3), or one per genome (v2)."""
    return [name for name, group in file.items() if isinstance(group, h5py.Group) and set(_PARTS) <= set(group)]


def open_tenx_h5(file: h5py.File, name: str, groups: list[str]) -> Source:
    """Return the source in an open 10x .h5; it closes the file. CSC of genes x cells is CSR of cells x genes.

    Raises
    ------
    InputError
        If there are several genomes, or parts are missing or disagree.
    """
    if len(groups) > 1:
        raise InputError(
            "a 10x file must hold one genome",
            got=", ".join(groups),
            where=name,
            fix="Write one file per genome.",
        )
    group, where = file[groups[0]], f"{name}, {groups[0]}"
    with reading(where):
        genes = _genes(group, where)
        n_genes, n_cells = read_shape(group["shape"][()], where)
        check_parts(group["indptr"], group["indices"], group["data"], where)
        if (n_pointers := length(group["indptr"]) - 1) != n_cells:
            raise broken_matrix(f"{n_pointers} columns for shape {(n_genes, n_cells)}", where)
        check_complete(group["data"], f"{where}/data")
        check_complete(group["indices"], f"{where}/indices")
        matrix = CsrMatrix(group["indptr"], group["indices"], group["data"], n_genes, where)
        barcodes = group["barcodes"]
        check_column(barcodes, f"{where}/barcodes")
        cells = Barcodes(lambda start, stop: texts(barcodes, start, stop), length(barcodes))
    return Source(kind="10x h5", matrix=matrix, counts_location=groups[0], genes=genes, cells=cells, close=file.close)


def _genes(group: Element, where: str) -> GeneNames:
    """Return names from `features` (v3) or from `genes` and `gene_names` (v2)."""
    v3 = "features" in group
    place = group["features"] if v3 else group
    names, ids = ("name", "id") if v3 else ("gene_names", "genes")
    missing = [part for part in (names, ids) if part not in place]
    if missing:
        raise InputError(
            "a 10x matrix must name its genes", got=f"no {', '.join(missing)}", where=where, fix="Write it again."
        )
    for part in (names, ids, *({"feature_type"} & set(place))):
        check_column(place[part], f"{where}/{part}")
    n_genes = length(place[ids])
    types = texts(place["feature_type"], 0, n_genes) if "feature_type" in place else [""] * n_genes
    return GeneNames(texts(place[names], 0, length(place[names])), texts(place[ids], 0, n_genes), types)
