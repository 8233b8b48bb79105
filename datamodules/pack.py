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

NOT_CANONICAL = -1
"""What a compiled loop returns instead of the number of large counts."""

_BLOCK = 128
"""Entries that are looked over at once for large counts."""
_SUMMED = 2**20
"""Small counts whose sum is sure to fit into 32 bits."""


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
    large = large_room(len(part.values))
    require_room(space, row + len(part.begin), entry + int((part.end - part.begin).sum()), n_genes)
    n_large = pack_rows(
        part.begin, part.end, part.indices, part.values, 0, n_genes, *space.arrays, row, entry, large, 0
    )
    return None if n_large < 0 else noted(large, n_large)


def require_room(space: RowSpace, n_rows: int, n_entries: int, n_genes: int) -> None:
    """Refuse to write past the end of a space, or genes that its number type does not hold.

    Raises
    ------
    IndexError
        If it holds fewer rows, entries or genes.
    """
    if n_rows > len(space.start):
        raise IndexError("the space must hold the rows")
    if n_entries > min(len(space.indices), len(space.counts)):
        raise IndexError("the space must hold the entries")
    if space.indices.itemsize == 2 and n_genes > MAX_SMALL_GENES:
        raise IndexError("the space must hold the genes")


def large_room(n: int) -> Ints:
    """Return this thread's memory for noting `n` large counts, int64 `[3, n]`: row, offset and count."""
    return SCRATCH.take("large", 3 * n, np.int64).reshape(3, n)


def noted(large: Ints, n_large: int) -> LargeCounts:
    """Return the first of the large counts that were noted."""
    row, offset, count = large[:, :n_large]
    return LargeCounts(row.copy(), offset.copy(), count.astype(np.float32))


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
def pack_rows(
    begin: Ints,
    end: Ints,
    indices: Values,
    values: Values,
    base: int,
    n_genes: int,
    genes_out: Values,
    counts_out: npt.NDArray[np.uint8],
    start: Ints,
    length: Ints,
    library_size: npt.NDArray[np.float32],
    row: int,
    entry: int,
    large: Ints,
    n_large: int,
) -> int:
    """Pack rows and note large counts after `n_large` others; return how many there are then, or `NOT_CANONICAL`.

    Row `i` owns the entries `begin[i] - base` to `end[i] - base - 1`; see `pack` for the rest. Nothing checks that
    there is room.
    """
    for i in range(begin.size):
        a, b, n = begin[i] - base, end[i] - base, end[i] - begin[i]
        genes, packed = genes_out[entry : entry + n], counts_out[entry : entry + n]
        if not _pack_columns(indices[a:b], n_genes, genes):
            return NOT_CANONICAL
        total, n_large = _pack_counts(values[a:b], packed, row + i, large, n_large)
        if total < 0:
            return NOT_CANONICAL
        start[row + i], length[row + i], library_size[row + i] = entry, n, total
        entry += n
    return n_large


@compiled
def _pack_columns(columns: Values, n_genes: int, out: Values) -> bool:
    """Write the columns of a row, as many as `out` has room for; return whether they rise within the genes."""
    n, bad = out.size, False
    if n:
        bad |= columns[0] < 0
        bad |= columns[n - 1] >= n_genes
        out[0] = columns[0]
    for j in range(1, n):
        bad |= columns[j] <= columns[j - 1]
        out[j] = columns[j]
    return not bad


@compiled
def _pack_counts(counts: Values, out: npt.NDArray[np.uint8], row: int, large: Ints, n_large: int) -> tuple[int, int]:
    """Write the counts of a row, noting large ones; return their sum, -1 if one is no count or 0, and `n_large`.

    What is not below `LARGE` is looked at by itself, NaN and infinity too; all else must be what was written.
    """
    bad, has_large = False, False
    least, most = counts.dtype.type(1), counts.dtype.type(LARGE)
    for j in range(counts.size):
        small = counts[j] if counts[j] < most else most
        whole = np.int32(max(small, least))
        bad |= counts.dtype.type(whole) != small
        out[j] = np.uint8(whole)
    for j in range(out.size):
        has_large |= out[j] == LARGE
    if bad:
        return -1, n_large
    total = sum_of_small(out)
    return _note_large(counts, out, row, large, n_large, total) if has_large else (total, n_large)


@compiled
def sum_of_small(packed: npt.NDArray[np.uint8]) -> int:
    """Return the sum of small counts, added up in 32 bits (fast) over as many as are sure to fit."""
    total = 0
    for first in range(0, packed.size, _SUMMED):
        part, of_part = packed[first : first + _SUMMED], np.int32(0)
        for j in range(part.size):
            of_part = np.int32(of_part + np.int32(part[j]))
        total += int(of_part)
    return total


@compiled
def _note_large(
    counts: Values, packed: npt.NDArray[np.uint8], row: int, large: Ints, n_large: int, total: int
) -> tuple[int, int]:
    """Note the large counts of a row and add by how much they exceed `LARGE` to the sum; return as `_pack_counts`."""
    for block in range(0, packed.size, _BLOCK):
        part, found = packed[block : block + _BLOCK], False
        for j in range(part.size):
            found |= part[j] == LARGE
        if found:
            for j in range(part.size):
                if part[j] == LARGE:
                    count = counts[block + j]
                    if count != np.floor(count) or not (count <= MAX_COUNT):
                        return -1, n_large
                    large[0, n_large], large[1, n_large], large[2, n_large] = row, block + j, count
                    total += int(count) - LARGE
                    n_large += 1
    return total, n_large


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
