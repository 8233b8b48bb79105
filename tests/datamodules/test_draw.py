import numpy as np
import pytest

from datamodules.draw import drawn_rows, evenly_spread, label_weights, usual_batch_size
from datamodules.narrow import Rows


def test_balance_one_gives_every_label_the_same_total():
    codes = [np.array([0, 0, 0, 0, 1, 1, -1]), np.array([2])]
    first, second = label_weights(codes, 1.0)
    assert np.isclose(first[codes[0] == 0].sum(), first[codes[0] == 1].sum())
    assert np.isclose(first[codes[0] == 1].sum(), second.sum())
    assert np.isclose(first[:6].sum() + second.sum(), 7)
    assert first[6] == 1.0


def test_balance_a_half_draws_by_the_root_of_the_count():
    (weights,) = label_weights([np.repeat([0, 1], [100, 25])], 0.5)
    assert np.isclose(weights[:100].sum() / weights[100:].sum(), 2.0)


def test_without_balance_each_row_comes_once():
    assert label_weights([np.array([0, 1])], 0.0) is None


def test_a_spread_covers_the_rows_evenly_in_runs():
    rows = np.arange(0, 200_000, 2)
    spread = evenly_spread(rows, 0.1)
    assert abs(len(spread) / len(rows) - 0.1) < 0.01
    assert set(spread) <= set(rows)
    assert (np.diff(spread) > 0).all()
    assert np.histogram(spread, bins=10, range=(0, 200_000))[0].min() > 500


def test_a_spread_of_all_is_all():
    assert evenly_spread(np.arange(1000), 1.0).tolist() == list(range(1000))
    assert len(evenly_spread(np.arange(0), 0.5)) == 0


@pytest.mark.parametrize(("n_cells", "size"), [(0, 128), (20_000, 128), (60_000, 256), (1_000_000, 4096)])
def test_the_usual_batch_size_grows_with_the_cells(n_cells, size):
    assert usual_batch_size(n_cells) == size


def test_rows_drawn_at_random_are_some_of_all_files_in_order():
    rows = [np.arange(0, 600, 2), np.arange(0), np.arange(1000, 1100)]
    drawn = [np.asarray(part) for part in drawn_rows([Rows(part) for part in rows], 200, seed=0)]
    assert [len(part) for part in drawn][1] == 0
    assert sum(len(part) for part in drawn) == 200
    for part, of_file in zip(drawn, rows, strict=True):
        assert set(part) <= set(of_file)
        assert (np.diff(part) > 0).all()
    assert 120 < len(drawn[0]) < 180  # 150 expected
    assert 0 < (drawn[0] % 6 == 0).mean() < 0.5  # no stride in step with the rows


def test_few_rows_are_all_drawn():
    rows = [Rows(np.arange(3)), Rows(np.arange(2))]
    assert [part[:].tolist() for part in drawn_rows(rows, 5, seed=0)] == [[0, 1, 2], [0, 1]]
