import numpy as np
import pytest

from datamodules.order import (
    RowBlock,
    Share,
    bag_windows,
    cut_into_blocks,
    n_batches,
    sequential_windows,
    shuffled_windows,
)


def rows_of(window, batch):
    laid = [(b.file, row) for b in window.blocks for row in range(b.start, b.stop)]
    return [laid[i] for i in batch]


def all_rows(windows):
    return [row for window in windows for batch in window.batches for row in rows_of(window, batch)]


def all_batches(windows):
    return [rows_of(window, batch) for window in windows for batch in window.batches]


def blocks_of(sizes, block_rows=8):
    return cut_into_blocks([np.arange(n) for n in sizes], block_rows)


def test_blocks_break_where_rows_are_left_out():
    blocks = cut_into_blocks([np.array([0, 1, 2, 3, 7, 8]), np.array([], dtype=np.int64), np.array([5])], 3)
    assert blocks == [RowBlock(0, 0, 3), RowBlock(0, 3, 4), RowBlock(0, 7, 9), RowBlock(2, 5, 6)]


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_row_comes_once_per_epoch_over_all_ranks(world):
    blocks = blocks_of([101, 37, 260])
    seen, counts = [], []
    for rank in range(world):
        share = Share(seed=1, epoch=2, rank=rank, world=world)
        windows = shuffled_windows(blocks, batch_size=16, window_rows=64, share=share)
        seen += all_rows(windows)
        counts.append(n_batches(windows))
    assert sorted(seen) == [(f, r) for f, n in enumerate([101, 37, 260]) for r in range(n)]
    assert len(set(counts)) == 1


def test_ranks_get_equal_parts_of_every_file():
    blocks = blocks_of([160, 160, 160])
    for rank in range(2):
        rows = all_rows(
            shuffled_windows(blocks, batch_size=16, window_rows=64, share=Share(seed=1, rank=rank, world=2))
        )
        assert len(rows) == 240
        assert min(np.bincount([file for file, _ in rows], minlength=3)) > 40


def test_batches_are_at_most_the_batch_size_and_nearly_equal():
    windows = shuffled_windows(blocks_of([1000]), batch_size=32, window_rows=256, share=Share(seed=0))
    sizes = [len(batch) for window in windows for batch in window.batches]
    assert max(sizes) <= 32
    assert max(sizes) - min(sizes) <= 8


def test_the_order_is_a_function_of_seed_and_epoch():
    blocks = blocks_of([300])

    def order(seed, epoch):
        return all_rows(shuffled_windows(blocks, batch_size=16, window_rows=64, share=Share(seed=seed, epoch=epoch)))

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_blocks_themselves_are_read_in_a_new_order_each_epoch():
    def blocks(epoch):
        share = Share(seed=0, epoch=epoch)
        windows = shuffled_windows(blocks_of([300]), batch_size=16, window_rows=64, share=share)
        return [block for window in windows for block in window.blocks]

    assert blocks(0) != blocks(1)
    assert sorted(blocks(0)) == sorted(blocks(1))


def test_batches_of_a_label_sorted_file_are_mixed():
    labels = np.repeat(np.arange(10), 400)
    windows = shuffled_windows(blocks_of([4000], 16), batch_size=400, window_rows=2000, share=Share(seed=0))
    for batch in all_batches(windows):
        histogram = np.bincount(labels[[row for _, row in batch]], minlength=10) / len(batch)
        assert np.abs(histogram - 0.1).sum() / 2 < 0.2


def test_sequential_windows_keep_the_row_order():
    windows = sequential_windows([RowBlock(0, 3, 8), RowBlock(0, 8, 10)], batch_size=2)
    assert all_batches(windows) == [[(0, 3), (0, 4)], [(0, 5), (0, 6)], [(0, 7)], [(0, 8), (0, 9)]]


def bags(share, count=4, n_samples=2, n_cells=3):
    rows = [(0, np.arange(0, 10)), (0, np.arange(10, 12)), (1, np.arange(0, 30, 3))]
    return bag_windows(rows, n_batches=count, n_samples=n_samples, n_cells=n_cells, share=share), rows


def test_a_bag_holds_distinct_cells_of_distinct_samples():
    windows, rows = bags(Share(seed=0))
    of_row = {(file, int(r)): s for s, (file, members) in enumerate(rows) for r in members}
    for batch in all_batches(windows):
        assert len(set(batch)) == len(batch)
        samples = [of_row[row] for row in batch]
        assert len(set(samples)) == 2
        assert all(samples.count(s) == min(3, len(rows[s][1])) for s in set(samples))


def test_all_samples_come_before_any_comes_again_over_ranks():
    _, rows = bags(Share(seed=0))
    of_row = {(file, int(r)): s for s, (file, members) in enumerate(rows) for r in members}
    seen = []
    for step in range(3):
        for rank in range(2):
            windows, _ = bags(Share(seed=0, rank=rank, world=2), count=3, n_samples=1)
            seen.append(of_row[all_batches(windows)[step][0]])
    assert sorted(seen[:3]) == [0, 1, 2]
    assert sorted(seen[3:]) == [0, 1, 2]


def test_fewer_samples_than_asked_for_are_all_taken():
    windows, _ = bags(Share(seed=0), count=1, n_samples=8)
    assert {row[0] for row in all_rows(windows)} == {0, 1}
    assert len(all_rows(windows)) == 3 + 2 + 3
