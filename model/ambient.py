"""Ambient RNA of a sample: estimated from the cells of a batch, mixed into cells, and alone in a droplet."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from model.made_cells import DenseCells
from model.preprocess import columns_of_entries, rows_of_entries, unpack
from schema.batch import CellBatch

LEAST_CELLS = 32
"""Cells of a sample in a batch from which its ambient RNA is estimated; with fewer, the whole batch stands in."""


def ambient_profiles(batch: CellBatch, rows: Tensor) -> Tensor:
    """Return the share of each gene in the ambient RNA of some cells' samples, float32 `[n_rows, n_genes]`.

    It is the sum of the counts of the sample's cells, as in SoupX (Young and Behjati 2020, doi
    10.1093/gigascience/giaa151) without its empty droplets, which files seldom keep. Genes outside the vocabulary have
    their part, so rows sum to at most 1; genes that a cell's file did not measure are 0.
    """
    batch = unpack(batch)
    most = batch.n_cells // LEAST_CELLS
    group = _groups(batch.sample, most)
    cell = rows_of_entries(batch)
    column = columns_of_entries(batch, cell).long()
    place = torch.where(column < 0, (most + 1) * batch.n_genes, group[cell.long()] * batch.n_genes + column)
    flat = torch.zeros((most + 1) * batch.n_genes + 1, device=column.device).index_add_(0, place, batch.counts)
    sums = flat[:-1].view(most + 1, batch.n_genes)
    library = torch.zeros(most + 1, device=column.device).index_add_(0, group, batch.library_size)
    sums[most], library[most] = sums.sum(dim=0), library.sum()
    own = group[rows]
    return sums[own] / library[own, None].clamp_min(1.0) * batch.present[batch.file[rows]]


def mix_ambient(cells: DenseCells, rows: Tensor, profile: Tensor, most: float) -> DenseCells:
    """Add ambient counts to some cells.

    Parameters
    ----------
    cells
        Cells; their expression is written into.
    rows
        int64 `[n_rows]`, cells, unique.
    profile
        float32 `[n_rows, n_genes]`, see `ambient_profiles`.
    most
        Largest share of a cell's counts that is then ambient, 0 to below 1; drawn evenly.
    """
    share = most * torch.rand(len(rows), device=rows.device)
    added, n_added = _drawn(profile, cells.library_size[rows] * share / (1 - share))
    library_size = cells.library_size[rows] + n_added
    return cells.with_counts(rows, cells.counts(rows) + added, library_size, share >= 0)


def make_ambient(
    cells: DenseCells, rows: Tensor, profile: Tensor, label: int, may: Tensor, *, fewest: float, most: float
) -> DenseCells:
    """Turn some cells into droplets that hold ambient RNA alone.

    Parameters
    ----------
    cells, rows, profile
        As for `mix_ambient`.
    label
        Node of such droplets.
    may
        bool `[n_rows]`, which of the rows; the others stay as they are.
    fewest, most
        Bounds of the log-uniform expected UMI of such a droplet, over all genes.
    """
    depth = torch.rand(len(rows), device=rows.device).mul_(math.log(most / fewest)).add_(math.log(fewest)).exp_()
    counts, library_size = _drawn(profile, depth)
    return cells.with_counts(rows, counts, library_size, may).with_labels(rows, label, may)


def _drawn(profile: Tensor, expected: Tensor) -> tuple[Tensor, Tensor]:
    """Return Poisson counts float32 `[n_rows, n_genes]`, and with those outside the vocabulary `[n_rows]`, expected."""
    counts = torch.poisson(profile * expected[:, None])
    return counts, counts.sum(dim=1) + expected * (1 - profile.sum(dim=1)).clamp_min(0.0)


def _groups(sample: Tensor, most: int) -> Tensor:
    """Return the number of each cell's sample among those with enough cells, int64 `[n_cells]`; `most` for others.

    No more than `most` samples can have so many cells, so that nothing here waits for the device.
    """
    ordered, order = sample.sort(stable=True)
    number = torch.cat([ordered.new_zeros(1), (ordered.diff() != 0).long()]).cumsum(0)
    size = torch.zeros_like(sample).index_add_(0, number, torch.ones_like(number))
    enough = size >= LEAST_CELLS
    group = torch.where(enough, enough.long().cumsum(0) - 1, most)
    return torch.empty_like(sample).index_copy_(0, order, group[number])
