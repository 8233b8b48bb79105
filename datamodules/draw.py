"""How cells are drawn: how many at a time, weights by label, and a spread of rows that stands for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from datamodules.narrow import Rows
from datamodules.order import Ints
from schema.labels import UNLABELLED

_STEPS = 128
"""Fewest steps of an epoch, where batches are not at their smallest already."""

_RUN = 256
"""Neighbouring rows of a spread, so that it is read in blocks."""


def usual_batch_size(n_cells: int) -> int:
    """Return the batch size for a number of training cells: a power of 2 from 128 to 4,096.

    Large batches are what a GPU needs; a small set needs its 128 to 256 steps per epoch more: of 60,000 cells, batches
    of 128, 512 and 2,048 made a validation loss of 0.159, 0.169 and 0.179 in as many epochs, each at its best learning
    rate (docs/results/batch_size.md).
    """
    return int(2 ** np.clip(np.floor(np.log2(max(1, n_cells) / _STEPS)), 7, 12))


def label_weights(codes: Sequence[npt.NDArray[np.integer]], balance: float) -> list[npt.NDArray[np.float32]] | None:
    """Return how often each row should be drawn relative to others.

    Parameters
    ----------
    codes
        For each file the label of each row used. Rows with UNLABELLED are drawn as often as others are on average.
    balance
        0 to 1: a label of `n` cells is drawn in proportion to `n ** (1 - balance)`.

    Returns
    -------
    list of array, or None
        For each file float32 `[n_rows]`; None where each row comes once.
    """
    if not balance:
        return None
    joined = np.concatenate(codes).astype(np.int64)
    labelled = joined[joined != UNLABELLED]
    counts = np.bincount(labelled)
    weight = np.where(counts > 0, np.maximum(counts, 1.0) ** -balance, 0.0)
    weight *= len(labelled) / max(1e-12, float((weight * counts).sum()))
    of_code = np.append(weight, 1.0).astype(np.float32)  # the last is that of UNLABELLED, -1
    return [of_code[part] for part in codes]


def evenly_spread(rows: Ints, share: float) -> Ints:
    """Return about this share of the rows, in runs of neighbours spread evenly over them."""
    n_runs = -(-len(rows) // _RUN)
    kept = max(1, round(n_runs * share))
    if kept >= n_runs:
        return rows
    starts = np.arange(kept) * n_runs // kept * _RUN
    at = (starts[:, None] + np.arange(_RUN)).ravel()
    spread: Ints = rows[at[at < len(rows)]]
    return spread


def drawn_rows(rows: Sequence[Rows], most: int, seed: int) -> list[Rows]:
    """Return at most so many rows of all files together, drawn at random, in their order.

    Parameters
    ----------
    rows
        For each file its rows, ascending.
    most
        Rows wanted; all are returned where there are no more.
    seed
        Seed of the draw.
    """
    edges = np.cumsum([0, *(len(part) for part in rows)])
    if edges[-1] <= most:
        return list(rows)
    drawn = np.sort(np.random.default_rng(seed).choice(edges[-1], size=most, replace=False))
    cuts = np.searchsorted(drawn, edges)
    return [Rows(part[drawn[cuts[i] : cuts[i + 1]] - edges[i]]) for i, part in enumerate(rows)]
