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

_NOT_CANONICAL, _NO_ROOM = -1, -2
"""What a compiled loop returns instead of the number of large counts."""

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
    if row + len(part.begin) > len(space.start):
        raise IndexError("the space must hold the rows")
    if space.indices.itemsize == 2 and n_genes > MAX_SMALL_GENES:
        raise IndexError("the space must hold the genes")
    large = SCRATCH.take("large", 3 * len(part.values), np.int64).reshape(3, -1)
    n_large = _pack_rows(
        *part,
        n_genes,
        space.indices,
        space.counts,
        space.start,
        space.length,
        space.library_size,
        row,
        entry,
        large,
    )
    if n_large == _NO_ROOM:
        raise IndexError("the space must hold the entries")
    if n_large == _NOT_CANONICAL:
        return None
    found = large[:, :n_large]
    return LargeCounts(found[0] + row, found[1].copy(), found[2].astype(np.float32))


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
def _pack_rows(
    begin: Ints,
    end: Ints,
    indices: Values,
    values: Values,
    n_genes: int,
    genes_out: Values,
    counts_out: npt.NDArray[np.uint8],
    start: Ints,
    length: Ints,
    library_size: npt.NDArray[np.float32],
    row: int,
    entry: int,
    large: Ints,
) -> int:
    """Return the number of large counts, `_NOT_CANONICAL` or `_NO_ROOM`."""
    n_large = 0
    for i in range(begin.size):
        n = end[i] - begin[i]
        if entry + n > min(genes_out.size, counts_out.size):
            return _NO_ROOM
        columns, counts = indices[begin[i] : end[i]], values[begin[i] : end[i]]
        genes, packed = genes_out[entry : entry + n], counts_out[entry : entry + n]
        if not _pack_columns(columns, n_genes, genes):
            return _NOT_CANONICAL
        total, n_large = _pack_counts(counts, packed, i, large, n_large)
        if total < 0:
            return _NOT_CANONICAL
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
    for j in range(1, n):
        bad |= columns[j] <= columns[j - 1]
    for j in range(n):
        out[j] = columns[j]
    return not bad


@compiled
def _pack_counts(counts: Values, out: npt.NDArray[np.uint8], row: int, large: Ints, n_large: int) -> tuple[int, int]:
    """Write the counts of a row, noting large ones; return their sum, -1 if one is no count or 0, and `n_large`."""
    bad, total, n_here = False, 0, 0
    for j in range(counts.size):
        count = counts[j]
        bad |= (count != np.floor(count)) | (not (count >= 1)) | (not (count <= MAX_COUNT))
    if bad:
        return -1, n_large
    for j in range(counts.size):
        out[j] = np.uint8(np.int32(min(counts[j], counts.dtype.type(LARGE))))
    for j in range(counts.size):
        total += out[j]
    for j in range(counts.size):
        n_here += out[j] == LARGE
    if n_here:
        total += _note_large(counts, out, row, large[:, n_large : n_large + n_here])
    return total, n_large + n_here


@compiled
def _note_large(counts: Values, packed: npt.NDArray[np.uint8], row: int, large: Ints) -> int:
    """Note the large counts of a row, as many as there is room for; return by how much they exceed `LARGE`."""
    n, excess, block = 0, 0, 0
    while n < large.shape[1]:
        part, found = packed[block : block + _BLOCK], False
        for j in range(part.size):
            found |= part[j] == LARGE
        if found:
            for j in range(part.size):
                if part[j] == LARGE:
                    large[0, n], large[1, n], large[2, n] = row, block + j, counts[block + j]
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
