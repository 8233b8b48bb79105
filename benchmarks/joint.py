"""One matrix over several files: the genes that training cells show, in one order, zero where a file lacks a gene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import numpy.typing as npt
from scipy import sparse

SCALE = 1e4
"""Counts per cell after scaling."""
MIN_CELLS = 3
"""Training cells that must show a gene."""
NOT_LABELLED = "unlabelled"


def training_cells(files: Sequence[Path], test_donors: Sequence[str]) -> list[ad.AnnData]:
    """Read the labelled cells of all donors that are not tested on, one part per file that has any."""
    parts = []
    for path in files:
        cells = ad.read_h5ad(path)
        use = ~cells.obs["donor_id"].isin(test_donors) & (cells.obs["cell_type"] != NOT_LABELLED)
        if use.any():
            parts.append(cells[use.to_numpy()].copy())
    return parts


def labels_of(parts: Sequence[ad.AnnData]) -> npt.NDArray[np.str_]:
    """Return the labels of all cells of the parts, in order, `[n_cells]`."""
    return np.concatenate([cells.obs["cell_type"].astype(str).to_numpy(dtype=str) for cells in parts])


def shown_genes(files: Sequence[ad.AnnData], min_cells: int) -> list[str]:
    """Return genes seen in at least `min_cells` cells over all files, in order of first appearance."""
    seen: dict[str, int] = {}
    for cells in files:
        for gene, n_cells in zip(cells.var_names, cells.X.getnnz(axis=0), strict=True):
            seen[gene] = seen.get(gene, 0) + int(n_cells)
    return [gene for gene, n_cells in seen.items() if n_cells >= min_cells]


def log_scaled(cells: ad.AnnData, genes: Sequence[str]) -> sparse.csr_matrix:
    """Return log1p of counts per ten thousand, float32 CSR `[n_cells, n_genes]`.

    A cell is scaled by its counts over all genes of its file, before genes are selected; genes that the file lacks are
    zero columns.
    """
    counts = sparse.csr_matrix(cells.X, dtype=np.float32, copy=True)
    library_size = np.maximum(np.asarray(counts.sum(axis=1), dtype=np.float64).ravel(), 1.0)
    counts.data = np.log1p(counts.data * np.repeat(SCALE / library_size, np.diff(counts.indptr))).astype(np.float32)
    return in_order(counts, cells.var_names, genes)


def in_order(values: sparse.csr_matrix, has: Sequence[str], genes: Sequence[str]) -> sparse.csr_matrix:
    """Return the columns of genes in their order, float32 CSR `[n_cells, n_genes]`; zero where `has` lacks a gene."""
    position = {gene: column for column, gene in enumerate(genes)}
    column = np.array([position.get(gene, -1) for gene in has], dtype=np.int64)
    kept = np.flatnonzero(column >= 0)
    place = sparse.csr_matrix(
        (np.ones(len(kept), dtype=np.float32), (kept, column[kept])), shape=(len(column), len(genes))
    )
    return sparse.csr_matrix(values @ place)
