"""The contract between files and network: one batch of cells as plain tensors."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

TARGET_SUM = 1e4
"""Counts per cell after scaling, before log1p: the unit of normalised expression everywhere."""


class CellBatch(NamedTuple):
    """Raw counts of a batch of cells in vocabulary order, as packed CSR, with what is known of each cell.

    Counts are UMI counts, never normalised. Column indices within a row are unique. A NamedTuple, because Lightning
    moves it between devices and refuses frozen dataclasses.

    Attributes
    ----------
    indptr
        int64 `[n_cells + 1]`: row `i` owns the entries `indptr[i]:indptr[i + 1]`.
    indices
        int32 `[n_nonzeros]`: column in the gene vocabulary, 0 <= index < n_genes.
    counts
        float32 `[n_nonzeros]`: UMI counts, whole and > 0.
    library_size
        float32 `[n_cells]`: UMI counts of the cell over all genes of its file, taken before genes are selected.
    present
        bool `[n_files, n_genes]`: whether the file measured the gene at all.
    file
        int64 `[n_cells]`: row of `present` that holds for the cell.
    cell_type
        int64 `[n_cells]`: index of a node of the cell ontology, at any level; -1 = unlabelled.
    sample
        int64 `[n_cells]`: index of the sample in the datamodule's sample table.
    row
        int64 `[n_cells]`: row of the cell in its file.
    """

    indptr: Tensor
    indices: Tensor
    counts: Tensor
    library_size: Tensor
    present: Tensor
    file: Tensor
    cell_type: Tensor
    sample: Tensor
    row: Tensor

    @property
    def n_cells(self) -> int:
        """Number of cells in the batch."""
        return int(self.library_size.shape[0])

    @property
    def n_genes(self) -> int:
        """Number of genes in the vocabulary."""
        return int(self.present.shape[1])
