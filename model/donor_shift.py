"""Donor-difference vectors: a cell as a cell of its type in another sample would look."""

from __future__ import annotations

import torch
from torch import Tensor

from model.made_cells import DenseCells, weighted_sum

LEAST_CELLS = 3
"""Cells of the type that both samples must have in the batch."""


def shift_donors(cells: DenseCells, rows: Tensor, part_type: Tensor) -> DenseCells:
    """Move some cells by the difference of their type's mean expression between another sample and their own.

    scTab (Fischer et al. 2024, doi 10.1038/s41467-024-51059-5) adds such vectors, estimated once over all data; here
    they come from the cells of the batch, so that nothing has to be kept.

    Parameters
    ----------
    cells
        Cells; their expression is written into.
    rows
        int64 `[n_rows]`, cells, unique.
    part_type
        int64 `[n_cells]`, type of each cell that may speak for its sample; -1 for others.

    Returns
    -------
    DenseCells
        With expression >= 0; rows for which the batch has too few cells stay as they are. Genes that either file did
        not measure do not move.
    """
    alike = (part_type[:, None] == part_type) & (cells.sample[:, None] == cells.sample)
    enough = (alike.sum(dim=1) >= LEAST_CELLS) & (part_type >= 0)
    here = alike[rows]
    other = (part_type[rows, None] == part_type) & ~here & enough
    best, towards = (torch.rand(other.shape, device=rows.device) + other).max(dim=1)
    weight = _mean_of(alike[towards]) - _mean_of(here)
    shift = weighted_sum(weight, cells.expression)
    shift *= cells.present[cells.file[rows]] & cells.present[cells.file[towards]]
    fits = enough[rows] & (best >= 1)
    return cells.with_expression(rows, (cells.expression[rows] + shift).clamp_min(0.0), fits)


def _mean_of(members: Tensor) -> Tensor:
    """Return weights of a mean, float32 `[n_rows, n_cells]`, over members bool `[n_rows, n_cells]`."""
    return members / members.sum(dim=1, keepdim=True).clamp_min(1)
