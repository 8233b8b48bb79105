"""How deep the cells of a file are sequenced, seen from rows all over it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from datamodules.space import RowSpace, index_dtype
from datamodules.store import CellStore

_STRETCHES, _ROWS = 64, 32
"""Places over a file at which rows are read, and neighbouring rows at each; files that are sorted are seen whole."""


def spread_library_sizes(store: CellStore) -> npt.NDArray[np.float32]:
    """Return the library sizes of about two thousand rows all over a file (of all rows of a small one).

    Returns
    -------
    ndarray
        float32 `[n]`, UMI over all genes of the file.

    Raises
    ------
    InputError
        If a value is no raw count, or the file is damaged there.
    """
    starts = np.linspace(0, max(0, store.n_cells - _ROWS), _STRETCHES).astype(np.int64)
    if store.n_cells <= _STRETCHES * _ROWS:
        starts = np.arange(0, store.n_cells, _ROWS)
    dtype, sizes = index_dtype(len(store.gene_symbols)), []
    for start in starts.tolist():
        rows = np.arange(start, min(start + _ROWS, store.n_cells))
        n_entries = store.max_entries(rows)
        space = RowSpace(np.empty(n_entries, dtype), np.empty(n_entries, np.uint8), len(rows))
        store.read_packed(rows, space, 0, 0)
        sizes.append(space.library_size)
    return np.concatenate(sizes)
