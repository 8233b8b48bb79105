"""Ids of a few cells of a file, by row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from datamodules.store import CellStore

BLOCK_ROWS = 4_096
"""Neighbouring rows whose ids are read at once."""


def cell_ids_at(store: CellStore, rows: npt.NDArray[np.int64]) -> list[str]:
    """Return the ids of some cells, in the order asked for; no part of the file is read twice.

    Parameters
    ----------
    store
        The cells.
    rows
        int64 `[n]`, rows of the file, in any order.
    """
    names: dict[int, str] = {}
    for block in np.unique(rows // BLOCK_ROWS).tolist():
        start = block * BLOCK_ROWS
        of_block = store.cell_ids(start, min(start + BLOCK_ROWS, store.n_cells))
        names |= {row: of_block[row - start] for row in rows[rows // BLOCK_ROWS == block].tolist()}
    return [names[row] for row in rows.tolist()]
