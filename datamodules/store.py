"""One opened source of cells, whatever its format: names, obs columns, and blocks of proved raw counts."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from datamodules.anndata_source import open_h5ad, open_zarr
from datamodules.check import CsrBlock, canonical_rows, select_columns
from datamodules.fingerprint import digest_of
from datamodules.matrix import PackedReader
from datamodules.pack import joined
from datamodules.packed import only_part, open_packed, parts_of
from datamodules.reach import check_hdf5_reach
from datamodules.row_packer import RowPacker
from datamodules.source import Source, reading
from datamodules.space import Ints, LargeCounts, RowSpace
from datamodules.tenx import open_tenx_h5, tenx_groups
from datamodules.tenx_folder import is_tenx_folder, open_tenx_folder
from schema.errors import FaultList, InputError
from schema.names import nearest_names

__all__ = ["CellStore", "CsrBlock", "open_store"]

GENE_EXPRESSION = "Gene Expression"
"""Feature type of genes, where a file also has antibodies or guides."""

OTHER_FEATURES = ("Antibody Capture", "CRISPR Guide Capture", "Multiplexing Capture", "Antigen Capture", "Peaks")
"""Feature types of what is no gene."""


class CellStore:
    """One opened source of cells; a context manager.

    Attributes
    ----------
    path, name, kind
        Where it is, its file or folder name (of a part of a packed store: that of its source), and its format ("h5ad",
        "zarr", "10x h5", "10x folder", "packed").
    n_cells
        Number of rows.
    gene_symbols, gene_ids
        Names of the genes `[n_file_genes]`, in the order of the columns that `read` returns; "" where unknown. Symbols
        may really be Ensembl ids, ids may carry versions. Antibodies and guides are not among them.
    counts_location
        Where in the file the counts stand: "X", "raw/X", "layers/counts", "matrix", "matrix.mtx.gz".
    obs_columns
        Names of the columns of obs; none for 10x files.
    members
        Entries of obsm and uns ("obsm/X_umap"); none for 10x files.
    is_by_rows
        Whether the counts are stored cell by cell; if not, the first cell that is read transposes all of them.
    is_exact
        Whether the rows lie packed in the file: `read_packed` without `merge` fills `max_entries` entries exactly.
    chunk_rows
        About how many rows are decoded together, so that reading one costs as much as reading all; 1 = none.
    """

    def __init__(self, path: Path, source: Source) -> None:
        self.path, self.name, self.kind = path, source.name or path.name, source.kind
        self.counts_location, self.obs_columns = source.counts_location, source.cells.columns
        self.members = source.members
        self._source, self.n_cells = source, source.matrix.n_rows
        self._place = _places(source.genes.feature_types)
        self.gene_symbols = tuple(_kept(source.genes.symbols, self._place))
        self.gene_ids = tuple(_kept(source.genes.ids, self._place))
        matrix = source.matrix
        self._pack = RowPacker(matrix, self._place, self.read, self._where)
        self.is_exact = self._pack.is_exact
        self.is_by_rows = True if isinstance(matrix, PackedReader) else matrix.is_by_rows
        self.chunk_rows = 1 if isinstance(matrix, PackedReader) else matrix.chunk_rows

    def __enter__(self) -> CellStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and remove temporary ones."""
        self._source.matrix.close()
        self._source.close()

    def obs(self, column: str) -> pd.Categorical:
        """Return one obs column as categories of text, code -1 = missing; only this column is read.

        Raises
        ------
        InputError
            If the column is not there or damaged.
        """
        if column not in self.obs_columns:
            near = nearest_names(column, self.obs_columns)
            raise InputError(
                "an obs column must exist",
                got=f"no {column!r}" + (f" (nearest: {', '.join(near)})" if near else ""),
                where=f"obs of {self.name}",
                fix=f"Columns there: {', '.join(self.obs_columns) or 'none'}.",
            )
        with reading(f"{self.name}, obs/{column}"):
            return self._source.cells.column(column)

    def cell_ids(self, start: int, stop: int) -> list[str]:
        """Return obs names or barcodes of cells `start` to `stop - 1`."""
        with reading(f"{self.name}, names of cells"):
            return self._source.cells.names(start, stop)

    def read(self, start: int, stop: int) -> CsrBlock:
        """Return the raw counts of cells `start` to `stop - 1` over all genes, every value checked.

        Raises
        ------
        InputError
            If a value is no raw count, or the matrix is damaged there.
        """
        where = self._where(start, stop)
        with reading(where):
            raw = self._source.matrix.read(start, stop)
        block = canonical_rows(raw, self._source.matrix.n_genes, where)
        return block if len(self.gene_symbols) == len(self._place) else select_columns(block, self._place)

    def max_entries(self, rows: Ints) -> int:
        """Return the most entries that rows can need in a space; exact where `is_exact`.

        Parameters
        ----------
        rows
            int64, ascending.
        """
        with reading(f"{self.name}, {self.counts_location}"):
            return self._source.matrix.max_entries(rows)

    def read_packed(self, rows: Ints, space: RowSpace, row: int, entry: int, merge: Ints | None = None) -> LargeCounts:
        """Read rows into a space, end to end, every value checked; several threads may do so at once.

        Parameters
        ----------
        rows
            int64, ascending.
        space
            What is filled: rows from `row` on, entries from `entry` on, at most `max_entries(rows)` of them. Columns
            rise within a row, explicit zeros are dropped, empty cells have length 0. The library size of a row is the
            sum of all its genes.
        merge
            int64 `[n_file_genes]`: the gene as which each gene is counted, so that duplicates are summed; None = each
            as itself.

        Raises
        ------
        InputError
            If a value is no raw count, or the matrix is damaged there.
        """
        if not len(rows):
            return joined([])
        with reading(self._where(int(rows[0]), int(rows[-1]) + 1)):
            return self._pack(rows, space, row, entry, merge)

    def will_need(self, rows: Ints) -> None:
        """Tell the operating system which rows, int64 ascending, are read next, where that helps."""
        self._source.matrix.will_need(rows)

    def fingerprint(self) -> dict[str, object]:
        """Return what tells this source from another: name, bytes, cells, genes, place of the counts, SHA-256.

        See `datamodules.fingerprint.digest_of` for what is hashed.
        """
        n_bytes, sha256 = digest_of(self.path, [str(self.n_cells), *self.gene_symbols, *self.gene_ids])
        sizes = {"bytes": n_bytes, "n_cells": self.n_cells, "n_genes": len(self.gene_symbols)}
        return {"name": self.name, **sizes, "counts_location": self.counts_location, "sha256": sha256}

    def _where(self, start: int, stop: int) -> str:
        return f"{self.name}, {self.counts_location}, rows {start}-{stop - 1}"


def open_store(path: Path, *, layer: str = "auto") -> CellStore:
    """Open an .h5ad, a .zarr, a 10x folder, a 10x .h5 or a part of a packed store, told apart by what they hold.

    Parameters
    ----------
    path
        File or folder.
    layer
        Matrix of an AnnData that holds the raw counts: "X", "raw", or the name of a layer. "auto" takes the first of
        layers["counts"], raw.X and X whose sampled values are raw counts. 10x matrices hold counts by definition.

    Raises
    ------
    InputError
        If it cannot be read, is of no such format, or holds no raw counts.
    """
    path = Path(path)
    source = _open_folder(path, layer) if path.is_dir() else _open_file(path, layer)
    try:
        _check_lengths(source, path.name)
        return CellStore(path, source)
    except InputError:
        source.matrix.close()
        source.close()
        raise


def _open_folder(path: Path, layer: str) -> Source:
    if any((path / name).exists() for name in (".zgroup", "zarr.json", ".zmetadata")):
        return open_zarr(path, layer)
    if parts := parts_of(path):
        return open_packed(only_part(parts, path.name), layer)
    if is_tenx_folder(path):
        return open_tenx_folder(path)
    nested = sorted(file.name for file in path.iterdir() if file.is_dir() and is_tenx_folder(file))
    raise _no_cells(
        f"a folder with {', '.join(nested)} in it" if nested else "a folder that is neither zarr nor 10x",
        path,
        f"Give one of them: {path.name}/{nested[0]}." if nested else "Give the folder with matrix.mtx, or a .zarr.",
    )


def _open_file(path: Path, layer: str) -> Source:
    formats = "Give an .h5ad, a .zarr, a 10x folder or a 10x .h5."
    if not path.exists():
        raise _no_cells("nothing there", path, "Check the path.")
    if not path.is_file():
        raise _no_cells("neither a file nor a folder", path, formats)
    if path.stat().st_size == 0:
        raise _no_cells("an empty file", path, "Copy or download it again.")
    with reading(path.name):
        if not h5py.is_hdf5(path):
            raise _no_cells("a file that is not HDF5", path, formats)
        file = h5py.File(path, "r")
    try:
        with reading(path.name):
            check_hdf5_reach(file, path.name)
            groups = tenx_groups(file)
        return open_tenx_h5(file, path.name, groups) if groups else open_h5ad(file, path.name, layer)
    except BaseException:
        file.close()
        raise


def _check_lengths(source: Source, name: str) -> None:
    matrix, genes = source.matrix, source.genes
    faults = FaultList(InputError)
    for what, n_names, n_matrix in (
        ("cells", source.cells.n_rows, matrix.n_rows),
        ("genes", len(genes.symbols), matrix.n_genes),
        ("gene ids", len(genes.ids), matrix.n_genes),
    ):
        if n_names != n_matrix:
            fault = InputError(
                "names and matrix must have the same length",
                got=f"{n_names} names of {what} for {n_matrix} in the matrix",
                where=f"{name}, {source.counts_location}",
                fix="Write the file again; AnnData is cells x genes, a 10x matrix is genes x cells.",
            )
            faults.note(fault)
    if matrix.n_genes and (_places(genes.feature_types) < 0).all():
        kinds = ", ".join(sorted(set(genes.feature_types)))
        faults.note(
            InputError("there must be genes", got=f"{kinds} alone", where=name, fix="Give the gene expression.")
        )
    faults.check()


def _places(feature_types: list[str]) -> npt.NDArray[np.int64]:
    """Return each column's place among the genes, int64 `[n_columns]`; -1 = not a gene (antibody, guide).

    Where no type is that of 10x genes, others may be biotypes ("protein_coding"), all of which are genes.
    """
    is_gene = np.array([kind == GENE_EXPRESSION for kind in feature_types], dtype=bool)
    if not is_gene.any():
        is_gene = np.array([kind not in OTHER_FEATURES for kind in feature_types], dtype=bool)
    return np.where(is_gene, np.cumsum(is_gene) - 1, -1)


def _kept(names: list[str], place: npt.NDArray[np.int64]) -> list[str]:
    return [name for name, position in zip(names, place, strict=True) if position >= 0]


def _no_cells(got: str, path: Path, fix: str) -> InputError:
    return InputError("an input must be a source of cells", got=got, where=path.name or str(path), fix=fix)
