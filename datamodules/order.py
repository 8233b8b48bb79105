"""The order in which rows are read: a pure function of seed, epoch, rank, world and sizes; it reads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class RowBlock(NamedTuple):
    """Consecutive rows of one file: `start` included, `stop` not."""

    file: int
    start: int
    stop: int


class Window(NamedTuple):
    """Blocks that are read together, and the batches cut from their shuffled rows.

    Attributes
    ----------
    blocks
        Blocks in reading order; their rows, laid end to end, are numbered from 0.
    batches
        For each batch int64 `[n_cells]`: positions among those rows.
    """

    blocks: tuple[RowBlock, ...]
    batches: tuple[Ints, ...]


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which part of the data this process reads: rank of world, in which epoch, from which seed."""

    seed: int
    epoch: int = 0
    rank: int = 0
    world: int = 1


def cut_into_blocks(rows_by_file: Sequence[Ints], block_rows: int) -> list[RowBlock]:
    """Cut the chosen rows of each file into blocks of consecutive rows.

    Parameters
    ----------
    rows_by_file
        For each file the rows to use, int64, ascending.
    block_rows
        Most rows of a block.
    """
    blocks = []
    for file, rows in enumerate(rows_by_file):
        if len(rows) == 0:
            continue
        breaks = np.flatnonzero(np.diff(rows) != 1) + 1
        for run in np.split(rows, breaks):
            first, end = int(run[0]), int(run[-1]) + 1
            blocks += [RowBlock(file, at, min(at + block_rows, end)) for at in range(first, end, block_rows)]
    return blocks


def shuffled_windows(blocks: Sequence[RowBlock], *, batch_size: int, window_rows: int, share: Share) -> list[Window]:
    """Return this rank's part of one epoch in random order.

    Blocks are permuted alike on all ranks and dealt one by one, so that ranks see all files even when files are sorted
    by label. Rows are permuted inside a window of blocks. Every row comes once per epoch over all ranks, and all ranks
    get the same number of batches, which differ in size by a few rows at most.

    Parameters
    ----------
    blocks
        All blocks of the training rows (see `cut_into_blocks`).
    batch_size
        Largest number of cells of a batch.
    window_rows
        Rows held in memory and shuffled together.
    share
        Seed, epoch, rank and world.
    """
    rng = np.random.default_rng([share.seed, share.epoch])
    dealt = [blocks[i] for i in rng.permutation(len(blocks))]
    sizes = np.array([b.stop - b.start for b in dealt], dtype=np.int64)
    rank_of_block = np.arange(len(dealt)) % share.world
    rows_of_rank = np.array([sizes[rank_of_block == r].sum() for r in range(share.world)])
    n_windows = max(1, -(-int(rows_of_rank.max()) // window_rows))
    mine = [block for block, rank in zip(dealt, rank_of_block, strict=True) if rank == share.rank]
    n_batches = -(-int(_largest_window(sizes, rank_of_block, n_windows, share.world)) // batch_size)
    rng_rank = np.random.default_rng([share.seed, share.epoch, share.rank, 1])
    windows = []
    for part in _parts(len(mine), n_windows):
        chosen = tuple(mine[part])
        order = rng_rank.permutation(sum(b.stop - b.start for b in chosen))
        windows.append(Window(chosen, tuple(np.array_split(order, n_batches))))
    return windows


def sequential_windows(blocks: Sequence[RowBlock], *, batch_size: int) -> list[Window]:
    """Return every row once, in the order of the blocks: one block, one window."""
    windows = []
    for block in blocks:
        positions = np.arange(block.stop - block.start)
        windows.append(
            Window((block,), tuple(positions[i : i + batch_size] for i in range(0, len(positions), batch_size)))
        )
    return windows


def bag_windows(
    rows_by_sample: Sequence[tuple[int, Ints]], *, n_batches: int, n_samples: int, n_cells: int, share: Share
) -> list[Window]:
    """Return batches of bags for the stage head: each `n_samples` samples with up to `n_cells` cells of each.

    Samples come in random order, all of them before any comes again, continued over batches, ranks and epochs.

    Parameters
    ----------
    rows_by_sample
        For each sample its file and its rows, int64, ascending.
    n_batches
        Batches of this rank in this epoch.
    n_samples, n_cells
        Samples per batch, cells per sample at most.
    share
        Seed, epoch, rank and world.
    """
    windows = []
    for batch in range(n_batches):
        serial = (share.epoch * n_batches + batch) * share.world + share.rank
        samples = _cycle(len(rows_by_sample), serial * n_samples, n_samples, share.seed)
        rng = np.random.default_rng([share.seed, serial, 2])
        blocks: list[RowBlock] = []
        for sample in samples:
            file, rows = rows_by_sample[sample]
            chosen = np.sort(rng.choice(rows, size=min(n_cells, len(rows)), replace=False))
            blocks += cut_into_blocks([chosen if i == file else chosen[:0] for i in range(file + 1)], n_cells)
        n_rows = sum(b.stop - b.start for b in blocks)
        windows.append(Window(tuple(blocks), (np.arange(n_rows),)))
    return windows


def n_batches(windows: Sequence[Window]) -> int:
    """Return the number of batches of a plan."""
    return sum(len(window.batches) for window in windows)


def _cycle(n: int, start: int, count: int, seed: int) -> list[int]:
    """Return positions start..start+count of an endless sequence of permutations of range(n), no sample twice."""
    count = min(count, n)
    result: list[int] = []
    position = start
    while len(result) < count:
        order = np.random.default_rng([seed, position // n, 3]).permutation(n)
        candidate = int(order[position % n])
        if candidate not in result:
            result.append(candidate)
        position += 1
    return result


def _parts(n: int, n_parts: int) -> list[slice]:
    edges = np.linspace(0, n, n_parts + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def _largest_window(sizes: Ints, rank_of_block: Ints, n_windows: int, world: int) -> int:
    """Return the rows of the largest window of any rank, so that all ranks cut the same number of batches."""
    largest = 0
    for rank in range(world):
        mine = sizes[rank_of_block == rank]
        largest = max([largest, *(int(mine[part].sum()) for part in _parts(len(mine), n_windows))])
    return largest
