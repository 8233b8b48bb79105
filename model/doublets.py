"""Doublets made of two cells of a batch, by summing their counts."""

from __future__ import annotations

import torch
from torch import Tensor

from model.droplets import DropletLabels
from model.made_cells import DenseCells

_FITS, _WANTED, _SAME_SAMPLE = 8.0, 4.0, 2.0
"""What a partner gains: it is possible, makes the wanted pair, is of the same sample; chance adds 0 to 1."""


def make_doublets(
    cells: DenseCells, rows: Tensor, part_type: Tensor, droplets: DropletLabels, contact_share: float
) -> DenseCells:
    """Let a second cell fall into the droplets of some cells.

    The partner is another type of the same file, of the same sample where there is one, drawn at random. Made droplets
    are what a sequencer would give for both cells (Wolock et al. 2019, doi 10.1016/j.cels.2018.11.005).

    Parameters
    ----------
    cells
        Cells; their expression is written into.
    rows
        int64 `[n_rows]`, first cells, unique.
    part_type
        int64 `[n_cells]`, type of each cell that may be a part; -1 for others.
    droplets
        What labels mean.
    contact_share
        Share of rows for which a partner is preferred that makes a neutrophil x malignant pair, if the first is either.

    Returns
    -------
    DenseCells
        With rows that are no part, or found no partner, as they were.
    """
    label = cells.cell_type
    first, first_label = part_type[rows, None], label[rows]
    fits = (first >= 0) & (part_type >= 0) & (first != part_type) & (cells.file[rows, None] == cells.file)
    is_pair = droplets.is_neutrophil[first_label][:, None] & droplets.is_malignant[label]
    is_pair |= droplets.is_malignant[first_label][:, None] & droplets.is_neutrophil[label]
    chance = torch.rand(len(rows), len(label) + 1, device=label.device)
    wanted = is_pair & (chance[:, :1] < contact_share)
    score = _FITS * fits + _WANTED * wanted + _SAME_SAMPLE * (cells.sample[rows, None] == cells.sample) + chance[:, 1:]
    best, partner = score.max(dim=1)
    made = best >= _FITS
    is_pair = is_pair.gather(1, partner[:, None])[:, 0]
    counts = cells.counts(rows) + cells.counts(partner)
    cells_made = cells.with_counts(rows, counts, cells.library_size[rows] + cells.library_size[partner], made)
    pair_label = torch.where(is_pair, droplets.pair, droplets.other_pair)
    return cells_made.with_labels(rows, pair_label, made)
