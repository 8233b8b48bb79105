"""Raw rows to packed rows and packed rows to batches: compiled loops in which every value is checked."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.check import MAX_COUNT
from datamodules.compiled import compiled
from datamodules.scratch import SCRATCH
from datamodules.space import Ints, LargeCounts, RowSpace
from schema.batch import LARGE, MAX_SMALL_GENES

Values = npt.NDArray[Any]

_INDEX_TYPES = frozenset("ihlqIH")
_VALUE_TYPES = frozenset("fdhilqBHI")
"""Number types (numpy's letters) that the loops are compiled for; others take the careful route."""

_BLOCK = 64
"""Entries that are looked over at once for large counts."""


class RawPart(NamedTuple):
    """Chosen rows as a file stores them, nothing checked.

    Attributes
    ----------
    begin, end
        int64 `[n_rows]`: row `i` owns the entries `begin[i]:end[i]`; rows rise, with gaps or without.
    indices
        any integer dtype `[n_entries]`.
    values
        any dtype `[n_entries]`.
    """

    begin: Ints
    end: Ints
    indices: Values
    values: Values


def is_packable(indices: np.dtype[Any], values: np.dtype[Any]) -> bool:
    """Return whether `pack` and `datamodules.canonical.canonical_part` take these number types."""
    native = indices.isnative and values.isnative
    return native and indices.char in _INDEX_TYPES and values.char in _VALUE_TYPES


def pack(part: RawPart, n_genes: int, space: RowSpace, row: int, entry: int) -> LargeCounts | None:
    """Write canonical rows into a space, end to end from `entry` on.

    Parameters
    ----------
    part
        Rows of a packable number type.
    n_genes
        Genes of the file.
    space
        Its rows from `row` on get their start, length and library size (the sum of the row).

    Returns
    -------
    LargeCounts or None
        None if a row is not canonical (columns rise, counts > 0) or a value no count; the space holds anything then.
    """
    n_entries, rows = int((part.end - part.begin).sum()), slice(row, row + len(part.begin))
    if rows.stop > len(space.start) or entry + n_entries > min(len(space.indices), len(space.counts)):
        raise IndexError("the space must hold the rows")
    if space.indices.itemsize == 2 and n_genes > MAX_SMALL_GENES:
        raise IndexError("the space must hold the genes")
    if not _pack_indices(part.indices, part.begin, part.end, n_genes, space.indices, entry):
        return None
    large = LargeCounts(
        SCRATCH.take("large row", n_entries, np.int64),
        SCRATCH.take("large offset", n_entries, np.int64),
        SCRATCH.take("large value", n_entries, np.float32),
    )
    of_rows = space.start[rows], space.length[rows], space.library_size[rows]
    n_large = _pack_values(part.values, part.begin, part.end, space.counts, entry, *of_rows, *large)
    if n_large < 0:
        return None
    return LargeCounts(large.row[:n_large] + row, large.offset[:n_large].copy(), large.value[:n_large].copy())


def joined(parts: list[LargeCounts]) -> LargeCounts:
    """Return the large counts of several parts, in their order."""
    if len(parts) == 1:
        return parts[0]
    return LargeCounts(*(np.concatenate(column) for column in zip(_NONE, *parts, strict=True)))


def gather(
    space: RowSpace, large: LargeCounts, rows: Ints, indices_out: Values, counts_out: npt.NDArray[np.uint8]
) -> tuple[Ints, Ints, npt.NDArray[np.float32]]:
    """Copy rows of a space end to end, in the order given.

    Parameters
    ----------
    space
        Packed rows.
    large
        All large counts of the space, in the order of rows and entries.
    rows
        int64 `[n]`: rows of the space.
    indices_out, counts_out
        Arrays that get the entries, at least as long as these.

    Returns
    -------
    tuple
        `indptr` int64 `[n + 1]`, `large_at` int64 and `large_count` float32 as in `schema.batch.CellBatch`.
    """
    indptr = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(space.length[rows], out=indptr[1:])
    if indptr[-1] > min(len(indices_out), len(counts_out)):
        raise IndexError("the output must hold the rows")
    _gather_entries(space.indices, space.counts, space.start, rows, indptr, indices_out, counts_out)
    first = np.searchsorted(large.row, rows)
    n_large = np.searchsorted(large.row, rows, side="right") - first
    before = np.cumsum(n_large) - n_large
    chosen = np.arange(n_large.sum()) + np.repeat(first - before, n_large)
    return indptr, np.repeat(indptr[:-1], n_large) + large.offset[chosen], large.value[chosen]


_NONE = LargeCounts(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32))


@compiled
def _pack_indices(indices: Values, begin: Ints, end: Ints, n_genes: int, out: Values, at: int) -> bool:
    bad = False
    for row in range(begin.size):
        columns = indices[begin[row] : end[row]]
        n = columns.size
        packed = out[at : at + n]
        if n:
            bad |= columns[0] < 0
            bad |= columns[n - 1] >= n_genes
        for j in range(1, n):
            bad |= columns[j] <= columns[j - 1]
        for j in range(n):
            packed[j] = columns[j]
        at += n
    return not bad


@compiled
def _pack_values(
    values: Values,
    begin: Ints,
    end: Ints,
    out: npt.NDArray[np.uint8],
    at: int,
    start: Ints,
    length: Ints,
    library_size: npt.NDArray[np.float32],
    large_row: Ints,
    large_offset: Ints,
    large_value: npt.NDArray[np.float32],
) -> int:
    """Return the number of large counts; -1 if a value is no count or 0."""
    n_large = 0
    for row in range(begin.size):
        counts = values[begin[row] : end[row]]
        packed = out[at : at + counts.size]
        bad, total, n_here = False, 0, 0
        for j in range(counts.size):
            count = counts[j]
            bad |= (count != np.floor(count)) | (not (count >= 1)) | (not (count <= MAX_COUNT))
        if bad:
            return -1
        for j in range(counts.size):
            packed[j] = np.uint8(np.int32(min(counts[j], counts.dtype.type(LARGE))))
        for j in range(counts.size):
            total += packed[j]
        for j in range(counts.size):
            n_here += packed[j] == LARGE
        if n_here:
            large_row[n_large : n_large + n_here] = row
            total += _note_large(counts, packed, large_offset[n_large : n_large + n_here], large_value[n_large:])
        start[row], length[row], library_size[row] = at, counts.size, total
        n_large += n_here
        at += counts.size
    return n_large


@compiled
def _note_large(counts: Values, packed: npt.NDArray[np.uint8], offset: Ints, value: npt.NDArray[np.float32]) -> int:
    """Note the large counts of a row, as many as `offset` has room for; return by how much they exceed `LARGE`."""
    n, excess, block = 0, 0, 0
    while n < offset.size:
        part, found = packed[block : block + _BLOCK], False
        for j in range(part.size):
            found |= part[j] == LARGE
        if found:
            for j in range(part.size):
                if part[j] == LARGE:
                    offset[n], value[n] = block + j, counts[block + j]
                    excess += int(counts[block + j]) - LARGE
                    n += 1
        block += _BLOCK
    return excess


@compiled
def _gather_entries(
    indices: Values,
    counts: npt.NDArray[np.uint8],
    start: Ints,
    rows: Ints,
    indptr: Ints,
    indices_out: Values,
    counts_out: npt.NDArray[np.uint8],
) -> None:
    for i in range(rows.size):
        to, at, n = indptr[i], start[rows[i]], indptr[i + 1] - indptr[i]
        columns, columns_out = indices[at : at + n], indices_out[to : to + n]
        for j in range(columns.size):
            columns_out[j] = columns[j]
        values, values_out = counts[at : at + n], counts_out[to : to + n]
        for j in range(values.size):
            values_out[j] = values[j]
