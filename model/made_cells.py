"""Dense cells of a training batch, from which other cells are made in place; on the batch's device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from schema.batch import TARGET_SUM

_CELLS_AT_ONCE = 256
"""Cells weighted together, so that no second dense matrix is made of a batch."""


class DenseCells(NamedTuple):
    """Cells as the encoder takes them, and what is known of them.

    Pieces of the augmentation write rows of `expression` in place and return the other fields anew.

    Attributes
    ----------
    expression
        float `[n_cells, n_genes]`, log1p of counts per ten thousand, zero where not measured.
    library_size
        float32 `[n_cells]`, UMI over all genes of the file.
    present
        bool `[n_files, n_genes]`, genes that each file measured.
    file
        int64 `[n_cells]`, row of `present` for each cell.
    cell_type, sample
        int64 `[n_cells]`, node of the label tree or UNLABELLED, and sample.
    """

    expression: Tensor
    library_size: Tensor
    present: Tensor
    file: Tensor
    cell_type: Tensor
    sample: Tensor

    def counts(self, rows: Tensor) -> Tensor:
        """Return the counts of some rows, float32 `[n_rows, n_genes]`, UMI."""
        return self.expression[rows].float().expm1() * (self.library_size[rows, None] / TARGET_SUM)

    def with_counts(self, rows: Tensor, counts: Tensor, library_size: Tensor, changed: Tensor) -> DenseCells:
        """Return cells with other counts in some rows; rows that are not changed stay as they are.

        Parameters
        ----------
        rows
            int64 `[n_rows]`, unique.
        counts, library_size
            float32 `[n_rows, n_genes]` and `[n_rows]`, UMI.
        changed
            bool `[n_rows]`.
        """
        expression = (counts * (TARGET_SUM / library_size.clamp_min(1.0))[:, None]).log1p()
        library_size = torch.where(changed, library_size, self.library_size[rows])
        cells = self.with_expression(rows, expression, changed)
        return cells._replace(library_size=self.library_size.index_copy(0, rows, library_size))

    def with_expression(self, rows: Tensor, expression: Tensor, changed: Tensor) -> DenseCells:
        """Return cells with another expression in some rows, float `[n_rows, n_genes]`, where `changed`."""
        before = self.expression[rows]
        self.expression.index_copy_(0, rows, torch.where(changed[:, None], expression.to(before.dtype), before))
        return self

    def with_labels(self, rows: Tensor, label: Tensor | int, changed: Tensor) -> DenseCells:
        """Return cells with another label, int64 `[n_rows]` or one for all, in some rows where `changed`."""
        label = torch.where(changed, label, self.cell_type[rows])
        return self._replace(cell_type=self.cell_type.index_copy(0, rows, label))


def weighted_sum(weight: Tensor, expression: Tensor) -> Tensor:
    """Return sums over cells, float32 `[n_rows, n_genes]`.

    Parameters
    ----------
    weight
        float32 `[n_rows, n_cells]`.
    expression
        float `[n_cells, n_genes]`.
    """
    total = weight.new_zeros(len(weight), expression.shape[1])
    for first in range(0, len(expression), _CELLS_AT_ONCE):
        some = slice(first, first + _CELLS_AT_ONCE)
        total.addmm_(weight[:, some], expression[some].float())
    return total
