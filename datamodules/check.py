"""Proof that what a file gives are raw counts: pure checks on arrays, canonical CSR out."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from schema.errors import InputError

MAX_COUNT = 2**24
"""Largest count of a gene in a cell; whole numbers above it are not exact in float32."""

Values = npt.NDArray[Any]
"""Numbers of any dtype, as a file stores them."""


class RawRows(NamedTuple):
    """Consecutive rows as a file stores them, nothing checked.

    Attributes
    ----------
    indptr
        int64 `[n_rows + 1]`, from 0.
    indices
        any integer dtype `[n_entries]`.
    values
        any dtype `[n_entries]`.
    """

    indptr: npt.NDArray[np.int64]
    indices: Values
    values: Values


class CsrBlock(NamedTuple):
    """Raw counts of consecutive cells over all genes of their file, canonical CSR.

    Attributes
    ----------
    indptr
        int64 `[n_rows + 1]`: row `i` owns the entries `indptr[i]:indptr[i + 1]`.
    indices
        int32 `[n_nonzeros]`: column among the file's genes, rising and unique within a row.
    counts
        float32 `[n_nonzeros]`: UMI counts, whole and > 0.
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    counts: npt.NDArray[np.float32]


def canonical_rows(raw: RawRows, n_genes: int, where: str) -> CsrBlock:
    """Return checked rows as canonical CSR: explicit zeros dropped, columns sorted, duplicates summed.

    Raises
    ------
    InputError
        If a value is not a raw count or an index is out of range.
    """
    check_indptr(raw.indptr, len(raw.indices), where)
    if len(raw.values) != len(raw.indices):
        raise _bad_structure(f"{len(raw.values)} values for {len(raw.indices)} indices", where)
    check_indices(raw.indices, n_genes, where)
    check_values(raw.values, where)
    indptr, indices, counts = raw.indptr, raw.indices.astype(np.int32), raw.values.astype(np.float32)
    if not counts.all():
        indptr, indices, counts = _without_zeros(indptr, indices, counts)
    if not _is_canonical(indptr, indices):
        indptr, indices, counts = _merged(indptr, indices, counts, n_genes)
        check_values(counts, where)
    return CsrBlock(indptr, indices, counts)


def select_columns(block: CsrBlock, place: npt.NDArray[np.int64]) -> CsrBlock:
    """Return the columns that have a place, `place` int64 `[n_genes]` rising and -1 = left out."""
    columns = place[block.indices]
    kept = columns >= 0
    before = np.concatenate([[0], np.cumsum(kept)])
    return CsrBlock(before[block.indptr], columns[kept].astype(np.int32), block.counts[kept])


def check_values(values: Values, where: str) -> None:
    """Refuse values that are not finite, whole, >= 0 and at most `MAX_COUNT`.

    Raises
    ------
    InputError
        Naming the first such value.
    """
    if values.dtype.kind not in "iuf":
        raise InputError(
            "counts must be numbers", got=f"values of type {values.dtype}", where=where, fix="Store raw UMI counts."
        )
    good = is_count(values)
    if not good.all():
        raise InputError(
            f"counts must be whole numbers from 0 to {MAX_COUNT:,}",
            got=f"{values[int(np.argmin(good))]:.6g}",
            where=where,
            fix="Store raw UMI counts, or name the layer that holds them (layer).",
        )


def is_count(values: Values) -> npt.NDArray[np.bool_]:
    """Return which values can be counts: bool, shape of `values`, whatever their number type."""
    if values.dtype.itemsize < 4 and values.dtype.kind == "f":
        values = values.astype(np.float32)  # float16 ends below MAX_COUNT
    possible = (values >= 0) & (values <= MAX_COUNT)  # false for NaN and both infinities
    return possible if values.dtype.kind in "iu" else possible & (values == np.floor(values))


def check_indices(indices: Values, n_names: int, where: str, *, of: str = "genes") -> None:
    """Refuse indices that are not whole numbers from 0 to `n_names - 1`.

    Raises
    ------
    InputError
        Naming the first that is not.
    """
    if indices.dtype.kind not in "iu":
        raise _bad_structure(f"indices of {of} of type {indices.dtype}", where)
    bad = (indices < 0) | (indices >= n_names)
    if bad.any():
        raise _bad_structure(f"index {indices[int(np.argmax(bad))]} for {n_names} {of}", where)


def check_indptr(indptr: npt.NDArray[np.int64], n_entries: int, where: str) -> None:
    """Refuse row pointers that do not rise from 0 to the number of entries.

    Raises
    ------
    InputError
        Saying what they do instead.
    """
    if len(indptr) == 0 or indptr[0] != 0 or indptr[-1] != n_entries:
        ends = f"from {indptr[0]} to {indptr[-1]}" if len(indptr) else "of no length"
        raise _bad_structure(f"row pointers {ends} for {n_entries} entries", where)
    falls = np.diff(indptr) < 0
    if falls.any():
        raise _bad_structure(f"row pointers that fall at row {int(np.argmax(falls))}", where)


def _bad_structure(got: str, where: str) -> InputError:
    return InputError("a sparse matrix must hold together", got=got, where=where, fix="Write the file again.")


def _row_of(indptr: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.repeat(np.arange(len(indptr) - 1, dtype=np.int64), np.diff(indptr))


def _pointers(rows: npt.NDArray[np.int64], n_rows: int) -> npt.NDArray[np.int64]:
    indptr = np.zeros(n_rows + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=indptr[1:])
    return indptr


def _is_canonical(indptr: npt.NDArray[np.int64], indices: npt.NDArray[np.int32]) -> bool:
    rises = np.diff(indices) > 0
    starts = indptr[1:-1]
    rises[starts[(starts > 0) & (starts < len(indices))] - 1] = True
    return bool(rises.all())


def _without_zeros(
    indptr: npt.NDArray[np.int64], indices: npt.NDArray[np.int32], counts: npt.NDArray[np.float32]
) -> CsrBlock:
    kept = counts != 0
    return CsrBlock(_pointers(_row_of(indptr)[kept], len(indptr) - 1), indices[kept], counts[kept])


def _merged(
    indptr: npt.NDArray[np.int64], indices: npt.NDArray[np.int32], counts: npt.NDArray[np.float32], n_genes: int
) -> CsrBlock:
    key = _row_of(indptr) * n_genes + indices
    unique, inverse = np.unique(key, return_inverse=True)
    summed = np.bincount(inverse, weights=counts, minlength=len(unique)).astype(np.float32)
    rows, columns = np.divmod(unique, n_genes)
    return CsrBlock(_pointers(rows, len(indptr) - 1), columns.astype(np.int32), summed)
