"""Arrays stored in packed chunks: which are decoded for a slice, and how deflate and shuffle are undone."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import deflate
import numpy as np
import numpy.typing as npt

from datamodules.compiled import compiled

Values = npt.NDArray[Any]

_MOST_BYTES = 2**26
"""Decoded chunks that are kept, bytes over all files."""


class Recent:
    """Decoded chunks that were last used in part: who reads on from there needs the rest."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes, self._n_bytes = most_bytes, 0
        self._chunks: OrderedDict[tuple[int, int], Values] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._chunks)

    def get(self, array: int, chunk: int) -> Values | None:
        """Return a chunk that is still here."""
        with self._lock:
            if (array, chunk) in self._chunks:
                self._chunks.move_to_end((array, chunk))
            return self._chunks.get((array, chunk))

    def keep(self, array: int, chunk: int, values: Values) -> None:
        """Keep a chunk in place of the one that was not used for longest."""
        with self._lock:
            if (array, chunk) in self._chunks:
                return
            self._chunks[array, chunk] = values
            self._n_bytes += values.nbytes
            while self._n_bytes > self._most_bytes:
                self._n_bytes -= self._chunks.popitem(last=False)[1].nbytes

    def drop(self, array: int) -> None:
        """Forget the chunks of an array."""
        with self._lock:
            for key in [key for key in self._chunks if key[0] == array]:
                self._n_bytes -= self._chunks.pop(key).nbytes


RECENT = Recent()

_numbers = itertools.count()


class Chunks:
    """The decoded chunks of an array along its first axis.

    Parameters
    ----------
    decode
        Returns chunks `first` to `stop - 1`, `[n_rows, ...]` each; the last may be shorter.
    n_rows
        Rows of a chunk.
    """

    def __init__(self, decode: Callable[[int, int], list[Values]], n_rows: int) -> None:
        self._decode, self._n_rows, self._number = decode, n_rows, next(_numbers)

    def read_into(self, out: Values, start: int) -> None:
        """Fill `out` `[n, ...]` with rows from `start` on."""
        stop = start + len(out)
        first, last = start // self._n_rows, (stop - 1) // self._n_rows
        for number, chunk in zip(range(first, last + 1), self._get(first, last), strict=True):
            at = number * self._n_rows
            low, high = max(start, at), min(stop, at + self._n_rows)
            out[low - start : high - start] = chunk[low - at : high - at]
            if high - low < self._n_rows:
                RECENT.keep(self._number, number, chunk)

    def drop(self) -> None:
        """Forget what is kept of the array."""
        RECENT.drop(self._number)

    def _get(self, first: int, last: int) -> list[Values]:
        head = RECENT.get(self._number, first)
        tail = RECENT.get(self._number, last) if last > first else None
        before = [] if head is None else [head]
        after = [] if tail is None else [tail]
        low, stop = first + len(before), last + 1 - len(after)
        return [*before, *(self._decode(low, stop) if low < stop else []), *after]


def inflate(packed: npt.NDArray[np.uint8], n_bytes: int, *, shuffled: int = 1) -> npt.NDArray[np.uint8]:
    """Return the bytes of a deflated chunk.

    Parameters
    ----------
    packed
        A zlib stream.
    n_bytes
        Bytes that it must hold; no more than these are ever written.
    shuffled
        Bytes per number where all first bytes come first, then all second ones (HDF5's shuffle); 1 where they do not.

    Raises
    ------
    OSError
        If the stream is damaged or holds more or fewer bytes.
    """
    try:
        plain = np.frombuffer(deflate.zlib_decompress(packed.data, n_bytes), dtype=np.uint8)
    except deflate.DeflateError as error:
        raise OSError("a chunk that cannot be inflated") from error
    if plain.size != n_bytes:
        raise OSError(f"a chunk of {plain.size} bytes where {n_bytes} are declared")
    return unshuffled(plain, shuffled) if shuffled > 1 else plain


def unshuffled(planes: npt.NDArray[np.uint8], n_bytes: int) -> npt.NDArray[np.uint8]:
    """Return numbers of `n_bytes` bytes whose first bytes came first, then all second ones."""
    by_plane = planes.reshape(n_bytes, -1)
    if n_bytes not in (2, 4, 8):
        return np.ascontiguousarray(by_plane.T).reshape(-1)
    out = np.empty(by_plane.shape[1], dtype=f"<u{n_bytes}")
    _join_planes(by_plane, out)
    return out.view(np.uint8)


@compiled
def _join_planes(planes: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None:
    out[:] = planes[0]
    for number in range(1, planes.shape[0]):
        plane, factor = planes[number], out.dtype.type(1 << 8 * number)
        for i in range(out.size):
            out[i] |= out.dtype.type(plane[i]) * factor
