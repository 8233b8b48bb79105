"""How badly the counts of a cell fit any type that was seen: the divergence from the nearest mean profile."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from model.preprocess import columns_of_entries, rows_of_entries, unpack
from schema.batch import CellBatch

PSEUDO_COUNT = 0.5
"""Counts added to every gene of a profile, so that a gene never seen in a type is rare in it and not impossible."""

N_DEPTHS = 10
"""Depths between which the usual misfit is interpolated."""

_LEAST_SPREAD = 1e-6


class Profiles(nn.Module):
    """Misfit of a cell: the least Kullback-Leibler divergence of its counts from the profile of a type, per UMI.

    A network can only place a cell among what it knows; poor or odd cells of an unknown type land in the droplet
    classes, which are made of everything. Their counts still fit no profile. A cell with few counts fits all profiles
    badly, so the misfit is taken in standard deviations of known cells of its depth.

    Attributes
    ----------
    log_profile
        float32 `[n_genes, n_types]`, log of each gene's share of the counts of a type.
    seen
        bool `[n_types]`, whether a type had enough cells for a profile.
    depth, usual, spread
        float32 `[n_depths]`: log counts, ascending, with mean and standard deviation of what known cells have there.
    """

    log_profile: Tensor
    seen: Tensor
    depth: Tensor
    usual: Tensor
    spread: Tensor

    def __init__(self, n_genes: int, n_types: int) -> None:
        super().__init__()
        self.register_buffer("log_profile", torch.zeros(n_genes, n_types))
        self.register_buffer("seen", torch.zeros(n_types, dtype=torch.bool))
        self.register_buffer("depth", torch.arange(N_DEPTHS, dtype=torch.float32))
        self.register_buffer("usual", torch.zeros(N_DEPTHS))
        self.register_buffer("spread", torch.ones(N_DEPTHS))

    def divergences(self, batch: CellBatch) -> tuple[Tensor, Tensor]:
        """Return the divergence from each type, float32 `[n_cells, n_types]`, and log counts, float32 `[n_cells]`.

        Counts are those of the vocabulary's genes; profiles are taken over the genes that the cell's file measured.
        """
        batch = unpack(batch)
        rows = rows_of_entries(batch)
        columns = columns_of_entries(batch, rows)
        counts = batch.counts.masked_fill(columns < 0, 0.0)
        total = torch.zeros(batch.n_cells, device=counts.device).index_add_(0, rows, counts).clamp_min(1.0)
        share = counts / total.index_select(0, rows)
        own = torch.zeros_like(total).index_add_(0, rows, torch.special.xlogy(share, share))
        crossed = embedding_bag(
            columns.clamp_min(0).long(),
            self.log_profile,
            batch.indptr,
            mode="sum",
            per_sample_weights=share,
            include_last_offset=True,
        )
        measured = torch.log(batch.present.float() @ self.log_profile.exp()).nan_to_num(neginf=0.0)
        return own[:, None] - crossed + measured[batch.file], total.log()

    def forward(self, divergence: Tensor, log_counts: Tensor, left_out: Tensor | None = None) -> Tensor:
        """Return the misfit, float32 `[n_cells]`, in standard deviations of known cells of that depth.

        Parameters
        ----------
        divergence, log_counts
            From `divergences`.
        left_out
            bool `[n_types]`: types to do without, as if they had never been seen.
        """
        least = self.least(divergence, left_out)
        usual, spread = (_interpolated(log_counts, self.depth, values) for values in (self.usual, self.spread))
        return (least - usual) / spread

    def least(self, divergence: Tensor, left_out: Tensor | None = None) -> Tensor:
        """Return the divergence from the nearest type, float32 `[n_cells]`; 0 where no type was seen."""
        seen = self.seen if left_out is None else self.seen & ~left_out
        if not bool(seen.any()):
            return torch.zeros_like(divergence[:, 0])
        return divergence[:, seen].amin(dim=1)

    def fit_depths(self, divergence: Tensor, log_counts: Tensor) -> None:
        """Take the usual misfit and its spread by depth from known cells of donors that were not trained on."""
        least = self.least(divergence)
        order = log_counts.argsort(stable=True)
        for number, part in enumerate(np.array_split(order.numpy(), N_DEPTHS)):
            cells = torch.from_numpy(part)
            self.depth[number] = log_counts[cells].mean()
            self.usual[number] = least[cells].mean()
            self.spread[number] = least[cells].std(correction=0).clamp_min(_LEAST_SPREAD)


def type_counts(batch: CellBatch, node_type: Tensor, n_types: int) -> tuple[Tensor, Tensor]:
    """Return counts by type and gene, float32 `[n_types, n_genes]`, and cells by type, int64 `[n_types]`.

    Parameters
    ----------
    batch
        Labelled cells.
    node_type
        int64 `[n_nodes + 1]`: place of each node's type, -1 for nodes above types; the last is for unlabelled cells.
    n_types
        Number of types.
    """
    batch = unpack(batch)
    rows = rows_of_entries(batch)
    columns = columns_of_entries(batch, rows).long()
    of_cell = node_type[batch.cell_type]
    kept = (of_cell[rows.long()] >= 0) & (columns >= 0)
    place = of_cell[rows.long()][kept] * batch.n_genes + columns[kept]
    counts = torch.zeros(n_types * batch.n_genes).index_add_(0, place, batch.counts[kept])
    return counts.view(n_types, -1), torch.bincount(of_cell[of_cell >= 0], minlength=n_types)


def _interpolated(at: Tensor, points: Tensor, values: Tensor) -> Tensor:
    """Return values at some places between ascending points, linear between them and constant beyond."""
    right = torch.searchsorted(points, at.contiguous()).clamp(1, len(points) - 1)
    width = (points[right] - points[right - 1]).clamp_min(_LEAST_SPREAD)
    share = ((at - points[right - 1]) / width).clamp(0.0, 1.0)
    return values[right - 1] + share * (values[right] - values[right - 1])
