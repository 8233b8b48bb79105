import numpy as np
import pytest

from datamodules.mixing import LIMIT, choose_sizes, expected_mixing, label_run_lengths
from datamodules.order import ReadSizes, Share, ShuffledPlan

N_LABELS = 40


def sorted_labels(n=60_000):
    return [np.sort(np.random.default_rng(0).integers(0, N_LABELS, n))]


def mixed_labels(n=60_000):
    return [np.random.default_rng(0).integers(0, N_LABELS, n)]


def by_donor(n_donors=30, n_cells=2000):
    rng = np.random.default_rng(0)
    shares = [rng.dirichlet(np.full(N_LABELS, 3.0)) for _ in range(n_donors)]
    return [np.concatenate([rng.choice(N_LABELS, n_cells, p=share) for share in shares])]


def measured(codes, sizes, n_epochs=3):
    """Return the mean total variation of the labels of the batches that a plan gives."""
    whole = np.bincount(np.concatenate(codes), minlength=N_LABELS) / sum(map(len, codes))
    found = []
    for epoch in range(n_epochs):
        for window in ShuffledPlan([len(part) for part in codes], sizes, Share(seed=0, epoch=epoch)).windows():
            laid = np.concatenate([codes[file][start:stop] for file, start, stop in window.blocks])
            for order in [np.arange(len(laid))] if window.batches is None else window.batches:
                share = np.bincount(laid[order], minlength=N_LABELS) / len(order)
                found.append(np.abs(share - whole).sum() / 2)
    return np.mean(found)


def ideal(codes, batch_size, n=50):
    joined = np.concatenate(codes)
    whole = np.bincount(joined, minlength=N_LABELS) / len(joined)
    rng = np.random.default_rng(1)
    drawn = [np.bincount(rng.choice(joined, batch_size, replace=False), minlength=N_LABELS) for _ in range(n)]
    return np.mean([np.abs(counts / batch_size - whole).sum() / 2 for counts in drawn])


@pytest.mark.parametrize("codes", [sorted_labels(), mixed_labels(), by_donor()], ids=["sorted", "mixed", "donors"])
@pytest.mark.parametrize("sizes", [(4096, 32, 16_384), (512, 32, 16_384), (4096, 64, 4096), (512, 8, 2048)])
def test_the_expected_mixing_is_that_of_the_plan(codes, sizes):
    sizes = ReadSizes(batch_size=sizes[0], block_rows=sizes[1], window_rows=sizes[2])
    mixing = expected_mixing(codes, sizes)
    assert mixing.expected == pytest.approx(measured(codes, sizes), rel=0.15)
    assert mixing.ideal == pytest.approx(ideal(codes, sizes.batch_size), rel=0.1)


@pytest.mark.parametrize("batch_size", [256, 512, 4096])
def test_batches_of_a_label_sorted_file_mix_within_twice_the_ideal(batch_size):
    codes = sorted_labels()
    sizes = choose_sizes(codes, batch_size, shuffled=False)
    assert measured(codes, sizes) <= 2 * ideal(codes, batch_size)


def test_large_blocks_without_a_window_mix_badly_and_are_seen_to():
    sizes = ReadSizes(batch_size=4096, block_rows=64, window_rows=4096)
    assert expected_mixing(sorted_labels(), sizes).ratio > 5


def test_shuffled_stores_are_read_without_a_window():
    assert choose_sizes(mixed_labels(), 4096, shuffled=True) == ReadSizes(
        batch_size=4096, block_rows=64, window_rows=4096
    )


def test_stores_shuffled_within_samples_that_differ_get_smaller_blocks_or_a_window():
    rng = np.random.default_rng(0)
    codes = [np.concatenate([rng.choice(N_LABELS, 2000, p=rng.dirichlet(np.full(N_LABELS, 0.3))) for _ in range(30)])]
    sizes = choose_sizes(codes, 4096, shuffled=True)
    assert sizes.block_rows < 64
    assert expected_mixing(codes, sizes).ratio <= LIMIT


def test_one_label_cannot_be_mixed_badly():
    sizes = ReadSizes(batch_size=512, block_rows=32, window_rows=512)
    assert expected_mixing([np.zeros(1000, dtype=int)], sizes).ratio == 1.0
    assert expected_mixing([np.zeros(0, dtype=int)], sizes).ratio == 1.0


def test_run_lengths_of_labels():
    assert label_run_lengths(np.array([3, 3, -1, -1, -1, 0])).tolist() == [2, 3, 1]
    assert label_run_lengths(np.array([], dtype=int)).tolist() == []
