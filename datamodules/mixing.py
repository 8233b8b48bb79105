"""How well batches mix the labels of files as they lie, expected from codes alone, and what reading mixes enough."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.order import ReadSizes

LIMIT = 1.5
"""Multiple of a random draw's total variation of labels up to which sizes suit."""

_SEEN_BLOCKS = 20_000
"""Blocks looked at, evenly spread, so that the cost does not grow with the files."""

_UNSORTED = ((32, 2_048), (32, 4_096), (32, 8_192), (32, 16_384), (32, 32_768), (16, 32_768), (16, 65_536), (8, 65_536))
"""Block and window rows tried for files in any order, cheapest first."""

_IN_CHUNKS = ((64, 8_192), (64, 16_384), (64, 32_768), (64, 65_536), (32, 65_536), (16, 65_536), (8, 65_536))
"""The same for files whose entries are stored in compressed chunks, of which small blocks would decode more."""

_SHUFFLED_BLOCKS = (64, 32, 16)
"""Block rows tried without a window, where rows were shuffled on disk."""

Codes = npt.NDArray[np.integer]
"""Label codes `[n_rows]`, -1 = none."""


class Mixing(NamedTuple):
    """Mean total variation between the labels of a batch and of all rows.

    Attributes
    ----------
    expected
        With these sizes.
    ideal
        With batches drawn at random from all rows.
    """

    expected: float
    ideal: float

    @property
    def ratio(self) -> float:
        """Expected over ideal; 1 where nothing can vary."""
        return self.expected / self.ideal if self.ideal > 0 else 1.0


def label_run_lengths(codes: Codes) -> npt.NDArray[np.int64]:
    """Return the lengths of the runs of equal labels, int64 `[n_runs]`."""
    edges = np.flatnonzero(np.diff(codes)) + 1
    return np.diff(np.concatenate([[0], edges, [len(codes)]])) if len(codes) else np.zeros(0, dtype=np.int64)


def expected_mixing(codes: Sequence[Codes], sizes: ReadSizes) -> Mixing:
    """Return how far a batch's labels stray from the whole, from the labels of the blocks that make it.

    A window holds whole blocks and a batch is drawn from its rows, both without replacement; the shares of each label
    are taken as normal (so classes of a few cells are approximate).

    Parameters
    ----------
    codes
        For each file the labels of the rows used, in file order.
    sizes
        How much is read at once.
    """
    shares, rows = _block_shares(codes, sizes.block_rows)
    total = sum(len(part) for part in codes)
    if not total:
        return Mixing(0.0, 0.0)
    whole = rows @ shares / rows.sum()
    n_blocks = total / rows.mean()
    window = total / -(-total // max(sizes.window_rows, sizes.batch_size))
    batch = min(sizes.batch_size, total)
    between = rows @ np.square(shares - whole) / rows.sum()
    in_window = window / rows.mean()
    of_window = between / in_window * max(0.0, (n_blocks - in_window) / max(1.0, n_blocks - 1))
    inside = np.maximum(whole * (1 - whole) - of_window, 0) / batch * _correction(batch, window)
    random = whole * (1 - whole) / batch * _correction(batch, total)
    return Mixing(_total_variation(of_window + inside), _total_variation(random))


def choose_sizes(
    codes: Sequence[Codes], batch_size: int, *, shuffled: bool = False, in_chunks: bool = False
) -> ReadSizes:
    """Return the cheapest sizes whose batches mix within `LIMIT` of a random draw; else those that mix best.

    Parameters
    ----------
    codes
        For each file the labels of the rows used, in file order.
    batch_size
        Cells per batch.
    shuffled
        Whether all files are stores whose rows were shuffled, which are read fastest without a window.
    in_chunks
        Whether entries of a file are stored in compressed chunks.
    """
    direct = [(block, batch_size) for block in _SHUFFLED_BLOCKS if block <= batch_size] if shuffled else []
    pairs = [*direct, *((b, max(window, batch_size)) for b, window in (_IN_CHUNKS if in_chunks else _UNSORTED))]
    tried = [ReadSizes(batch_size=batch_size, block_rows=block, window_rows=window) for block, window in pairs]
    ratios = [expected_mixing(codes, sizes).ratio for sizes in tried]
    return next((sizes for sizes, ratio in zip(tried, ratios, strict=True) if ratio <= LIMIT), tried[-1])


def _block_shares(codes: Sequence[Codes], block_rows: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the share of each label in blocks, float64 `[n_blocks, n_labels]`, and the blocks' rows `[n_blocks]`."""
    n_labels = max((int(part.max(initial=-1)) for part in codes), default=-1) + 2
    step = max(1, sum(len(part) for part in codes) // block_rows // _SEEN_BLOCKS)
    counts = []
    for part in codes:
        starts = np.arange(0, len(part), block_rows * step)
        at = starts[:, None] + np.arange(block_rows)
        there = at < len(part)
        label = np.where(there, part[np.minimum(at, len(part) - 1)].astype(np.int64) + 1, n_labels)
        key = np.arange(len(starts))[:, None] * (n_labels + 1) + label
        found = np.bincount(key.ravel(), minlength=len(starts) * (n_labels + 1)).reshape(len(starts), n_labels + 1)
        counts.append(found[:, :n_labels])
    joined = np.concatenate(counts) if counts else np.zeros((0, n_labels))
    rows = joined.sum(axis=1).astype(np.float64)
    return joined / np.maximum(rows, 1)[:, None], rows


def _correction(n: float, population: float) -> float:
    """Return the factor of a variance for drawing without replacement."""
    return max(0.0, population - n) / max(1.0, population - 1)


def _total_variation(variance: npt.NDArray[np.float64]) -> float:
    """Return half the summed mean absolute deviation of shares with these variances."""
    return float(0.5 * np.sqrt(2 / np.pi) * np.sqrt(variance).sum())
