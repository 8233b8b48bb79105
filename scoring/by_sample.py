"""Rows of a block, sample by sample, in their order; and where samples end."""

from __future__ import annotations

from collections.abc import Iterator

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


def last_rows(sample: npt.NDArray[np.integer], n_samples: int) -> npt.NDArray[np.int64]:
    """Return the last row of each sample of a run, int64 `[n_samples]`; -1 for one without rows.

    Parameters
    ----------
    sample
        int `[n_cells]`: index of each cell's sample, 0 <= index < n_samples.
    n_samples
        Number of samples of the run.

    Examples
    --------
    >>> last_rows(np.array([1, 0, 1], dtype=np.int8), 3).tolist()
    [1, 2, -1]
    """
    last = np.full(n_samples, -1, dtype=np.int64)
    for start in range(0, len(sample), _ROWS_AT_A_TIME):
        some = sample[start : start + _ROWS_AT_A_TIME]
        last[some] = np.arange(start, start + len(some))  # of several rows the last one is kept
    return last
