"""Many rows of an uncompressed CSR matrix read, checked and packed in one call, without the interpreter in between."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.bulk_read import Places, fill, will_need
from datamodules.compiled import compiled
from datamodules.direct import DirectArray
from datamodules.pack import joined, large_room, noted, pack_rows, require_room
from datamodules.scratch import SCRATCH
from datamodules.space import Ints, LargeCounts, RowSpace

_LARGE_ROOM = 2**16
"""Large counts that one call may find beside those of a stretch; where there are more, another call goes on."""


class BulkRows:
    """Indices and values of rows as they lie in a file; may be read by several threads at once.

    Parameters
    ----------
    indices, values
        Arrays of one file, of number types that `datamodules.pack.is_packable` takes.
    indices_at, values_at
        Where they lie in it.
    """

    def __init__(self, indices: DirectArray, values: DirectArray, indices_at: Places, values_at: Places) -> None:
        self._indices, self._values, self._indices_at, self._values_at = indices, values, indices_at, values_at

    def pack(
        self, begin: Ints, end: Ints, stretches: Ints, n_genes: int, space: RowSpace, row: int, entry: int
    ) -> LargeCounts | None:
        """Write rows into a space, end to end; see `datamodules.pack.pack`.

        Parameters
        ----------
        begin, end
            int64 `[n_rows]`: the entries of each row, rising.
        stretches
            int64 `[n_stretches + 1]`: where the rows begin that are read together, from 0 to `n_rows`.
        n_genes, space, row, entry
            As there.

        Returns
        -------
        LargeCounts or None
            None also where the file ends early.
        """
        require_room(space, row + len(begin), entry + int((end - begin).sum()), n_genes)
        most = int((end[stretches[1:] - 1] - begin[stretches[:-1]]).max(initial=0))
        indices = SCRATCH.take("indices", most, self._indices.dtype)
        values = SCRATCH.take("values", most, self._values.dtype)
        large, found, done = large_room(most + _LARGE_ROOM), [], 0
        places = self._indices.descriptor, *self._indices_at, *self._values_at
        while done < len(stretches) - 1:
            done, entry, n_large = _pack_stretches(
                *places, begin, end, stretches, done, indices, values, n_genes, *space.arrays, row, entry, large
            )
            if n_large < 0:
                return None
            found.append(noted(large, n_large))
        return joined(found)

    def will_need(self, begin: Ints, end: Ints, stretches: Ints) -> None:
        """Tell the operating system which rows are read next; see `pack`."""
        starts, stops = begin[stretches[:-1]], end[stretches[1:] - 1]
        for array, places in ((self._indices, self._indices_at), (self._values, self._values_at)):
            will_need(array.descriptor, places, array.dtype.itemsize, starts, stops)


def open_bulk(indices: object, values: object) -> BulkRows | None:
    """Return the rows of two arrays of packable types; None where they do not lie uncompressed in one file."""
    if not (isinstance(indices, DirectArray) and isinstance(values, DirectArray)):
        return None
    indices_at, values_at = indices.places, values.places
    if indices_at is None or values_at is None or indices.descriptor != values.descriptor:
        return None
    return BulkRows(indices, values, indices_at, values_at)


@compiled
def _pack_stretches(
    descriptor: int,
    indices_first: Ints,
    indices_offset: Ints,
    values_first: Ints,
    values_offset: Ints,
    begin: Ints,
    end: Ints,
    stretches: Ints,
    done: int,
    indices: Any,
    values: Any,
    n_genes: int,
    genes_out: Any,
    counts_out: npt.NDArray[np.uint8],
    start: Ints,
    length: Ints,
    library_size: npt.NDArray[np.float32],
    row: int,
    entry: int,
    large: Ints,
) -> tuple[int, int, int]:
    """Pack stretches from `done` on while there is room for the large counts of one more.

    Returns
    -------
    tuple
        Stretches done, the entry after the last, and the number of large counts, negative where one cannot be packed.
    """
    n_large = 0
    while done < stretches.size - 1:
        first, last = stretches[done], stretches[done + 1]
        base, n = begin[first], end[last - 1] - begin[first]
        if n_large + n > large.shape[1]:
            break
        columns, counts = indices[:n], values[:n]
        read = _fill_entries(descriptor, indices_first, indices_offset, base, columns)
        if not (read and _fill_entries(descriptor, values_first, values_offset, base, counts)):
            return done, entry, -1
        n_large = pack_rows(
            begin[first:last],
            end[first:last],
            columns,
            counts,
            base,
            n_genes,
            genes_out,
            counts_out,
            start,
            length,
            library_size,
            row + first,
            entry,
            large,
            n_large,
        )
        if n_large < 0:
            break
        for i in range(first, last):
            entry += end[i] - begin[i]
        done += 1
    return done, entry, n_large


@compiled
def _fill_entries(descriptor: int, first: Ints, offset: Ints, begin: int, out: Any) -> bool:
    """Fill `out` with the entries from `begin` on; return whether they are all there."""
    size, at, end = out.itemsize, begin, begin + out.size
    run = np.searchsorted(first, begin, side="right") - 1
    while at < end:
        n = min(end, first[run + 1]) - at
        memory = out[at - begin : at - begin + n].ctypes.data
        if not fill(descriptor, memory, n * size, offset[run] + (at - first[run]) * size):
            return False
        at, run = at + n, run + 1
    return True
