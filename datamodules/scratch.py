"""Memory of one thread for what is read and at once turned into something else: fresh arrays cost page faults."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt


class Scratch(threading.local):
    """Named arrays, one set per thread, which grow to the longest that was asked for."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, npt.DTypeLike], npt.NDArray[Any]] = {}

    def take(self, name: str, n: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an array `[n]` of any content, valid until this thread asks for the same name and dtype again."""
        array = self._arrays.get((name, dtype))
        if array is None or len(array) < n:
            array = self._arrays[name, dtype] = np.empty(n + n // 4, dtype=dtype)
        return array[:n]


SCRATCH = Scratch()
"""The scratch memory of all readers: a thread reads one file at a time."""
