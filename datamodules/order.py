"""The order in which rows are read: a pure function of seed, epoch, rank, world and sizes; it reads nothing.

The rows that a run uses of a file are numbered from 0 in file order: their *positions*. Plans speak of positions only,
so any batch of any epoch can be named without a file at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_ROWS = 1
"""Names of the streams of random numbers beside that of the blocks."""


class Window(NamedTuple):
    """Blocks that are read together, and the batches cut from their rows.

    Attributes
    ----------
    blocks
        int64 `[n_blocks, 3]`: file, first position, position after the last, in file order. Their rows, laid end to
        end, are numbered from 0.
    batches
        For each batch int64 `[n_cells]`: numbers of those rows. None where the rows in their order are one batch.
    n_padding
        Cells that are none, added to the last batch.
    """

    blocks: Ints
    batches: tuple[Ints, ...] | None
    n_padding: int = 0

    @property
    def n_rows(self) -> int:
        """Rows that are read."""
        return int((self.blocks[:, 2] - self.blocks[:, 1]).sum())

    @property
    def n_batches(self) -> int:
        """Batches that are cut."""
        return 1 if self.batches is None else len(self.batches)


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which part of the data this process reads: rank of world, in which epoch, from which seed."""

    seed: int
    epoch: int = 0
    rank: int = 0
    world: int = 1


@dataclass(frozen=True, kw_only=True)
class ReadSizes:
    """How much is read at once.

    Attributes
    ----------
    batch_size
        Most cells of a batch.
    block_rows
        Neighbouring rows that are always read together.
    window_rows
        Rows held in memory and shuffled together; where that is no more than a batch, it is a few blocks as they are.
    """

    batch_size: int
    block_rows: int
    window_rows: int


class ShuffledPlan:
    """One rank's part of one epoch in random order.

    Blocks are permuted alike on all ranks and dealt one by one, so that ranks see all files even when files are sorted
    by label. Rows are permuted inside a window of blocks. Every row comes once per epoch over all ranks, and all ranks
    get the same number of batches, which differ in size by a few rows at most.

    Parameters
    ----------
    sizes
        Rows used of each file.
    reads
        How much is read at once.
    share
        Seed, epoch, rank and world.
    weights
        For each file float `[n_rows]`, how often each row should come relative to others; a window's rows are then
        drawn by weight, with replacement, from the rows that are read. None = each row once.

    Attributes
    ----------
    n_batches
        Batches of this rank, of every other, and of every epoch.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        reads: ReadSizes,
        share: Share,
        weights: Sequence[npt.NDArray[np.float32]] | None = None,
    ) -> None:
        self._blocks, self._share, self._weights = _Blocks(sizes, reads.block_rows), share, weights
        dealt = np.random.default_rng([share.seed, share.epoch]).permutation(self._blocks.n)
        self._mine = dealt[share.rank :: share.world]
        most_blocks = -(-len(dealt) // share.world)
        self._n_windows = -(-most_blocks // max(1, reads.window_rows // reads.block_rows))
        most_rows = -(-most_blocks // max(1, self._n_windows)) * reads.block_rows
        self._per_window = -(-most_rows // reads.batch_size)
        self.n_batches = self._n_windows * self._per_window

    def windows(self, first_batch: int = 0) -> Iterator[Window]:
        """Yield the windows from the one that holds batch `first_batch`, without the batches before it."""
        if not self.n_batches:
            return
        window, skipped = divmod(first_batch, self._per_window)
        for index in range(window, self._n_windows):
            found = self._window(index)
            if found.batches is not None:
                found = found._replace(batches=found.batches[skipped:])
            skipped = 0
            yield found

    def _window(self, index: int) -> Window:
        first, end = (edge * len(self._mine) // self._n_windows for edge in (index, index + 1))
        blocks = self._blocks.at(np.sort(self._mine[first:end]))
        if self._per_window == 1 and self._weights is None:
            return Window(blocks, None)
        share = self._share
        rng = np.random.default_rng([share.seed, share.epoch, share.rank, index, _ROWS])
        n_rows = int((blocks[:, 2] - blocks[:, 1]).sum())
        order = rng.permutation(n_rows) if self._weights is None else self._drawn(blocks, n_rows, rng)
        return Window(blocks, tuple(np.array_split(order, self._per_window)))

    def _drawn(self, blocks: Ints, n_rows: int, rng: np.random.Generator) -> Ints:
        assert self._weights is not None  # noqa: S101 - the caller asked
        weight = np.concatenate([self._weights[file][start:stop] for file, start, stop in blocks]).astype(np.float64)
        return rng.choice(n_rows, size=n_rows, p=weight / weight.sum()).astype(np.int64)


class SequentialPlan:
    """Every row once, file by file, in file order; one window, one batch.

    Ranks take the batches in turn; where they do not divide evenly, the last ones get a batch with a single cell that
    is none, so that all ranks have equally many.

    Parameters
    ----------
    sizes
        Rows used of each file.
    batch_size
        Most cells of a batch; a batch has rows of one file only.
    rank, world
        Which process of how many.
    """

    def __init__(self, sizes: Sequence[int], batch_size: int, *, rank: int = 0, world: int = 1) -> None:
        self._blocks, self._rank, self._world = _Blocks(sizes, batch_size), rank, world
        self.n_batches = -(-self._blocks.n // world)

    def windows(self, first_batch: int = 0) -> Iterator[Window]:
        """Yield the windows from batch `first_batch` on."""
        for batch in range(first_batch, self.n_batches):
            block = batch * self._world + self._rank
            padding = block >= self._blocks.n
            yield Window(self._blocks.at(np.arange(block, block if padding else block + 1)), None, int(padding))


Plan = ShuffledPlan | SequentialPlan
"""What a stream of batches follows."""


class _Blocks:
    """The blocks of all files, numbered through: `block_rows` neighbouring positions each, fewer at a file's end."""

    def __init__(self, sizes: Sequence[int], block_rows: int) -> None:
        self._sizes, self._block_rows = np.asarray(sizes, dtype=np.int64), block_rows
        self._first = np.concatenate([[0], np.cumsum(-(-self._sizes // block_rows))])
        self.n = int(self._first[-1])

    def at(self, numbers: Ints) -> Ints:
        """Return file, start and stop of blocks, int64 `[n_blocks, 3]`."""
        file = np.searchsorted(self._first, numbers, side="right") - 1
        start = (numbers - self._first[file]) * self._block_rows
        return np.stack([file, start, np.minimum(start + self._block_rows, self._sizes[file])], axis=1)
