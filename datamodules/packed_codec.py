"""Entries as bytes: checks of plain ones, and the compressed form of gaps between genes and halves of bytes.

Compressed, a row's genes are stored as gaps, one byte each: from one gene to the next, the first from -1. Its counts
take half a byte each: byte `k` of a row of `n` entries holds entry `k` below and entry `(n + 1) // 2 + k` above. What
does not fit is 0 there, and a record of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from datamodules.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Indices = npt.NDArray[np.uint16] | npt.NDArray[np.int32]

MAX_GAP, MAX_NIBBLE = 255, 15


def nibble_offset(first: Ints | int, row: Ints | int) -> Any:
    """Return the byte in which a row's counts begin, from its first entry and its number; rows begin on whole bytes."""
    return (first + row) // 2


@compiled
def has_fault(indices: Any, counts: Bytes, n_genes: int) -> bool:
    """Return whether a gene is out of range or a count 0; `indices` unsigned `[n]`."""
    last = indices.dtype.type(n_genes - 1)
    out_of_range = n_genes == 0 and indices.size > 0
    for j in range(indices.size):
        out_of_range |= indices[j] > last
    is_zero = False
    for j in range(counts.size):
        is_zero |= counts[j] == 0
    return out_of_range or is_zero


@compiled
def encode(pointers: Ints, odd: int, indices: Any, counts: Bytes, gaps: Bytes, nibbles: Bytes) -> None:
    """Fill gaps and nibbles from rows whose genes rise; what does not fit stays 0.

    Parameters
    ----------
    pointers
        int64 `[n_rows + 1]` from 0.
    odd
        Whether entries and rows before these are an odd number together, 0 or 1.
    indices, counts
        `[n_entries]`.
    gaps, nibbles
        Output, of zeros: `[n_entries]` and `[nibble_offset(n_entries + odd, n_rows)]`.
    """
    for r in range(pointers.size - 1):
        a, b = pointers[r], pointers[r + 1]
        half, at, last = (b - a + 1) // 2, (odd + a + r) // 2, np.int64(-1)
        for j in range(a, b):
            gap, last = np.int64(indices[j]) - last, np.int64(indices[j])
            if gap <= MAX_GAP:
                gaps[j] = gap
            if counts[j] <= MAX_NIBBLE:
                below = j - a < half
                nibbles[at + (j - a if below else j - a - half)] |= counts[j] if below else counts[j] << 4


@compiled
def decode_gaps(pointers: Ints, gaps: Bytes, wide: Ints, wide_gap: Ints, n_genes: int, indices: Any) -> bool:
    """Fill the genes of rows from their gaps; return whether all are in range and rise.

    Parameters
    ----------
    pointers
        int64 `[n_rows + 1]` from 0.
    gaps
        `[n_entries]`.
    wide, wide_gap
        Entries of wide gaps, rising, and their values.
    n_genes
        Genes of the store.
    indices
        Output `[n_entries]`.
    """
    n_zero, k, good = 0, 0, True
    for j in range(gaps.size):
        n_zero += gaps[j] == 0
    for r in range(pointers.size - 1):
        a, b = pointers[r], pointers[r + 1]
        row, out, gene = gaps[a:b], indices[a:b], np.uint64(2**64 - 1)
        for j in range(row.size):
            gene += np.uint64(row[j])
            out[j] = gene
        while k < wide.size and wide[k] < b:
            if gaps[wide[k]] != 0 or wide_gap[k] <= MAX_GAP:
                return False
            gene += np.uint64(wide_gap[k])
            for j in range(wide[k] - a, row.size):
                out[j] += wide_gap[k]
            k += 1
        if b > a and gene >= np.uint64(n_genes):
            good = False
    return good and n_zero == wide.size


@compiled
def decode_counts(pointers: Ints, first: int, row: int, nibbles: Bytes, wide: Ints, value: Ints, counts: Bytes) -> bool:
    """Fill the counts of rows from halves of bytes; return whether all are >= 1.

    Parameters
    ----------
    pointers
        int64 `[n_rows + 1]` from 0.
    first, row
        First entry and number of the first of these rows in the store.
    nibbles
        Bytes from `nibble_offset(first, row)` on.
    wide, value
        Entries of counts above `MAX_NIBBLE`, and these.
    counts
        Output `[n_entries]`.
    """
    start, is_zero = (first + row) // 2, False
    for r in range(pointers.size - 1):
        a, b = pointers[r], pointers[r + 1]
        half = (b - a + 1) // 2
        at = (first + a + row + r) // 2 - start
        part, below, above = nibbles[at : at + half], counts[a : a + half], counts[a + half : b]
        for j in range(below.size):
            below[j] = part[j] & 15
        for j in range(above.size):
            above[j] = part[j] >> 4
    for k in range(wide.size):
        is_zero |= counts[wide[k]] != 0
        counts[wide[k]] = value[k]
    for j in range(counts.size):
        is_zero |= counts[j] == 0
    return not is_zero
