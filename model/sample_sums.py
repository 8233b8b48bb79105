"""What is known of samples after some of their cells: sums that grow block by block, in memory by samples alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class SampleSums(NamedTuple):
    """Sums over the cells of each sample; the order of the cells and how they were cut do not matter.

    Attributes
    ----------
    n_cells
        float `[n_samples]`, cells.
    log_counts
        float `[n_samples]`, sum of the natural logarithm of their UMI.
    leaves
        float `[n_samples, n_leaves]`, sum of their leaf probabilities.
    n_of_type
        float `[n_samples, n_types]`, cells by called type.
    values
        float `[n_samples, n_types, n_values]`, sum of the values of the cells of each called type.
    """

    n_cells: Tensor
    log_counts: Tensor
    leaves: Tensor
    n_of_type: Tensor
    values: Tensor

    @classmethod
    def empty(
        cls, n_samples: int, *, n_leaves: int, n_types: int, n_values: int, device: torch.device | None = None
    ) -> SampleSums:
        """Return the sums before the first cell."""
        zeros = torch.zeros(n_samples, device=device)
        return cls(
            zeros,
            zeros.clone(),
            torch.zeros(n_samples, n_leaves, device=device),
            torch.zeros(n_samples, n_types, device=device),
            torch.zeros(n_samples, n_types, n_values, device=device),
        )

    def add(
        self, sample: Tensor, library_size: Tensor, probabilities: Tensor, cell_type: Tensor, values: Tensor
    ) -> SampleSums:
        """Add cells, in place, and return the sums.

        Parameters
        ----------
        sample
            int64 `[n_cells]`.
        library_size
            float `[n_cells]`, UMI, > 0.
        probabilities
            float `[n_cells, n_leaves]`.
        cell_type
            int64 `[n_cells]`, place of the called type among the types.
        values
            float `[n_cells, n_values]`.
        """
        one = torch.ones_like(library_size)
        self.n_cells.index_add_(0, sample, one)
        self.log_counts.index_add_(0, sample, library_size.log())
        self.leaves.index_add_(0, sample, probabilities)
        place = sample * self.n_of_type.shape[1] + cell_type
        self.n_of_type.view(-1).index_add_(0, place, one)
        self.values.view(-1, self.values.shape[2]).index_add_(0, place, values)
        return self
