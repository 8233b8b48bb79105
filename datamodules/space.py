"""Memory for packed rows that is filled, handed on and used again: what every reader writes into."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from schema.batch import MAX_SMALL_GENES

Ints = npt.NDArray[np.int64]


class LargeCounts(NamedTuple):
    """Counts that do not fit into a packed entry, in the order of rows and entries.

    Attributes
    ----------
    row
        int64 `[n_large]`: row of the space.
    offset
        int64 `[n_large]`: entry within that row, from 0.
    value
        float32 `[n_large]`: UMI counts, whole and >= `schema.batch.LARGE`.
    """

    row: Ints
    offset: Ints
    value: npt.NDArray[np.float32]


class RowSpace:
    """Room for packed rows; rows need not lie end to end.

    Attributes
    ----------
    indices
        uint16 or int32 `[n_entries]`: gene of the row's file.
    counts
        uint8 `[n_entries]`: UMI counts, `schema.batch.LARGE` standing for itself or more.
    start, length
        int64 `[n_rows]`: the entries of row `i` are `start[i]` to `start[i] + length[i] - 1`.
    library_size
        float32 `[n_rows]`: UMI counts over all genes of the file.

    Parameters
    ----------
    indices, counts
        The memory of the entries; pinned where a CUDA device reads it.
    n_rows
        Most rows.
    """

    def __init__(self, indices: npt.NDArray[np.integer[Any]], counts: npt.NDArray[np.uint8], n_rows: int) -> None:
        self.indices, self.counts = indices, counts
        self.start = np.zeros(n_rows, dtype=np.int64)
        self.length = np.zeros(n_rows, dtype=np.int64)
        self.library_size = np.zeros(n_rows, dtype=np.float32)

    @property
    def arrays(self) -> tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.uint8], Ints, Ints, npt.NDArray[np.float32]]:
        """Indices, counts, start, length and library size, for compiled loops."""
        return self.indices, self.counts, self.start, self.length, self.library_size


def index_dtype(n_genes: int) -> type[np.uint16] | type[np.int32]:
    """Return the number type in which positions of the genes of a file are packed."""
    return np.uint16 if n_genes <= MAX_SMALL_GENES else np.int32
