"""Chosen rows of a matrix into a space: straight where they are canonical, put in order or read carefully where not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from datamodules.canonical import canonical_part
from datamodules.check import CsrBlock, check_values
from datamodules.compiled import compiled
from datamodules.matrix import PackedReader, RawReader
from datamodules.pack import RawPart, joined, pack
from datamodules.space import Ints, LargeCounts, RowSpace


class RowPacker:
    """Reads rows of a matrix into spaces; may be called by several threads at once.

    Parameters
    ----------
    matrix
        What is read.
    place
        int64 `[n_columns]`: each column's place among the genes; -1 = not a gene.
    read
        Returns consecutive rows checked and canonical, over the genes; it is asked where the fast way ends.
    where
        Names rows in messages.

    Attributes
    ----------
    is_exact
        See `datamodules.store.CellStore`.
    """

    def __init__(
        self,
        matrix: RawReader | PackedReader,
        place: Ints,
        read: Callable[[int, int], CsrBlock],
        where: Callable[[int, int], str],
    ) -> None:
        self._packed = matrix if isinstance(matrix, PackedReader) else None
        self._raw = None if isinstance(matrix, PackedReader) or not matrix.is_packable else matrix
        self._place, self._read, self._where = place, read, where
        self._n_genes = int(place.max(initial=-1)) + 1
        self._all_genes = self._n_genes == len(place)
        self.is_exact = self._all_genes and self._packed is not None
        self._merged: tuple[Ints | None, Ints] = (None, place)

    def __call__(self, rows: Ints, space: RowSpace, row: int, entry: int, merge: Ints | None) -> LargeCounts:
        """Read rows, int64 ascending, into a space; see `datamodules.store.CellStore.read_packed`."""
        as_is = merge is None and self._all_genes
        if self._packed is not None and as_is:
            return self._packed.read_packed(rows, space, row, entry)
        if self._raw is not None:
            if as_is and (large := self._raw.pack(rows, self._n_genes, space, row, entry)) is not None:
                return large
            gene = None if as_is else self._gene(merge)
            if (large := self._pack_all(self._raw.parts(rows), gene, space, row, entry)) is not None:
                return large
        return self._pack_carefully(rows, space, row, entry, merge)

    def _pack_all(
        self, parts: Iterator[RawPart], gene: Ints | None, space: RowSpace, row: int, entry: int
    ) -> LargeCounts | None:
        """Pack parts one after the other; None if one of them holds what no proper matrix does."""
        found = []
        for part in parts:
            large = pack(part, self._n_genes, space, row, entry) if gene is None else None
            if large is None:
                ordered = canonical_part(part, self._place if gene is None else gene)
                if ordered is None or (large := pack(ordered, self._n_genes, space, row, entry)) is None:
                    return None
                part = ordered
            found.append(large)
            row, entry = row + len(part.begin), entry + int((part.end - part.begin).sum())
        return joined(found)

    def _pack_carefully(self, rows: Ints, space: RowSpace, row: int, entry: int, merge: Ints | None) -> LargeCounts:
        """Pack rows read by the careful route, which names what is wrong with them."""
        found = []
        for start, stop in runs_of(rows).tolist():
            block = self._read(start, stop)
            part = RawPart(block.indptr[:-1], block.indptr[1:], block.indices, block.counts)
            if merge is not None:
                part = canonical_part(part, merge) or part
            check_values(part.values, self._where(start, stop))  # sums may be too large
            large = pack(part, self._n_genes, space, row, entry)
            if large is None:
                raise AssertionError("checked rows must be canonical")
            found.append(large)
            row, entry = row + len(part.begin), entry + len(part.values)
        return joined(found)

    def _gene(self, merge: Ints | None) -> Ints:
        """Return the gene as which each column is counted, int64 `[n_columns]`; -1 = none."""
        if merge is None:
            return self._place
        known, gene = self._merged
        if known is not merge:
            gene = np.where(self._place >= 0, merge[self._place], -1)
            self._merged = merge, gene
        return gene


@compiled
def runs_of(rows: Ints) -> Ints:
    """Return first row and row after the last of the runs of neighbours among ascending rows, int64 `[n_runs, 2]`."""
    n_runs = min(rows.size, 1)
    for i in range(1, rows.size):
        n_runs += rows[i] != rows[i - 1] + 1
    runs = np.empty((n_runs, 2), np.int64)
    run = -1
    for i in range(rows.size):
        if i == 0 or rows[i] != rows[i - 1] + 1:
            run += 1
            runs[run, 0] = rows[i]
        runs[run, 1] = rows[i] + 1
    return runs
