"""The contract between files and network: one batch of cells as plain tensors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TARGET_SUM = 1e4
"""Counts per cell after scaling, before log1p: the unit of normalised expression everywhere."""

LARGE = 255
"""A packed count of this value stands for itself or more; the exact count is in the list of large counts."""

MAX_SMALL_GENES = 2**16
"""Genes of a file up to which their positions are packed as uint16."""

PADDING = -1
"""`row` of a cell that is none: it fills the last validation batches, so that all ranks have equally many."""


_PER_CELL = ("library_size", "file", "cell_type", "sample", "row")
"""Fields with one value per cell."""


class CellBatch(NamedTuple):
    """Raw counts of a batch of cells, packed as they cross to the device, with what is known of each cell.

    Entries are UMI counts, never normalised, of the genes of each cell's own file; `columns` moves them to the
    vocabulary on the device. The genes of a cell's entries are unique, and so are their columns: genes of a file that
    mean the same gene of the vocabulary are summed before. A NamedTuple, because Lightning moves it between devices and
    refuses frozen dataclasses.

    Attributes
    ----------
    indptr
        int64 `[n_cells + 1]`: row `i` owns the entries `indptr[i]:indptr[i + 1]`.
    indices
        uint16 `[n_entries]`, or int32 where a file has more than `MAX_SMALL_GENES` genes: gene of the cell's file.
    counts
        uint8 `[n_entries]`: UMI counts, `LARGE` standing for itself or more; or float32, exact.
    large_at
        int64 `[n_large]`, rising: the entries of packed counts that are `LARGE`.
    large_count
        float32 `[n_large]`: UMI counts of those entries, whole and >= `LARGE`.
    library_size
        float32 `[n_cells]`: UMI counts of the cell over all genes of its file, taken before genes are selected.
    columns
        int32 `[n_files, n_file_genes]`: column of each file's genes in the vocabulary; -1 = not in it, or no gene.
    present
        bool `[n_files, n_genes]`: whether the file measured the gene of the vocabulary at all.
    file
        int64 `[n_cells]`: row of `columns` and `present` that holds for the cell.
    cell_type
        int64 `[n_cells]`: index of a node of the cell ontology, at any level; -1 = unlabelled.
    sample
        int64 `[n_cells]`: index of the sample in the datamodule's sample table; 0 for padding.
    row
        int64 `[n_cells]`: row of the cell in its file; `PADDING` for a cell that is none.
    """

    indptr: Tensor
    indices: Tensor
    counts: Tensor
    large_at: Tensor
    large_count: Tensor
    library_size: Tensor
    columns: Tensor
    present: Tensor
    file: Tensor
    cell_type: Tensor
    sample: Tensor
    row: Tensor

    @property
    def n_cells(self) -> int:
        """Number of cells in the batch, padding among them."""
        return int(self.library_size.shape[0])

    @property
    def n_genes(self) -> int:
        """Number of genes in the vocabulary."""
        return int(self.present.shape[1])

    def of_rows(self, rows: Tensor) -> CellBatch:
        """Return some cells of the batch, `rows` int64 `[n]`, rising; the tables of the files stay as they are."""
        lengths = self.indptr.diff()
        chosen = torch.zeros(len(lengths), dtype=torch.bool, device=rows.device)
        chosen[rows] = True
        entry = torch.repeat_interleave(chosen, lengths)
        is_large = entry[self.large_at]
        place = entry.cumsum(0) - 1
        per_cell = {name: getattr(self, name)[rows] for name in _PER_CELL}
        return self._replace(
            indptr=torch.cat([self.indptr[:1], lengths[rows].cumsum(0)]),
            indices=self.indices[entry],
            counts=self.counts[entry],
            large_at=place[self.large_at[is_large]],
            large_count=self.large_count[is_large],
            **per_cell,
        )
