"""Raw counts of a batch to the dense input of the network, on the batch's device."""

from __future__ import annotations

import torch
from torch import Tensor

from schema.batch import TARGET_SUM, CellBatch


def rows_of_nonzeros(batch: CellBatch) -> Tensor:
    """Return the row of each stored count, int64 `[n_nonzeros]`."""
    return torch.repeat_interleave(
        torch.arange(batch.n_cells, device=batch.indptr.device), batch.indptr.diff(), output_size=batch.counts.shape[0]
    )


def normalise(batch: CellBatch, rows: Tensor) -> Tensor:
    """Return log1p of counts per ten thousand, float32 `[n_nonzeros]`; cells without counts have no entries.

    The divisor is `library_size`, taken over all genes of the file, so the value of a gene does not depend on the
    vocabulary.
    """
    return torch.log1p(batch.counts * (TARGET_SUM / batch.library_size.clamp_min(1.0))[rows])


def to_dense(batch: CellBatch) -> Tensor:
    """Return normalised expression, float32 `[n_cells, n_genes]`, zero where nothing was counted."""
    rows = rows_of_nonzeros(batch)
    dense = torch.zeros(batch.n_cells * batch.n_genes, device=batch.counts.device)
    dense[rows * batch.n_genes + batch.indices] = normalise(batch, rows)
    return dense.view(batch.n_cells, batch.n_genes)


def thin(batch: CellBatch, *, share: float, min_counts: float, max_counts: float) -> CellBatch:
    """Thin a random share of the cells to the depth of a poor droplet by binomial sampling of their counts.

    Parameters
    ----------
    batch
        Raw counts.
    share
        Share of cells to thin, 0 to 1.
    min_counts, max_counts
        Bounds of the log-uniform target library size, UMI. Cells already poorer than their target stay as they are.

    Returns
    -------
    CellBatch
        Same cells, with entries that became zero kept as zeros; `library_size` is scaled by the kept share.
    """
    device = batch.counts.device
    low, high = torch.log(torch.tensor([min_counts, max_counts], device=device))
    target = torch.exp(low + (high - low) * torch.rand(batch.n_cells, device=device))
    kept = (target / batch.library_size.clamp_min(1.0)).clamp_max(1.0)
    kept = torch.where(torch.rand(batch.n_cells, device=device) < share, kept, torch.ones_like(kept))
    kept_of_count = kept[rows_of_nonzeros(batch)]
    thinned = kept_of_count < 1
    counts = batch.counts.clone()
    counts[thinned] = torch.binomial(counts[thinned], kept_of_count[thinned])
    return batch._replace(counts=counts, library_size=batch.library_size * kept)
