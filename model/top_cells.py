"""The cells of most weight while all cells pass: a few of each group, whatever the number of cells."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

N_TOP = 3
"""Cells kept of each group."""


class TopCells(NamedTuple):
    """The cells with the largest keys of each group; how cells were cut does not matter.

    Attributes
    ----------
    key
        float `[n_groups, N_TOP]`, falling; -inf where there are fewer cells.
    row
        int64 `[n_groups, N_TOP]`, row of the cell in its file.
    cell_type
        int64 `[n_groups, N_TOP]`, place of its called type.
    parts
        float `[n_groups, N_TOP, n_parts]`: what its weight is worked out from, once all cells have passed.
    """

    key: Tensor
    row: Tensor
    cell_type: Tensor
    parts: Tensor

    @classmethod
    def empty(cls, n_groups: int, n_parts: int, device: torch.device | None = None) -> TopCells:
        """Return the state before the first cell."""
        rows = torch.zeros(n_groups, N_TOP, dtype=torch.int64, device=device)
        return cls(
            torch.full((n_groups, N_TOP), -torch.inf, device=device),
            rows,
            rows.clone(),
            torch.zeros(n_groups, N_TOP, n_parts, device=device),
        )

    def add(self, group: Tensor, key: Tensor, row: Tensor, cell_type: Tensor, parts: Tensor) -> TopCells:
        """Add cells, in place, and return the state; of equal keys the lower row stays.

        Parameters
        ----------
        group, row, cell_type
            int64 `[n_cells]`.
        key
            float `[n_cells]`.
        parts
            float `[n_cells, n_parts]`.
        """
        hopeful = key >= self.key[group, -1]
        group, key, row, cell_type, parts = (of[hopeful] for of in (group, key, row, cell_type, parts))
        groups = torch.unique(group)
        kept = (self.key[groups], self.row[groups], self.cell_type[groups], self.parts[groups])
        # those of before and those that come, in one list
        of_all = torch.cat([groups.repeat_interleave(N_TOP), group])
        keys, rows, types, all_parts = (
            torch.cat([old.flatten(0, 1), new]) for old, new in zip(kept, (key, row, cell_type, parts), strict=True)
        )
        order = torch.argsort(rows, stable=True)
        order = order[torch.argsort(keys[order], descending=True, stable=True)]
        order = order[torch.argsort(of_all[order], stable=True)]
        place = torch.searchsorted(groups, of_all[order])
        first = torch.searchsorted(of_all[order], groups)
        rank = torch.arange(len(order), device=order.device) - first[place]
        order, place, rank = (part[rank < N_TOP] for part in (order, place, rank))
        for mine, found in zip(self, (keys, rows, types, all_parts), strict=True):
            mine[groups[place], rank] = found[order]
        return self
