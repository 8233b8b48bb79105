"""Augmentation: cells of a training batch as other depths, droplets, donors and gene panels would show them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from model.ambient import LEAST_CELLS, ambient_profiles, make_ambient, mix_ambient
from model.donor_shift import shift_donors
from model.doublets import make_doublets
from model.droplets import DropletLabels
from model.gene_panels import drop_genes
from model.made_cells import DenseCells
from model.preprocess import thin, to_dense
from schema.batch import CellBatch
from schema.errors import UsageError
from schema.labels import UNLABELLED, CellOntology


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """What is made of the cells of a training batch; shares are of its cells, and 0 leaves a piece out."""

    thin_share: float = 0.05
    """Share of cells thinned as if sequenced less deeply; never those labelled as ambient or doublet."""
    thin_least: float = 0.2
    """Lowest share of its counts that a thinned cell keeps, above 0 to 1."""
    thin_floor: float = 250.0
    """UMI below which no cell is thinned."""
    doublet_share: float = 0.06
    """Share of cells, labelled at a type or below it, that become a doublet with another cell of the batch."""
    contact_share: float = 0.5
    """Share of those for which, if they are neutrophils or malignant, the other is preferred of the two."""
    ambient_share: float = 0.02
    """Share of cells, labelled likewise, that become a droplet with ambient RNA alone."""
    ambient_min: float = 20.0
    """Fewest UMI expected in such a droplet."""
    ambient_max: float = 200.0
    """Most UMI expected in such a droplet."""
    mixing_share: float = 0.1
    """Share of cells that get ambient RNA of their sample."""
    mixing_max: float = 0.2
    """Largest share of their counts that is then ambient, 0 to below 1."""
    donor_share: float = 0.1
    """Share of cells moved by the difference of their type between two samples."""
    panel_share: float = 0.1
    """Share of cells that lack a part of their genes."""
    panel_max: float = 0.7
    """Largest part of the genes that they lack, 0 to 1."""
    unlabelled_droplets: bool = False
    """Whether doublets and ambient droplets are also made where no training cell is labelled as such: then they draw in
    cells of studies unlike the training (docs/log.md)."""
    expected_doublets: float = 0.04
    """Share of doublets that the probabilities imply where doublets are made and no training cell is labelled so."""
    expected_ambient: float = 0.02
    """The same of droplets with ambient RNA alone."""

    def __post_init__(self) -> None:
        """Check ranges."""
        once = self.thin_share + self.doublet_share + self.ambient_share + self.donor_share
        each = (self.thin_share, self.doublet_share, self.ambient_share, self.donor_share, self.contact_share)
        shares = (*each, once, self.mixing_share, self.mixing_max, self.panel_share, self.panel_max)
        depths = 0 < self.ambient_min <= self.ambient_max and self.thin_floor >= 0 and 0 < self.thin_least <= 1
        rates = self.expected_doublets > 0 and self.expected_ambient > 0
        below_one = self.mixing_max < 1 and self.expected_doublets + self.expected_ambient < 1
        if min(shares) < 0 or max(shares) > 1 or not (depths and rates and below_one):
            raise UsageError(
                "shares lie between 0 and 1, those of thin, doublet, ambient and donor also together; mixing_max < 1, "
                "0 < thin_least <= 1, thin_floor >= 0, 0 < ambient_min <= ambient_max, 0 < expected shares, sum < 1",
                got=str(self),
                where="augmentation",
                fix="Correct the value.",
            )


class Augmentation(nn.Module):
    """Makes training cells; no state of its own, and all that is drawn comes from torch's generator of the device.

    A cell is thinned, moved, or made a doublet or an ambient droplet, at most one of these; what comes out may get
    ambient RNA and may lack genes. Rows are replaced, so that a batch keeps its size.

    Parameters
    ----------
    ontology
        Label tree; without a role, what needs it is left out.
    config
        Shares.
    """

    def __init__(self, ontology: CellOntology, config: AugmentationConfig) -> None:
        super().__init__()
        self.config, self.droplets = config, DropletLabels(ontology)
        self.doublet_share = config.doublet_share if self.droplets.other_pair != UNLABELLED else 0.0
        self.ambient_share = config.ambient_share if self.droplets.ambient != UNLABELLED else 0.0

    def forward(self, batch: CellBatch) -> DenseCells:
        """Return the dense cells of a batch, some of them made anew; with all shares 0 nothing is drawn."""
        config, device = self.config, batch.library_size.device
        shares = (config.thin_share, config.donor_share, self.doublet_share, self.ambient_share)
        thinned, moved, doubled, emptied = disjoint_rows(batch.n_cells, shares, device)
        (mixed,) = disjoint_rows(batch.n_cells, (config.mixing_share,), device)
        (dropped,) = disjoint_rows(batch.n_cells, (config.panel_share,), device)
        if batch.n_cells < LEAST_CELLS:
            emptied, mixed = emptied[:0], mixed[:0]
        soup = torch.cat([emptied, mixed])
        profile = ambient_profiles(batch, soup) if len(soup) else None
        part_type = self.droplets.part_type[batch.cell_type].index_fill(0, thinned, UNLABELLED)
        cells = dense_cells(self._thinned(batch, thinned))
        with torch.autocast(device.type, enabled=False):
            if len(moved):
                cells = shift_donors(cells, moved, part_type)
            if len(doubled):
                cells = make_doublets(cells, doubled, part_type, self.droplets, config.contact_share)
            if profile is not None:
                cells = self._with_ambient(cells, emptied, mixed, profile, part_type)
            if len(dropped):
                cells = drop_genes(cells, dropped, config.panel_max)
        return cells

    def _thinned(self, batch: CellBatch, rows: Tensor) -> CellBatch:
        if not len(rows):
            return batch
        chosen = torch.zeros_like(batch.cell_type, dtype=torch.bool).index_fill(0, rows, 1)
        chosen &= ~self.droplets.is_technical[batch.cell_type]
        return thin(batch, chosen, least=self.config.thin_least, floor=self.config.thin_floor)

    def _with_ambient(
        self, cells: DenseCells, emptied: Tensor, mixed: Tensor, profile: Tensor, part_type: Tensor
    ) -> DenseCells:
        config, n_emptied = self.config, len(emptied)
        if n_emptied:
            bounds = {"fewest": config.ambient_min, "most": config.ambient_max}
            is_cell = part_type[emptied] >= 0
            cells = make_ambient(cells, emptied, profile[:n_emptied], self.droplets.ambient, is_cell, **bounds)
        return mix_ambient(cells, mixed, profile[n_emptied:], config.mixing_max) if len(mixed) else cells


def dense_cells(batch: CellBatch) -> DenseCells:
    """Return the cells of a batch as they are."""
    known = (batch.library_size, batch.present, batch.file, batch.cell_type, batch.sample)
    return DenseCells(to_dense(batch), *known)


def disjoint_rows(n_cells: int, shares: tuple[float, ...], device: torch.device) -> list[Tensor]:
    """Return random rows for each share, int64, none twice; parts of a cell are rounded up or down by chance.

    That chance is drawn on the host, so that nothing waits for the device to know how many rows there are.
    """
    if not any(shares):
        return [torch.empty(0, dtype=torch.int64, device=device) for _ in shares]
    chance = torch.rand(len(shares)).tolist()
    sizes = [int(share * n_cells + part) for share, part in zip(shares, chance, strict=True)]
    order = torch.rand(n_cells, device=device).argsort()
    return list(order.tensor_split(list(accumulate(sizes)))[:-1])
