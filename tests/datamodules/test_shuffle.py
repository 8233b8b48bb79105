import numpy as np
import pytest

import datamodules.shuffle
from datamodules.packed_writer import AppendedFiles
from datamodules.shuffle import RUN_FILES, Runs, Shuffler, shuffled_by_group
from datamodules.store import open_store

GROUP = np.array([2, 0, 1, 0, 2, 2, -1, 0, 1, 2] * 20)


def test_rows_come_once_group_by_group():
    rows = shuffled_by_group(GROUP, seed=0)
    assert sorted(rows) == list(range(200))
    assert np.count_nonzero(np.diff(GROUP[rows])) == 3


def test_rows_of_a_group_and_groups_are_in_random_order():
    firsts = set()
    for seed in range(20):
        rows = shuffled_by_group(GROUP, seed)
        firsts.add(int(GROUP[rows[0]]))
        of_group = rows[GROUP[rows] == 2]
        assert (np.diff(of_group) < 0).sum() > 20
        assert abs(np.corrcoef(of_group, np.arange(80))[0, 1]) < 0.4
    assert firsts == {-1, 0, 1, 2}


def test_the_order_is_that_of_the_seed():
    assert shuffled_by_group(GROUP, 5).tolist() == shuffled_by_group(GROUP, 5).tolist()
    assert shuffled_by_group(GROUP, 5).tolist() != shuffled_by_group(GROUP, 6).tolist()
    assert shuffled_by_group(np.zeros(0, dtype=np.int8), 0).tolist() == []


@pytest.mark.parametrize("run_entries", [1, 2_000, 2**20])
def test_runs_of_any_size_merge_to_the_same_rows(tmp_path, monkeypatch, write_cohort, run_entries):
    monkeypatch.setattr(datamodules.shuffle, "RUN_ENTRIES", run_entries)
    counts = write_cohort(tmp_path / "a.h5ad", n_cells=1_000)
    target = np.random.default_rng(0).permutation(1_000)
    files = AppendedFiles(tmp_path, dict.fromkeys(RUN_FILES, 0))
    with open_store(tmp_path / "a.h5ad") as store:
        shuffler, runs = Shuffler(store, np.uint16), []
        while (start := sum(run.n_rows for run in runs)) < 1_000:
            runs.append(shuffler.route(start, target, files))
    files.close()
    assert (len(runs) > 5) == (run_entries == 1)
    found, start = np.zeros((1_000, 12)), 0
    merged = Runs(tmp_path, runs, np.uint16)
    while start < 1_000:
        rows = shuffler.merge(merged, start)
        values = rows.counts.astype(float)
        assert (values[rows.large_at] == 255).all()
        values[rows.large_at] = rows.large
        for row, (first, last) in enumerate(zip(rows.indptr[:-1], rows.indptr[1:], strict=True)):
            found[start + row, rows.indices[first:last]] = values[first:last]
        start += len(rows.indptr) - 1
        assert start % 64 == 0 or start == 1_000
    np.testing.assert_array_equal(found[target], counts)
    np.testing.assert_array_equal(merged.library_size[target], counts.sum(axis=1))


def test_memory_holds_one_run_whatever_the_cells(tmp_path, monkeypatch, write_cohort):
    monkeypatch.setattr(datamodules.shuffle, "RUN_ENTRIES", 1_000)
    write_cohort(tmp_path / "a.h5ad", n_cells=2_000)
    files = AppendedFiles(tmp_path, dict.fromkeys(RUN_FILES, 0))
    with open_store(tmp_path / "a.h5ad") as store:
        run = Shuffler(store, np.uint16).route(0, np.arange(2_000), files)
    files.close()
    assert 64 <= run.n_rows < 250
    assert 500 < run.n_entries <= 1_000
