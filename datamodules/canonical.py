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
"""A gene and its count as one number: the count is in the lower bits, of which `MAX_COUNT` takes 24."""


def canonical_part(part: RawPart, gene: Ints) -> RawPart | None:
    """Return rows in canonical form, valid until this thread asks for the next.

    Parameters
    ----------
    part
        Rows of a packable number type (see `datamodules.pack.is_packable`).
    gene
        int64 `[n_columns]`: the gene as which each column is counted; -1 = none, its counts are left out.

    Returns
    -------
    RawPart or None
        Indices int64, genes that rise within a row; values int64 > 0, sums of which may be above `MAX_COUNT`. None if a
        value is no count or an index is out of range.
    """
    n_entries = int((part.end - part.begin).sum())
    genes, counts, late = (
        SCRATCH.take(name, n_entries, np.int64) for name in ("canonical genes", "canonical counts", "late entries")
    )
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
    genes_out: Ints,
    counts_out: Ints,
    late: Ints,
) -> bool:
    at = 0
    for row in range(begin.size):
        columns, counts = indices[begin[row] : end[row]], values[begin[row] : end[row]]
        bad = False
        for j in range(columns.size):
            bad |= (columns[j] < 0) | (columns[j] >= gene.size)
        for j in range(counts.size):
            count = counts[j]
            bad |= (count != np.floor(count)) | (not (count >= 0)) | (not (count <= MAX_COUNT))
        if bad:
            return False
        n, n_late, last = 0, 0, -1
        for j in range(columns.size):
            here, number = gene[columns[j]], np.int64(counts[j])
            if here < 0 or number == 0:
                continue
            if here > last:
                genes_out[at + n], counts_out[at + n], last = here, number, here
                n += 1
            else:
                late[n_late] = (here << _SHIFT) + number
                n_late += 1
        at += _with_late(genes_out[at:], counts_out[at:], n, late[:n_late])
        edges[row + 1] = at
    return True


@compiled
def _with_late(genes: Ints, counts: Ints, n: int, late: Ints) -> int:
    """Merge entries that came out of order into `n` sorted ones; return how many there are then."""
    if late.size == 0:
        return n
    pass
    n_new = 0
    for key in late:  # those of genes that are there are added, the others are moved to the front of `late`
        here, number = key >> _SHIFT, key & _COUNT
        place = np.searchsorted(genes[:n], here)
        if place < n and genes[place] == here:
            counts[place] += number
        elif n_new and late[n_new - 1] >> _SHIFT == here:
            if late[n_new - 1] & _COUNT <= MAX_COUNT:  # else it is refused anyway, and must not grow into the gene
                late[n_new - 1] += number
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
