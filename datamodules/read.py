"""Windows of a plan to batches of cells: blocks are read by threads into reused memory, rows are shuffled and cut."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.ahead import ahead, on_device
from datamodules.buffers import Buffers, ReadMemory
from datamodules.narrow import Rows
from datamodules.order import Ints, Plan, Window
from datamodules.pack import gather, joined
from datamodules.sources import GeneTables, SourceFile
from datamodules.space import LargeCounts, RowSpace, index_dtype
from schema.batch import PADDING, CellBatch
from schema.labels import UNLABELLED

CPU = torch.device("cpu")

_PIECES_PER_THREAD = 2
"""Parts into which the rows of a window are dealt, per thread, ..."""
_PIECE_ROWS = 4096
"""... unless they would be smaller than this: handing over work costs about as much as reading a hundred rows."""


def read_batches(
    files: Sequence[SourceFile],
    rows: Sequence[Rows],
    plan: Plan,
    *,
    first_batch: int = 0,
    device: torch.device = CPU,
    n_threads: int = 0,
    memory: ReadMemory | None = None,
) -> Generator[CellBatch, None, None]:
    """Yield the batches of a plan in order, on a device, reading ahead in threads while one is used.

    Parameters
    ----------
    files
        The files of the run.
    rows
        For each file the rows it is used with, ascending: row of the file by position of the plan.
    plan
        What is read in which order.
    first_batch
        Batches of the plan that are left out.
    device
        Where the batches are wanted.
    n_threads
        Threads that read; 0 = one for each core that this process may use, 8 at most.
    memory
        Memory to use (pinned, for CUDA); None = new.

    Raises
    ------
    InputError
        If a file is damaged or holds what is no raw count.
    """
    memory = memory or ReadMemory(pinned=device.type == "cuda")
    with (
        WindowReader(files, rows, memory, n_threads=n_threads) as reader,
        closing(ahead(reader.read(plan.windows(first_batch)), 1)) as filled,
        closing(ahead(_chained(reader.batches(window) for window in filled), 2)) as batches,
    ):
        yield from on_device(batches, device)


def _chained(parts: Iterator[Iterator[CellBatch]]) -> Generator[CellBatch, None, None]:
    yield from chain.from_iterable(parts)


class FilledWindow(NamedTuple):
    """A window whose rows have been read: where they lie, which counts are large, and which row each is."""

    window: Window
    space: RowSpace
    large: LargeCounts
    cells: CellFacts


class CellFacts(NamedTuple):
    """What is known of each row of a window beside its counts, int64 `[n_rows]` each (see `CellBatch`)."""

    file: Ints
    cell_type: Ints
    sample: Ints
    row: Ints


class Piece(NamedTuple):
    """Rows of one file that one call reads, and where they go in the space."""

    file: int
    rows: Ints
    at_row: int
    at_entry: int


class Reading(NamedTuple):
    """A window that is being read: where its rows come to lie, and for each piece the large counts to come."""

    window: Window
    chosen: list[tuple[int, Ints]]
    space: RowSpace
    pieces: list[Future[LargeCounts]]


class WindowReader:
    """Reads windows and cuts batches from them; a context manager that owns threads and memory.

    Parameters
    ----------
    files, rows, memory, n_threads
        See `read_batches`.
    """

    def __init__(
        self, files: Sequence[SourceFile], rows: Sequence[Rows], memory: ReadMemory, *, n_threads: int = 0
    ) -> None:
        self._files, self._rows, self._tables = files, rows, GeneTables.of(files)
        self._n_threads = n_threads or min(8, len(os.sched_getaffinity(0)))
        self._index_dtype = index_dtype(max(len(file.match.column) for file in files))
        self._exact = all(file.store.is_exact and file.merge is None for file in files)
        self._memory = memory

    def __enter__(self) -> WindowReader:
        self._pool = ThreadPoolExecutor(self._n_threads)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def read(self, windows: Iterator[Window]) -> Generator[FilledWindow, None, None]:
        """Yield windows whose rows have been read; as many are begun as keep all threads at work."""
        begun: deque[Reading] = deque()
        for window in windows:
            begun.append(self._begin(window))
            while sum(len(reading.pieces) for reading in begun) > self._n_threads:
                yield self._finish(begun.popleft())
        while begun:
            yield self._finish(begun.popleft())

    def _begin(self, window: Window) -> Reading:
        chosen = self._chosen(window)
        most_rows = max(_PIECE_ROWS, -(-window.n_rows // (self._n_threads * _PIECES_PER_THREAD)))
        pieces, n_entries = self._pieces(chosen, most_rows)
        direct = window.batches is None and self._exact
        space = self._space(n_entries, window.n_rows, self._memory.of_batches if direct else self._memory.of_windows)
        for piece in pieces:
            self._files[piece.file].store.will_need(piece.rows)
        return Reading(window, chosen, space, [self._pool.submit(self._read, piece, space) for piece in pieces])

    def _finish(self, reading: Reading) -> FilledWindow:
        large = joined([piece.result() for piece in reading.pieces])
        return FilledWindow(reading.window, reading.space, large, self._facts(reading.chosen))

    def batches(self, filled: FilledWindow) -> Iterator[CellBatch]:
        """Yield the batches of a window that has been read."""
        window, cells = filled.window, filled.cells
        orders = (np.arange(window.n_rows),) if window.batches is None else window.batches
        for number, order in enumerate(orders):
            counts = self._as_they_lie(filled) if window.batches is None and self._exact else self._cut(filled, order)
            facts = cells if window.batches is None else CellFacts(*(column[order] for column in cells))
            batch = CellBatch(
                **counts,
                library_size=torch.from_numpy(filled.space.library_size[order]),
                columns=self._tables.columns,
                present=self._tables.present,
                **{name: torch.from_numpy(column) for name, column in facts._asdict().items()},
            )
            yield padded(batch, window.n_padding) if number == len(orders) - 1 else batch

    def _chosen(self, window: Window) -> list[tuple[int, Ints]]:
        """Return the rows of a window by file, int64 ascending."""
        found = []
        for file in np.unique(window.blocks[:, 0]).tolist():
            here = window.blocks[window.blocks[:, 0] == file]
            found.append((file, np.concatenate([self._rows[file][start:stop] for _, start, stop in here.tolist()])))
        return found

    def _pieces(self, chosen: Sequence[tuple[int, Ints]], most_rows: int) -> tuple[list[Piece], int]:
        """Return what is read where in the space, and the entries that the space must hold."""
        pieces, at_row, at_entry = [], 0, 0
        for file, rows in chosen:
            for first in range(0, len(rows), most_rows):
                part = rows[first : first + most_rows]
                pieces.append(Piece(file, part, at_row, at_entry))
                at_row += len(part)
                at_entry += self._files[file].store.max_entries(part)
        return pieces, at_entry

    def _space(self, n_entries: int, n_rows: int, memory: Buffers) -> RowSpace:
        return RowSpace(memory.take(n_entries, self._index_dtype), memory.take(n_entries, np.uint8), n_rows)

    def _read(self, piece: Piece, space: RowSpace) -> LargeCounts:
        file = self._files[piece.file]
        return file.store.read_packed(piece.rows, space, piece.at_row, piece.at_entry, file.merge)

    def _facts(self, chosen: Sequence[tuple[int, Ints]]) -> CellFacts:
        n_rows = [len(rows) for _, rows in chosen]
        file = np.repeat(np.array([file for file, _ in chosen], dtype=np.int64), n_rows)
        row = _joined([rows for _, rows in chosen])
        cell_type = [self._files[number].cell_type[rows] for number, rows in chosen]
        sample = [self._files[number].sample[rows] for number, rows in chosen]
        return CellFacts(file, _joined(cell_type), _joined(sample), row)

    def _as_they_lie(self, filled: FilledWindow) -> dict[str, Tensor]:
        """Return the entries of a window as those of its one batch, where they lie end to end in the space."""
        space, large = filled.space, filled.large
        indptr = np.concatenate([[0], np.cumsum(space.length)])
        return _entries(space.indices, space.counts, indptr, indptr[large.row] + large.offset, large.value)

    def _cut(self, filled: FilledWindow, order: Ints) -> dict[str, Tensor]:
        """Return the entries of some rows of a window."""
        space = filled.space
        n_entries = int(space.length[order].sum())
        indices = self._memory.of_batches.take(n_entries, self._index_dtype)
        counts = self._memory.of_batches.take(n_entries, np.uint8)
        indptr, large_at, large_count = gather(space, filled.large, order, indices, counts)
        return _entries(indices, counts, indptr, large_at, large_count)


def padded(batch: CellBatch, n_padding: int) -> CellBatch:
    """Return a batch with cells added that are none: no counts, no label, row `PADDING`."""
    if not n_padding:
        return batch

    def longer(tensor: Tensor, value: float) -> Tensor:
        return torch.cat([tensor, torch.full((n_padding,), value, dtype=tensor.dtype)])

    return batch._replace(
        indptr=longer(batch.indptr, int(batch.indptr[-1])),
        library_size=longer(batch.library_size, 0),
        file=longer(batch.file, 0),
        cell_type=longer(batch.cell_type, UNLABELLED),
        sample=longer(batch.sample, 0),
        row=longer(batch.row, PADDING),
    )


def _joined(parts: Sequence[npt.NDArray[np.integer[Any]]]) -> Ints:
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _entries(
    indices: np.ndarray, counts: np.ndarray, indptr: Ints, large_at: Ints, large_count: np.ndarray
) -> dict[str, Tensor]:
    """Return the fields of a batch that hold its entries; the tensors share the arrays."""
    return {
        "indptr": torch.from_numpy(indptr),
        "indices": torch.from_numpy(indices),
        "counts": torch.from_numpy(counts),
        "large_at": torch.from_numpy(large_at),
        "large_count": torch.from_numpy(large_count),
    }
