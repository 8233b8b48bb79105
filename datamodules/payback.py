"""What reading a prepared part saves, measured on a sample of rows of it and of its source."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datamodules.packed_part import PartInfo
from datamodules.space import RowSpace, index_dtype
from datamodules.store import CellStore, open_store

_BLOCK_ROWS = 32
"""Neighbouring rows that training reads together."""

_BLOCKS, _SECONDS = 128, 2.0
"""Most blocks read, and seconds after which no more are."""


class Payback(NamedTuple):
    """Seconds of one thread to read all cells once.

    Attributes
    ----------
    name
        Of the source.
    source_seconds
        None where training cannot read it, because it is not stored cell by cell.
    store_seconds
        From the part.
    """

    name: str
    source_seconds: float | None
    store_seconds: float


def measure_payback(source: Path, part: Path, layer: str) -> Payback:
    """Read a few blocks of a source and of the part prepared from it."""
    with open_store(part) as prepared, open_store(source, layer=layer) as plain:
        seconds = _seconds_per_epoch(plain) if plain.is_by_rows else None
        return Payback(PartInfo.load(part).source.name, seconds, _seconds_per_epoch(prepared))


def _seconds_per_epoch(store: CellStore) -> float:
    """Return seconds to read all rows, from the median of blocks in random order; the first one warms up."""
    n_blocks = -(-store.n_cells // _BLOCK_ROWS)
    chosen = np.random.default_rng(0).permutation(n_blocks)[: _BLOCKS + 1]
    blocks = [np.arange(at, min(at + _BLOCK_ROWS, store.n_cells)) for at in chosen * _BLOCK_ROWS]
    if not blocks:
        return 0.0
    n_entries = max(store.max_entries(rows) for rows in blocks)
    kind: np.dtype[Any] = np.dtype(index_dtype(len(store.gene_symbols)))
    space = RowSpace(np.zeros(n_entries, kind), np.zeros(n_entries, np.uint8), _BLOCK_ROWS)
    store.read_packed(blocks[0], space, 0, 0)
    began, n_rows = time.perf_counter(), 0
    for rows in blocks[1:] or blocks:
        store.read_packed(rows, space, 0, 0)
        n_rows += len(rows)
        if time.perf_counter() - began > _SECONDS:
            break
    return (time.perf_counter() - began) / n_rows * store.n_cells
