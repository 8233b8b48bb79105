"""Blocks of rows to batches of cells: genes of the file are moved to the vocabulary, rows are shuffled and cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse

from datamodules.order import Ints, RowBlock, Window
from datamodules.store import CellStore
from schema.batch import CellBatch
from schema.genes import GeneMatch
from schema.labels import UNLABELLED


@dataclass(frozen=True)
class SourceFile:
    """A file as the reader sees it.

    Attributes
    ----------
    store
        The opened file.
    match
        Where its genes stand in the vocabulary.
    cell_type
        int64 `[n_cells]`, node of the ontology or UNLABELLED.
    sample
        int64 `[n_cells]`, index in the sample table.
    """

    store: CellStore
    match: GeneMatch
    cell_type: Ints
    sample: Ints

    @classmethod
    def unlabelled(cls, store: CellStore, match: GeneMatch, sample: Ints) -> SourceFile:
        """Return a file of which no cell type is known."""
        return cls(store, match, np.full(store.n_cells, UNLABELLED, dtype=np.int64), sample)


def to_vocabulary(counts: sparse.csr_matrix, match: GeneMatch) -> tuple[sparse.csr_matrix, npt.NDArray[np.float32]]:
    """Move counts from the genes of a file to the vocabulary; duplicates of a gene are summed.

    Parameters
    ----------
    counts
        CSR `[n_cells, n_file_genes]`, raw counts.
    match
        Position of each file gene in the vocabulary.

    Returns
    -------
    tuple
        CSR float32 `[n_cells, n_genes]` and library size float32 `[n_cells]`, the latter over all genes of the file.
    """
    library_size = np.asarray(counts.sum(axis=1), dtype=np.float32).ravel()
    column = match.column[counts.indices]
    known = column >= 0
    indptr = np.concatenate(([0], np.cumsum(known, dtype=np.int64)))[counts.indptr]
    shape = (counts.shape[0], len(match.present))
    moved = sparse.csr_matrix((counts.data[known], column[known].astype(np.int32), indptr), shape=shape)
    moved.sum_duplicates()
    return moved, library_size


def read_block(file: SourceFile, start: int, stop: int) -> tuple[sparse.csr_matrix, npt.NDArray[np.float32]]:
    """Read consecutive rows of a file in vocabulary order (see `to_vocabulary`)."""
    block = file.store.read(start, stop)
    shape = (stop - start, len(file.match.column))
    return to_vocabulary(sparse.csr_matrix((block.counts, block.indices, block.indptr), shape=shape), file.match)


def read_window(files: Sequence[SourceFile], window: Window) -> list[CellBatch]:
    """Read the blocks of a window and cut its batches."""
    parts = [read_block(files[b.file], b.start, b.stop) for b in window.blocks]
    counts = sparse.vstack([part[0] for part in parts], format="csr")
    whole = _batch(counts, np.concatenate([part[1] for part in parts]), files, window.blocks)
    if len(window.batches) == 1 and np.array_equal(window.batches[0], np.arange(whole.n_cells)):
        return [whole]
    return [_take(whole, counts, rows) for rows in window.batches]


def read_ahead(files: Sequence[SourceFile], windows: Sequence[Window]) -> Iterator[CellBatch]:
    """Yield the batches of a plan in order, reading the next window in a thread while this one is used."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        upcoming = pool.submit(read_window, files, windows[0]) if windows else None
        for following in [*windows[1:], None]:
            if upcoming is None:
                return
            batches = upcoming.result()
            upcoming = pool.submit(read_window, files, following) if following is not None else None
            yield from batches


def _batch(
    counts: sparse.csr_matrix,
    library_size: npt.NDArray[np.float32],
    files: Sequence[SourceFile],
    blocks: Sequence[RowBlock],
) -> CellBatch:
    """Lay the rows of several blocks end to end as one batch."""

    def joined(column: Callable[[RowBlock], Ints]) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([column(block) for block in blocks]))

    return CellBatch(
        **_csr_tensors(counts),
        library_size=torch.from_numpy(library_size),
        present=torch.from_numpy(np.stack([file.match.present for file in files])),
        file=joined(lambda b: np.full(b.stop - b.start, b.file, dtype=np.int64)),
        cell_type=joined(lambda b: files[b.file].cell_type[b.start : b.stop]),
        sample=joined(lambda b: files[b.file].sample[b.start : b.stop]),
        row=joined(lambda b: np.arange(b.start, b.stop, dtype=np.int64)),
    )


def _take(whole: CellBatch, counts: sparse.csr_matrix, rows: Ints) -> CellBatch:
    """Return some rows of a batch, in the order given."""
    at = torch.from_numpy(rows)
    per_cell = {name: getattr(whole, name)[at] for name in ("library_size", "file", "cell_type", "sample", "row")}
    return CellBatch(**_csr_tensors(counts[rows]), present=whole.present, **per_cell)


def _csr_tensors(counts: sparse.csr_matrix) -> dict[str, torch.Tensor]:
    return {
        "indptr": torch.from_numpy(counts.indptr.astype(np.int64)),
        "indices": torch.from_numpy(counts.indices.astype(np.int32)),
        "counts": torch.from_numpy(counts.data.astype(np.float32)),
    }
