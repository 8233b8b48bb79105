"""Gene panels: blocks of genes taken away from groups of cells, as if their file had never measured them."""

from __future__ import annotations

import torch
from torch import Tensor

from model.made_cells import DenseCells

N_PANELS = 4
"""Different panels drawn for a batch; each costs one more row of `present` per file."""


def drop_genes(cells: DenseCells, rows: Tensor, most: float) -> DenseCells:
    """Take a random part of the genes away from some cells, in `N_PANELS` groups that lack the same genes.

    The genes enter as unknown and not as zero: `present` gets rows in which they are missing. Every other panel is that
    of a file that was cut, whose library sizes hold what is left; of the others only the names of the genes were not
    found, and library sizes stay over all genes.

    Parameters
    ----------
    cells
        Cells; their expression is written into.
    rows
        int64 `[n_rows]`, cells, unique.
    most
        Largest share of the genes that a panel lacks, 0 to 1; drawn evenly.
    """
    n_files, n_genes = cells.present.shape
    missing = most * torch.rand(N_PANELS, 1, device=rows.device)
    measured = torch.rand(N_PANELS, n_genes, device=rows.device) >= missing
    present = torch.cat([cells.present, (measured[:, None] & cells.present).flatten(0, 1)])
    panel = torch.arange(len(rows), device=rows.device) % N_PANELS
    file = cells.file.index_copy(0, rows, cells.file[rows] + n_files * (1 + panel))
    left = cells.counts(rows) * present[file[rows]]
    library_size = torch.where(panel % 2 == 1, left.sum(dim=1), cells.library_size[rows])
    changed = torch.ones_like(panel, dtype=torch.bool)
    return cells.with_counts(rows, left, library_size, changed)._replace(present=present, file=file)
