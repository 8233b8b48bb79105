"""Rows of a block, sample by sample, in their order; and where samples end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_ROWS_AT_A_TIME = 2**16


def rows_by_sample(sample: npt.NDArray[np.int64], n_samples: int) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Yield each sample of a block with its rows, in the order in which they stand.

    Parameters
    ----------
    sample
        int64 `[n_cells]`: index of each cell's sample, 0 <= index < n_samples.
    n_samples
        Number of samples of the run.

    Yields
    ------
    tuple
        Index of the sample, and int64 rows of the block that belong to it.

    Raises
    ------
    ValueError
        If an index names no sample.

    Examples
    --------
    >>> [(code, rows.tolist()) for code, rows in rows_by_sample(np.array([1, 0, 1]), 2)]
    [(0, [1]), (1, [0, 2])]
    """
    if sample.size == 0:
        return
    if sample.min() < 0 or sample.max() >= n_samples:
        raise ValueError(f"Expected samples in 0..{n_samples - 1} but got {sample.min()}..{sample.max()}.")
    order = np.argsort(sample, kind="stable")
    codes, starts = np.unique(sample[order], return_index=True)
    yield from zip(codes.tolist(), np.split(order, starts[1:]), strict=True)


class RowSpans(NamedTuple):
    """Where samples begin and end among the rows of a run.

    Attributes
    ----------
    first, last
        int64 `[n_samples]`: first and last row of each sample; -1 for one without rows.
    """

    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]

    @property
    def most_open(self) -> int:
        """Most samples that have begun and not ended at one row."""
        used = self.last >= 0
        first, last = np.sort(self.first[used]), np.sort(self.last[used])
        n_open = np.arange(1, len(first) + 1) - np.searchsorted(last, first)  # begun, less those that ended before
        return int(n_open.max(initial=0))

    def ending(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Return the samples whose last row lies in `start` to `stop` - 1."""
        return np.flatnonzero((self.last >= start) & (self.last < stop))


def row_spans(sample: npt.NDArray[np.integer], n_samples: int) -> RowSpans:
    """Return where each sample of a run begins and ends.

    Parameters
    ----------
    sample
        int `[n_cells]`: index of each cell's sample, 0 <= index < n_samples.
    n_samples
        Number of samples of the run.

    Examples
    --------
    >>> spans = row_spans(np.array([1, 0, 1], dtype=np.int8), 3)
    >>> spans.first.tolist(), spans.last.tolist(), spans.most_open
    ([1, 0, -1], [1, 2, -1], 2)
    """
    first, last = np.full((2, n_samples), -1, dtype=np.int64)
    for start in range(0, len(sample), _ROWS_AT_A_TIME):
        some = sample[start : start + _ROWS_AT_A_TIME]
        rows = np.arange(start, start + len(some))
        last[some] = rows  # of several rows of a sample the last one is kept
        new, at = np.unique(some, return_index=True)
        is_new = first[new] < 0
        first[new[is_new]] = rows[at[is_new]]
    return RowSpans(first, last)
