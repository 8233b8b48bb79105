import numpy as np
import pytest
import torch

from model.kept_cells import KeptCells, join, raw_counts, take
from model.preprocess import to_dense

COUNTS = np.array([[254, 255, 0], [0, 300, 1], [0, 0, 0], [7, 0, 70_000]], dtype=np.float32)


def assert_same_cells(found, expected):
    torch.testing.assert_close(to_dense(found), to_dense(expected))
    assert found.row.tolist() == expected.row.tolist()
    assert found.library_size.tolist() == expected.library_size.tolist()


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("chosen", [[0, 1, 2, 3], [1, 3], [2], [3, 0, 0], []])
def test_cells_are_taken_with_exact_counts_in_any_order(make_batch, chosen, exact):
    found = take(make_batch(COUNTS, exact=exact), torch.tensor(chosen, dtype=torch.int64))
    assert found.counts.tolist() == [value for row in COUNTS[chosen].tolist() for value in row if value]
    assert_same_cells(found, make_batch(COUNTS[chosen].reshape(-1, 3), row=chosen, exact=True))


@pytest.mark.parametrize("exact", [False, True])
def test_raw_counts_stand_in_the_vocabularys_order(make_batch, exact):
    batch = make_batch(COUNTS, columns=[[2, -1, 0]], exact=exact)
    found = raw_counts(batch, np.array([3, 0]))
    assert found.toarray()[:, [0, 2]].tolist() == [[70_000, 7], [0, 254]]
    assert raw_counts(batch, np.array([], dtype=np.int64)).shape == (0, batch.n_genes)


def test_taken_cells_have_memory_of_their_own(make_batch):
    batch = make_batch(COUNTS)
    found = take(batch, torch.tensor([0, 1]))
    batch.counts.zero_()
    batch.library_size.zero_()
    assert found.counts.tolist() == [254, 255, 300, 1]
    assert found.library_size.tolist() == [509, 301]


def test_joined_cells_are_those_of_one_batch(make_batch):
    whole = make_batch(COUNTS, exact=True)
    assert_same_cells(
        join([take(whole, torch.tensor([0, 1])), take(whole, torch.tensor([3]))]), take(whole, torch.tensor([0, 1, 3]))
    )


def test_kept_cells_are_found_by_row_and_forgotten(make_batch):
    kept = KeptCells()
    for start in (0, 4, 8):
        kept.add(make_batch(COUNTS, row=np.arange(start, start + 4)), np.array([0, 1, 3]))
    kept.add(make_batch(COUNTS, row=np.arange(12, 16)), np.array([], dtype=np.int64))
    assert kept.n_cells == 9
    found = kept.cells(np.array([11, 1, 4, 4]))
    assert_same_cells(found, make_batch(COUNTS[[3, 1, 0, 0]], row=[11, 1, 4, 4]))
    kept.forget_all_but(np.array([1, 4, 5, 8, 9]))
    assert kept.n_cells == 9  # fewer than as many again: not worth a copy
    kept.forget_all_but(np.array([1, 4]))
    assert kept.n_cells == 2
    with pytest.raises(ValueError, match="that were not"):
        kept.cells(np.array([1, 5]))


def test_expression_is_that_of_the_network(make_batch):
    counts = np.random.default_rng(0).poisson(1.0, size=(150, 4)) + 1
    kept, batch = KeptCells(), make_batch(counts)
    kept.add(batch, np.arange(150))
    rows = np.arange(0, 150, 2)
    np.testing.assert_allclose(kept.expression(rows).toarray(), to_dense(batch)[rows].numpy(), rtol=1e-6)
