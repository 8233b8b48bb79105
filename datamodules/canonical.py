"""Raw rows that cannot be packed as they are: genes renumbered, duplicates summed, columns sorted, zeros dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.check import MAX_COUNT
from datamodules.compiled import compiled
from datamodules.pack import RawPart
from datamodules.scratch import SCRATCH
from datamodules.space import Ints

Values = npt.NDArray[Any]

_SHIFT, _COUNT = 32, 2**32 - 1
"""A gene and its count as one number: the count is in the lower bits."""

_MOST = 2**30
"""Sums stop here, far above `MAX_COUNT`: they are refused anyway."""

_MOST_LATE = 16
"""Where one in so many entries of a row comes out of order, it is summed over all genes instead of sorted."""


def canonical_part(part: RawPart, gene: Ints) -> RawPart | None:
    """Return rows in canonical form, valid until this thread asks for the next.

    Parameters
    ----------
    part
        Rows of a packable number type (see `datamodules.pack.is_packable`).
    gene
        int64 `[n_columns]`: the gene as which each column is counted, below `n_columns`; -1 = none, its counts are left
        out.

    Returns
    -------
    RawPart or None
        Indices int32, genes that rise within a row; values int32 > 0, sums of which may be above `MAX_COUNT`. None if a
        value is no count or an index is out of range.
    """
    n_entries = int((part.end - part.begin).sum())
    genes = SCRATCH.take("canonical genes", n_entries + 1, np.int32)
    counts = SCRATCH.take("canonical counts", n_entries + 1, np.int32)
    late = SCRATCH.take("late entries", n_entries, np.int64)
    edges = np.zeros(len(part.begin) + 1, dtype=np.int64)
    good = _canonical_rows(part.indices, part.values, part.begin, part.end, gene, edges, genes, counts, late)
    return RawPart(edges[:-1], edges[1:], genes[: edges[-1]], counts[: edges[-1]]) if good else None


@compiled
def _canonical_rows(
    indices: Values,
    values: Values,
    begin: Ints,
    end: Ints,
    gene: Ints,
    edges: Ints,
    genes_out: npt.NDArray[np.int32],
    counts_out: npt.NDArray[np.int32],
    late: Ints,
) -> bool:
    """Fill rows of the output end to end; return False if one cannot be."""
    sums = np.zeros(gene.size, dtype=np.int32)
    for row in range(begin.size):
        columns, numbers = indices[begin[row] : end[row]], values[begin[row] : end[row]]
        bad = False
        for j in range(columns.size):
            bad |= (columns[j] < 0) | (columns[j] >= gene.size)
        for j in range(numbers.size):
            number = numbers[j]
            bad |= (number != np.floor(number)) | (not (number >= 0)) | (not (number <= MAX_COUNT))
        if bad:
            return False
        genes, counts = genes_out[edges[row] :], counts_out[edges[row] :]
        for j in range(columns.size):
            genes[j] = gene[columns[j]]
        for j in range(numbers.size):
            counts[j] = np.int32(numbers[j])
        n, n_late = _part_sorted(genes[: columns.size], counts[: columns.size], late)
        if n_late * _MOST_LATE <= columns.size:
            n = _with_late(genes, counts, n, late[:n_late])
        else:
            for j in range(n):
                sums[genes[j]] = counts[j]
            n = _summed(late[:n_late], sums, genes, counts)
        edges[row + 1] = edges[row] + n
    return True


@compiled
def _part_sorted(genes: npt.NDArray[np.int32], counts: npt.NDArray[np.int32], late: Ints) -> tuple[int, int]:
    """Move entries whose genes rise to the front and others to `late`; return how many each, zeros dropped."""
    n, n_late, last = 0, 0, -1
    for j in range(genes.size):
        here, number = genes[j], counts[j]
        if here > last and number > 0:
            genes[n], counts[n], last = here, number, here
            n += 1
        elif here >= 0 and number > 0:
            late[n_late] = (np.int64(here) << _SHIFT) + number
            n_late += 1
    return n, n_late


@compiled
def _with_late(genes: npt.NDArray[np.int32], counts: npt.NDArray[np.int32], n: int, late: Ints) -> int:
    """Merge some entries into `n` sorted ones; return how many there are then."""
    _sort_few(late)
    n_new, place = 0, 0
    for key in late:  # those of genes that are there are added, the others are moved to the front of `late`
        here, number = key >> _SHIFT, key & _COUNT
        while place < n and genes[place] < here:
            place += 1
        if place < n and genes[place] == here:
            counts[place] = min(counts[place] + number, _MOST)
        elif n_new and late[n_new - 1] >> _SHIFT == here:
            late[n_new - 1] = (here << _SHIFT) + min((late[n_new - 1] & _COUNT) + number, _MOST)
        else:
            late[n_new] = key
            n_new += 1
    left, right, to = n - 1, n_new - 1, n + n_new - 1
    while right >= 0:
        here = late[right] >> _SHIFT
        if left >= 0 and genes[left] > here:
            genes[to], counts[to] = genes[left], counts[left]
            left -= 1
        else:
            genes[to], counts[to] = here, late[right] & _COUNT
            right -= 1
        to -= 1
    return n + n_new


@compiled
def _sort_few(keys: Ints) -> None:
    for i in range(1, keys.size):
        key, to = keys[i], i
        while to and keys[to - 1] > key:
            keys[to] = keys[to - 1]
            to -= 1
        keys[to] = key


@compiled
def _summed(
    late: Ints, sums: npt.NDArray[np.int32], genes: npt.NDArray[np.int32], counts: npt.NDArray[np.int32]
) -> int:
    """Add entries to the sums over all genes; write and clear these; return how many are not 0."""
    for key in late:
        sums[key >> _SHIFT] = min(sums[key >> _SHIFT] + (key & _COUNT), _MOST)
    n = 0
    for gene in range(sums.size):
        genes[n], counts[n] = gene, sums[gene]
        n += sums[gene] > 0
    sums[:] = 0
    return n
