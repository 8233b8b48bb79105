"""Count matrices on disk, one reader per layout: rows come out unchecked, in the dtype of the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from datamodules.check import RawRows
from datamodules.csr import CsrMatrix
from datamodules.dense import DenseMatrix
from datamodules.elements import Element, attribute, is_group, length
from datamodules.pack import RawPart
from datamodules.reach import check_complete
from datamodules.space import Ints, LargeCounts, RowSpace
from datamodules.structure import broken_matrix, check_members, check_parts, read_shape
from datamodules.transposed import CscMatrix


class MatrixReader(Protocol):
    """Rows of a matrix `[n_rows, n_genes]`."""

    n_rows: int
    n_genes: int

    def read(self, start: int, stop: int) -> RawRows:
        """Return rows `start` to `stop - 1` as the file has them."""
        ...

    def sample(self) -> Iterator[RawRows]:
        """Yield a few stretches of the matrix, from its first to its last entries."""
        ...

    def max_entries(self, rows: Ints) -> int:
        """Return the most entries that rows can have, int64 ascending."""
        ...

    def will_need(self, rows: Ints) -> None:
        """Tell the operating system which rows are read next, where that helps."""
        ...

    def close(self) -> None:
        """Give back what the reader holds beside the file."""
        ...


class RawReader(MatrixReader, Protocol):
    """Rows that are checked and packed after reading.

    Attributes
    ----------
    is_by_rows
        Whether the file is stored by rows; else the first row read transposes all of it.
    is_packable
        Whether its number types are those of `datamodules.pack.pack`.
    chunk_rows
        About how many rows are decoded together; 1 where any are read alone.
    """

    is_by_rows: bool
    is_packable: bool
    chunk_rows: int

    def parts(self, rows: Ints) -> Iterator[RawPart]:
        """Yield rows, int64 ascending, in one or several parts, each valid until this thread asks for the next."""
        ...

    def pack(self, rows: Ints, n_genes: int, space: RowSpace, row: int, entry: int) -> LargeCounts | None:
        """Read rows, int64 ascending, into a space as `datamodules.pack.pack` does, all in one call.

        None where the layout does not allow it, and where `pack` would return None: the rows are then read in parts.
        """
        ...


@runtime_checkable
class PackedReader(MatrixReader, Protocol):
    """Rows that lie packed in the file."""

    def read_packed(self, rows: Ints, space: RowSpace, row: int, entry: int) -> LargeCounts:
        """Read rows into a space, every value checked; see `datamodules.store.CellStore.read_packed`."""
        ...


def open_matrix(element: Element, where: str) -> RawReader:
    """Return the reader for an AnnData matrix: CSR, CSC or dense.

    Raises
    ------
    InputError
        If it is none of these, or its parts contradict each other.
    """
    if not is_group(element):
        if element.shape is None or len(element.shape) != 2:
            raise broken_matrix(f"an array of shape {element.shape}", where)
        return DenseMatrix(element)
    check_members(element, ("indptr", "indices", "data"), where)
    layout = attribute(element, "encoding-type") or f"{attribute(element, 'h5sparse_format')}_matrix"
    if layout not in ("csr_matrix", "csc_matrix"):
        raise broken_matrix(f"the layout {layout[:40]!r}", where)
    shape = element.attrs.get("shape", element.attrs.get("h5sparse_shape", ()))
    n_rows, n_genes = read_shape(shape, where)
    parts = element["indptr"], element["indices"], element["data"]
    check_parts(*parts, where)
    csr = layout == "csr_matrix"
    n_pointers = length(element["indptr"]) - 1
    if n_pointers != (n_rows if csr else n_genes):  # before any is read: a number that lies may fill the memory
        raise broken_matrix(f"{n_pointers} row pointers for shape {(n_rows, n_genes)}", where)
    check_complete(element["data"], f"{where}/data")
    if length(element["indices"]) > max(n_rows, n_genes):  # else they may all be 0, which zarr need not store
        check_complete(element["indices"], f"{where}/indices")
    return CsrMatrix(*parts, n_genes, where) if csr else CscMatrix(*parts, n_rows, where)
