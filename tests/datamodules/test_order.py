import numpy as np
import pytest

from datamodules.order import ReadSizes, SequentialPlan, Share, ShuffledPlan


def laid_out(window):
    return [(int(file), row) for file, start, stop in window.blocks for row in range(start, stop)]


def batches_of(plan, first_batch=0):
    found = []
    for window in plan.windows(first_batch):
        laid = laid_out(window)
        orders = [np.arange(len(laid))] if window.batches is None else window.batches
        found += [[laid[i] for i in order] for order in orders]
    return found


def plan_of(sizes, share, batch_size=16, block_rows=8, window_rows=64, **options):
    reads = ReadSizes(batch_size=batch_size, block_rows=block_rows, window_rows=window_rows)
    return ShuffledPlan(sizes, reads, share, **options)


SIZES = [101, 0, 37, 260]


@pytest.mark.parametrize("window_rows", [64, 16])
@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_every_row_comes_once_per_epoch_over_all_ranks(world, window_rows):
    seen, counts = [], []
    for rank in range(world):
        plan = plan_of(SIZES, Share(seed=1, epoch=2, rank=rank, world=world), window_rows=window_rows)
        batches = batches_of(plan)
        assert len(batches) == plan.n_batches
        seen += [row for batch in batches for row in batch]
        counts.append(plan.n_batches)
    assert sorted(seen) == [(file, row) for file, n in enumerate(SIZES) for row in range(n)]
    assert len(set(counts)) == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_get_equal_parts_of_every_file(rank):
    plan = plan_of([160, 160, 160], Share(seed=1, rank=rank, world=2))
    rows = [row for batch in batches_of(plan) for row in batch]
    assert len(rows) == 240
    assert min(np.bincount([file for file, _ in rows], minlength=3)) > 40


def test_batches_are_at_most_the_batch_size_and_nearly_equal():
    sizes = [len(batch) for batch in batches_of(plan_of([1000], Share(seed=0), batch_size=32, window_rows=256))]
    assert max(sizes) <= 32
    assert max(sizes) - min(sizes) <= 8


def test_the_number_of_batches_is_that_of_every_epoch():
    assert len({plan_of([1003, 77], Share(seed=0, epoch=epoch)).n_batches for epoch in range(20)}) == 1


def test_the_order_is_a_function_of_seed_and_epoch():
    def order(seed, epoch):
        return batches_of(plan_of([300], Share(seed=seed, epoch=epoch)))

    assert order(0, 3) == order(0, 3)
    assert order(0, 3) != order(0, 4)
    assert order(0, 3) != order(1, 3)


def test_blocks_themselves_are_read_in_a_new_order_each_epoch():
    def blocks(epoch):
        return np.concatenate([window.blocks for window in plan_of([300], Share(seed=0, epoch=epoch)).windows()])

    assert (blocks(0) != blocks(1)).any()
    assert sorted(blocks(0).tolist()) == sorted(blocks(1).tolist())


@pytest.mark.parametrize("window_rows", [64, 16])
@pytest.mark.parametrize("first_batch", [0, 1, 4, 7, 19])
def test_a_plan_can_begin_at_any_batch(first_batch, window_rows):
    plan = plan_of([300], Share(seed=0, epoch=1), window_rows=window_rows)
    assert batches_of(plan, first_batch) == batches_of(plan)[first_batch:]


def test_a_window_of_one_batch_is_read_as_it_lies():
    plan = plan_of([300], Share(seed=0), batch_size=32, window_rows=32)
    assert all(window.batches is None for window in plan.windows())
    assert all(window.n_rows <= 32 for window in plan.windows())


def test_an_empty_data_set_has_no_batch():
    plan = plan_of([0, 0], Share(seed=0))
    assert plan.n_batches == 0
    assert batches_of(plan) == []


def test_rows_come_as_often_as_their_weight_says():
    weights = [np.array([1.0] * 900 + [9.0] * 100, dtype=np.float32)]
    plan = plan_of([1000], Share(seed=0), window_rows=1000, block_rows=10, weights=weights)
    rows = np.array([row for batch in batches_of(plan) for _, row in batch])
    assert len(rows) == 1000
    assert abs((rows >= 900).mean() - 0.5) < 0.06


def test_a_sequential_plan_keeps_the_row_order():
    assert batches_of(SequentialPlan([5, 0, 3], 2)) == [
        [(0, 0), (0, 1)],
        [(0, 2), (0, 3)],
        [(0, 4)],
        [(2, 0), (2, 1)],
        [(2, 2)],
    ]


def test_ranks_share_a_sequential_plan_and_the_last_is_padded():
    plans = [SequentialPlan([5, 3], 2, rank=rank, world=2) for rank in range(2)]
    assert [plan.n_batches for plan in plans] == [3, 3]
    windows = [list(plan.windows()) for plan in plans]
    rows = [row for part in windows for window in part for row in laid_out(window)]
    assert sorted(rows) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (1, 2)]
    assert [[window.n_padding for window in part] for part in windows] == [[0, 0, 0], [0, 0, 1]]
    assert windows[1][-1].n_rows == 0
