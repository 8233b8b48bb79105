"""Many stretches of two files read, checked and laid end to end in one call, without the interpreter in between."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from datamodules.compiled import compiled
from datamodules.packed_codec import Bytes, Ints, has_fault

_pread: Any = types.ExternalFunction("pread", types.intp(types.int32, types.uintp, types.uintp, types.int64))
"""POSIX pread(descriptor, memory, bytes, offset) of the C library."""


_fadvise: Any = types.ExternalFunction("posix_fadvise", types.int32(types.int32, types.int64, types.int64, types.int32))
"""POSIX posix_fadvise(descriptor, offset, bytes, advice) of the C library."""


class Places(NamedTuple):
    """Where the entries of a plain one-dimensional array lie in its file, in runs that lie end to end there.

    Attributes
    ----------
    first
        int64 `[n_runs + 1]`: first entry of each run; the last is the number of entries.
    offset
        int64 `[n_runs]`: byte at which a run begins.
    """

    first: Ints
    offset: Ints


def will_need(descriptor: int, places: Places, item_bytes: int, begin: Ints, end: Ints) -> None:
    """Tell the operating system which entries are read next, where it can be told.

    Parameters
    ----------
    descriptor, places, item_bytes
        The open file, where the array lies in it, and the bytes of an entry.
    begin, end
        int64 `[n_stretches]`: the entries of each stretch.
    """
    if hasattr(os, "posix_fadvise"):
        _advise(descriptor, *spans(*places, item_bytes, begin, end), os.POSIX_FADV_WILLNEED)


@compiled
def spans(first: Ints, offset: Ints, item_bytes: int, begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return where stretches lie in the file, split where it has something else in between.

    Parameters
    ----------
    first, offset
        See `Places`.
    item_bytes, begin, end
        See `will_need`.

    Returns
    -------
    tuple
        First byte and number of bytes, int64 `[n_spans]` each; never 0 bytes, which would mean the rest of the file.
    """
    first_run = np.searchsorted(first, begin, side="right") - 1
    n_runs = np.where(end > begin, np.searchsorted(first, end, side="left") - first_run, 0)
    at, n_bytes = np.empty(n_runs.sum(), np.int64), np.empty(n_runs.sum(), np.int64)
    span = 0
    for i in range(begin.size):
        for run in range(first_run[i], first_run[i] + n_runs[i]):
            low, high = max(begin[i], first[run]), min(end[i], first[run + 1])
            at[span] = offset[run] + (low - first[run]) * item_bytes
            n_bytes[span] = (high - low) * item_bytes
            span += 1
    return at, n_bytes


@compiled
def _advise(descriptor: int, at: Ints, n_bytes: Ints, advice: int) -> None:
    for i in range(at.size):
        _fadvise(np.int32(descriptor), at[i], n_bytes[i], np.int32(advice))


@compiled
def read_stretches(
    of_indices: int,
    of_counts: int,
    begin: Ints,
    end: Ints,
    indices: npt.NDArray[Any],
    counts: Bytes,
    n_genes: int,
) -> bool:
    """Fill genes and counts with stretches of entries, end to end; return whether all were read and are in range.

    Parameters
    ----------
    of_indices, of_counts
        Descriptors of the files that hold genes, in the number type of `indices`, and counts.
    begin, end
        int64 `[n_stretches]`: the entries of each.
    indices, counts
        `[n_entries]`, at least as long as the stretches together.
    n_genes
        Genes of the part.
    """
    at, size = 0, indices.itemsize
    for i in range(begin.size):
        n = end[i] - begin[i]
        genes, values = indices[at : at + n], counts[at : at + n]
        if not fill(of_indices, genes.ctypes.data, n * size, begin[i] * size):
            return False
        if not fill(of_counts, values.ctypes.data, n, begin[i]) or has_fault(genes, values, n_genes):
            return False
        at += n
    return True


@compiled
def read_records(
    of_records: int, groups: Ints, group_rows: int, pointers: Ints, runs: Ints, row: Ints, offset: Ints, value: Ints
) -> int:
    """Fill row, offset and value with the records of runs of rows; return how many, or -1 if they are not as written.

    Parameters
    ----------
    of_records
        Descriptor of the file of records, two uint32 each: entry from the first of its group, and value.
    groups, group_rows
        int64 `[n_groups + 1]`: the records of each group of so many rows.
    pointers
        int64 `[n_rows + 1]`: the entries of each row of the part.
    runs
        int64 `[n_runs, 2]`: first row and row after the last.
    row, offset, value
        `[n]`, room for all records of the groups that the runs touch. Rows are numbered through the runs, from 0.
    """
    n, before = 0, 0
    for i in range(len(runs)):
        start, stop = runs[i, 0], runs[i, 1]
        for group in range(start // group_rows, (stop + group_rows - 1) // group_rows):
            n_records = groups[group + 1] - groups[group]
            fields = np.empty((n_records, 2), np.uint32)
            if not fill(of_records, fields.ctypes.data, n_records * 8, groups[group] * 8):
                return -1
            r = group * group_rows
            base, end = pointers[r], pointers[min(r + group_rows, pointers.size - 1)]
            last = base - 1
            for k in range(n_records):
                entry = base + np.int64(fields[k, 0])
                if entry <= last or entry >= end:
                    return -1
                last = entry
                while pointers[r + 1] <= entry:
                    r += 1
                if start <= r < stop:
                    row[n], offset[n], value[n] = before + r - start, entry - pointers[r], np.int64(fields[k, 1])
                    n += 1
        before += stop - start
    return n


@compiled
def fill(descriptor: int, memory: int, n_bytes: int, offset: int) -> bool:
    """Read bytes from `offset` on to an address; return whether they are all there."""
    done = 0
    while done < n_bytes:
        n_read = _pread(np.int32(descriptor), np.uintp(memory + done), np.uintp(n_bytes - done), offset + done)
        if n_read <= 0:
            return False
        done += n_read
    return True
