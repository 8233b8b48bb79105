"""Raw counts of a few cells that are kept while the cells of a run pass in batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from model.preprocess import to_dense
from schema.batch import LARGE, CellBatch

CPU = torch.device("cpu")

_CELLS_AT_ONCE = 64
"""Cells whose expression is dense at one time."""


class KeptCells:
    """Keeps chosen cells of batches that come in row order from one file.

    Memory is that of the cells that are still wanted, times two at most.
    """

    def __init__(self) -> None:
        self._parts: list[CellBatch] = []

    @property
    def n_cells(self) -> int:
        """Cells that are kept, among them such as are no longer wanted."""
        return sum(part.n_cells for part in self._parts)

    def add(self, batch: CellBatch, chosen: npt.NDArray[np.int64]) -> None:
        """Keep the cells of a batch at some positions, int64 ascending."""
        if len(chosen):
            self._parts.append(take(batch, torch.from_numpy(chosen)))

    def forget_all_but(self, rows: npt.NDArray[np.int64]) -> None:
        """Give up cells that are none of `rows`, int64 ascending, once they are as many as those that stay."""
        if self.n_cells > 2 * len(rows):
            self._parts = [self.cells(rows)]

    def cells(self, rows: npt.NDArray[np.int64], device: torch.device = CPU) -> CellBatch:
        """Return the cells of some rows, int64 in any order, as one batch on a device.

        Raises
        ------
        ValueError
            If a row was not kept.
        """
        if len(self._parts) != 1:
            self._parts = [join(self._parts)]
        (kept,) = self._parts
        position = np.searchsorted(kept.row.numpy(), rows)
        cells = take(kept, torch.from_numpy(position.clip(max=kept.n_cells - 1)))
        if cells.row.tolist() != rows.tolist():
            raise ValueError(f"Expected kept rows but got some of {rows.tolist()[:3]}... that were not.")
        return CellBatch(*(part.to(device) for part in cells))

    def expression(self, rows: npt.NDArray[np.int64]) -> sparse.csr_matrix:
        """Return normalised expression of some rows, float32 `[n_cells, n_genes]`, as the network has it."""
        parts = (rows[first : first + _CELLS_AT_ONCE] for first in range(0, len(rows), _CELLS_AT_ONCE))
        dense = (to_dense(self.cells(part)).numpy() for part in parts)
        return sparse.vstack([sparse.csr_matrix(part) for part in dense], format="csr")


def raw_counts(batch: CellBatch, chosen: npt.NDArray[np.int64]) -> sparse.csr_matrix:
    """Return raw counts of some cells of a batch, float32 `[n, n_genes]`, genes in the vocabulary's order."""
    cells = take(batch, torch.from_numpy(chosen))
    rows = torch.repeat_interleave(torch.arange(cells.n_cells), cells.indptr.diff())
    column = cells.columns[cells.file[rows], cells.indices.long()]
    known = column >= 0
    entries = (cells.counts[known].numpy(), (rows[known].numpy(), column[known].numpy()))
    return sparse.csr_matrix(entries, shape=(cells.n_cells, batch.n_genes))


def take(batch: CellBatch, chosen: Tensor) -> CellBatch:
    """Return some cells of a batch, int64 `[n]` in any order, with exact counts, on the CPU, in memory of their own."""
    chosen = chosen.to(batch.indptr.device)
    length = batch.indptr.diff()[chosen]
    indptr = torch.cat([length.new_zeros(1), length.cumsum(0)])
    entry = torch.arange(int(indptr[-1]), device=length.device)
    entry += (batch.indptr[chosen] - indptr[:-1]).repeat_interleave(length)
    counts = batch.counts[entry].float()
    if batch.counts.dtype == torch.uint8:
        large = counts == LARGE
        counts[large] = batch.large_count[torch.searchsorted(batch.large_at, entry[large])]
    none_large = {"large_at": batch.large_at.new_zeros(0), "large_count": batch.large_count.new_zeros(0)}
    by_cell = {name: getattr(batch, name)[chosen] for name in ("library_size", "file", "cell_type", "sample", "row")}
    signed = {torch.uint16: torch.int16}.get(batch.indices.dtype, batch.indices.dtype)  # CUDA looks up no uint16
    indices = batch.indices.view(signed)[entry].view(batch.indices.dtype)
    taken = batch._replace(indptr=indptr, indices=indices, counts=counts, **none_large, **by_cell)
    return CellBatch(*(part.cpu() for part in taken))


def join(batches: Sequence[CellBatch]) -> CellBatch:
    """Return the cells of batches with exact counts from the same files as one batch, in their order."""
    indptr = [batch.indptr.diff() for batch in batches]
    joined = {
        name: torch.cat([getattr(batch, name) for batch in batches])
        for name in ("indices", "counts", "library_size", "file", "cell_type", "sample", "row")
    }
    return batches[0]._replace(indptr=torch.cat([torch.zeros(1, dtype=torch.int64), *indptr]).cumsum(0), **joined)
