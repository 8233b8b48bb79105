"""Packed counts of a batch to the dense input of the network, on the batch's device."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from schema.batch import TARGET_SUM, CellBatch

_CELLS_AT_ONCE = 256
"""Cells assembled together on a CPU, so that what is made on the way stays in its caches; CUDA takes all at once."""


def to_dense(batch: CellBatch) -> Tensor:
    """Return normalised expression, float `[n_cells, n_genes]`, zero where nothing was counted or measured.

    float32, or what CUDA's autocast computes in. Nothing here makes the host wait for the device.
    """
    unpacked, n_genes = unpack(batch), batch.n_genes
    dense = _zeros(batch.n_cells * n_genes + 1, unpacked.counts.device)
    for first, part in _parts(unpacked):
        rows = rows_of_entries(part)
        cells = dense[first * n_genes :]
        cells.index_copy_(0, _positions(part, rows, cells.numel() - 1), normalise(part, rows).to(dense.dtype))
    return dense[:-1].view(batch.n_cells, n_genes)


def unpack(batch: CellBatch) -> CellBatch:
    """Return the batch with exact counts, float32 `[n_entries]`, and no list of large ones."""
    if batch.counts.dtype == torch.float32:
        return batch
    counts = batch.counts.float().index_copy_(0, batch.large_at, batch.large_count)
    return batch._replace(counts=counts, large_at=batch.large_at[:0], large_count=batch.large_count[:0])


def rows_of_entries(batch: CellBatch) -> Tensor:
    """Return the cell of each entry, int32 `[n_entries]`."""
    return torch.repeat_interleave(batch.indptr.diff().to(torch.int32), output_size=batch.counts.numel())


def normalise(batch: CellBatch, rows: Tensor) -> Tensor:
    """Return log1p of counts per ten thousand, float32 `[n_entries]`, of a batch with exact counts.

    The divisor is `library_size`, taken over all genes of the file, so the value of a gene does not depend on the
    vocabulary.
    """
    scale = TARGET_SUM / batch.library_size.clamp_min(1.0)
    return scale.index_select(0, rows).mul_(batch.counts).log1p_()


def thin(batch: CellBatch, chosen: Tensor, *, least: float, floor: float) -> CellBatch:
    """Thin some of the cells by binomial sampling of their counts, as if they had been sequenced less deeply.

    Parameters
    ----------
    batch
        Raw counts.
    chosen
        bool `[n_cells]`, which cells are thinned.
    least
        Lowest share of its counts that a cell keeps, above 0 to 1; drawn log-uniformly between it and 1.
    floor
        UMI below which no cell is taken; poorer cells stay as they are.

    Returns
    -------
    CellBatch
        Same cells with exact counts, and entries that became zero kept as zeros; `library_size` is scaled by the kept
        share.
    """
    batch = unpack(batch)
    kept = torch.exp(math.log(least) * torch.rand(batch.n_cells, device=batch.counts.device))
    kept = kept.maximum(floor / batch.library_size.clamp_min(1.0)).clamp_max(1.0).masked_fill(~chosen, 1.0)
    counts = torch.binomial(batch.counts, kept.index_select(0, rows_of_entries(batch)))
    return batch._replace(counts=counts, library_size=batch.library_size * kept)


def columns_of_entries(batch: CellBatch, rows: Tensor) -> Tensor:
    """Return the column of each entry in the vocabulary, int32 `[n_entries]`, -1 where it has none.

    Parameters
    ----------
    batch
        Counts of cells.
    rows
        int32 `[n_entries]`, see `rows_of_entries`.
    """
    integer = torch.int32 if batch.columns.numel() < 2**31 else torch.int64
    genes = (batch.file * batch.columns.shape[1]).to(integer).index_select(0, rows).add_(batch.indices.to(integer))
    return batch.columns.view(-1).index_select(0, genes)


def _positions(batch: CellBatch, rows: Tensor, spare: int) -> Tensor:
    """Return where in the flat dense matrix each entry goes, int64 `[n_entries]`; `spare` for genes without a column.

    Small batches are computed in 32 bits. All bits but the highest two of the column -1 are kept, which is beyond any
    spare and leaves other columns as they are.
    """
    integer, bits = (torch.int32, 30) if spare < 2**30 else (torch.int64, 62)
    columns = columns_of_entries(batch, rows).to(integer).bitwise_and_(2**bits - 1)
    start = torch.arange(batch.n_cells, dtype=integer, device=rows.device) * batch.n_genes
    return columns.add_(start.index_select(0, rows)).clamp_max_(spare).long()


def _parts(batch: CellBatch) -> Iterator[tuple[int, CellBatch]]:
    """Yield first cell and cells of the parts of an unpacked batch."""
    if batch.counts.device.type != "cpu" or batch.n_cells <= _CELLS_AT_ONCE:
        yield 0, batch
        return
    for first in range(0, batch.n_cells, _CELLS_AT_ONCE):
        stop = min(first + _CELLS_AT_ONCE, batch.n_cells)
        indptr = batch.indptr[first : stop + 1]
        entries = slice(int(indptr[0]), int(indptr[-1]))
        yield (
            first,
            batch._replace(
                indptr=indptr,
                indices=batch.indices[entries],
                counts=batch.counts[entries],
                library_size=batch.library_size[first:stop],
                file=batch.file[first:stop],
            ),
        )


def _zeros(size: int, device: torch.device) -> Tensor:
    """Return zeros `[size]`; on a CPU as numpy takes them from the system, in large pages and already zero."""
    if device.type == "cpu":
        return torch.from_numpy(np.zeros(size, dtype=np.float32))
    has_autocast = torch.is_autocast_enabled(device.type)
    return torch.zeros(size, dtype=torch.get_autocast_dtype(device.type) if has_autocast else None, device=device)
