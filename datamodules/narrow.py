"""Numbers that stay in memory for as long as a run lasts, in as little of it as holds them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Narrow = npt.NDArray[np.signedinteger]
"""int8, int16, int32 or int64."""


def narrow(numbers: Ints) -> Narrow:
    """Return numbers >= 0 in the narrowest of these types that holds them all."""
    highest = int(numbers.max(initial=0))
    kind = next(kind for kind in (np.int8, np.int16, np.int32, np.int64) if highest <= np.iinfo(kind).max)
    return numbers.astype(kind, copy=False)


class Rows:
    """Ascending numbers of rows, kept as runs of neighbours where these are long; read like an array.

    Parameters
    ----------
    numbers
        int64 `[n]`, ascending.
    """

    def __init__(self, numbers: Ints) -> None:
        starts = np.flatnonzero(np.diff(numbers, prepend=-2) != 1)
        self._n = len(numbers)
        self._runs = (numbers[starts], starts) if 4 * len(starts) <= len(numbers) else None
        self._numbers = None if self._runs else narrow(numbers)

    @classmethod
    def first(cls, n: int) -> Rows:
        """Return the first `n` rows."""
        rows = cls(np.zeros(0, dtype=np.int64))
        rows._n, rows._numbers, rows._runs = n, None, (np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
        return rows

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, part: slice | Ints) -> Ints:
        """Return the rows at some positions, int64."""
        if self._numbers is not None:
            return self._numbers[part].astype(np.int64)
        positions = np.arange(*part.indices(self._n)) if isinstance(part, slice) else part
        assert self._runs is not None  # noqa: S101 - one of both is kept
        first, start = self._runs
        run = np.searchsorted(start, positions, side="right") - 1
        rows: Ints = first[run] + positions - start[run]
        return rows

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:  # noqa: FBT001
        """Return all of them, int64."""
        return np.asarray(self[:], dtype=dtype)
