"""Memory that is used again as soon as nobody holds it: fresh arrays cost more in page faults than what is written."""

from __future__ import annotations

import threading
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[Any]


class Buffers:
    """Arrays on loan. One is lent again once the array that was handed out, and all tensors made of it, are gone.

    Parameters
    ----------
    pinned
        Whether the memory is pinned, so that a CUDA device copies it while the program goes on.
    """

    def __init__(self, *, pinned: bool = False) -> None:
        self._pinned = pinned
        self._lent: list[tuple[Array, weakref.ref[Array]]] = []
        self._lock = threading.Lock()

    def take(self, n: int, dtype: npt.DTypeLike) -> Array:
        """Return an array `[n]` of any content; a tensor that shares it must be made of this very array."""
        n_bytes = n * np.dtype(dtype).itemsize
        with self._lock:
            free = [memory for memory, handed in self._lent if handed() is None]
            memory = min((part for part in free if part.nbytes >= n_bytes), key=lambda part: part.nbytes, default=None)
            gone = {id(part) for part in free} if memory is None else {id(memory)}  # none is large enough: all go
            self._lent = [loan for loan in self._lent if id(loan[0]) not in gone]
            if memory is None:
                memory = self._new(n_bytes + n_bytes // 8)
            handed = memory[:n_bytes].view(dtype)
            self._lent.append((memory, weakref.ref(handed)))
        return handed

    def _new(self, n_bytes: int) -> Array:
        if self._pinned:
            return torch.empty(n_bytes, dtype=torch.uint8, pin_memory=True).numpy()
        return np.empty(n_bytes, dtype=np.uint8)


class ReadMemory:
    """The memory of a stream, which the stream of the next epoch uses again.

    Attributes
    ----------
    of_windows, of_batches
        For what is only read and cut, and for what is handed on.
    """

    def __init__(self, *, pinned: bool = False) -> None:
        self.of_windows, self.of_batches = Buffers(), Buffers(pinned=pinned)
