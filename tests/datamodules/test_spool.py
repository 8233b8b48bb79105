import tempfile
from pathlib import Path

import numpy as np
import pytest

from datamodules.spool import Entries, Spool
from schema.errors import InputError, OutputError


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def blocks_of(*blocks):
    return iter([Entries(*(np.array(part) for part in block)) for block in blocks])


@pytest.mark.parametrize("rows_of_a_bucket", [1, 2, 1024])
def test_entries_land_in_their_rows_in_the_order_they_came(monkeypatch, rows_of_a_bucket):
    monkeypatch.setattr("datamodules.spool._MIN_ROWS", rows_of_a_bucket)
    entries = blocks_of(([3, 0, 3], [1, 2, 0], [31.0, 2.0, 30.0]), ([0, 2, 0], [4, 3, 0], [4.0, 23.0, 1.0]))
    spool = Spool(entries, 4, 5, 6, "f, X")
    assert spool.indptr.tolist() == [0, 3, 3, 4, 6]
    assert spool.indices[:].tolist() == [2, 4, 0, 3, 1, 0]
    assert spool.counts[:].tolist() == [2.0, 4.0, 1.0, 23.0, 31.0, 30.0]
    spool.close()


def test_the_arrays_lie_on_disk_until_the_spool_is_closed(scratch):
    spool = Spool(blocks_of(([0], [1], [5])), 2, 2, 1, "f, X")
    assert sorted(file.name for file in scratch.rglob("*") if file.is_file()) == ["counts", "indices"]
    spool.close()
    assert list(scratch.iterdir()) == []


def test_slices_are_read_where_they_lie():
    spool = Spool(blocks_of(([0, 1, 1], [4, 0, 3], [4, 10, 13])), 2, 5, 3, "f, X")
    assert (spool.indices.shape, spool.indices[1:3].tolist()) == ((3,), [0, 3])
    assert (spool.counts[1:2].tolist(), spool.counts[2:2].tolist()) == ([10.0], [])
    spool.close()


def test_many_rows_make_at_most_512_buckets(monkeypatch, scratch):
    n_buckets = []
    sort = Spool._sort

    def count_and_sort(self):
        n_buckets.append(len(list(scratch.rglob("bucket*"))))
        return sort(self)

    monkeypatch.setattr(Spool, "_sort", count_and_sort)
    rows = np.random.default_rng(0).permutation(10**6)
    spool = Spool(blocks_of((rows, rows % 7, rows % 100 + 1)), 10**6, 7, 10**6, "f, X")
    assert n_buckets == [512]
    np.testing.assert_array_equal(spool.counts[:], np.arange(10**6) % 100 + 1)
    np.testing.assert_array_equal(spool.indices[:], np.arange(10**6) % 7)
    spool.close()


def test_no_entries_make_empty_rows():
    spool = Spool(blocks_of(), 2, 2, 1, "f, X")
    assert (spool.indptr.tolist(), spool.counts[:].tolist()) == ([0, 0, 0], [])
    spool.close()


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (([2], [0], [1]), "index 2 for 2 cells"),
        (([0], [-1], [1]), "index -1 for 3 genes"),
        (([0], [0], [0.5]), "got 0.5"),
    ],
)
def test_entries_that_cannot_be_counts_are_refused_and_nothing_stays(scratch, block, text):
    with pytest.raises(InputError, match=text):
        Spool(blocks_of(([1], [2], [9]), block), 2, 3, 1, "f, X")
    assert list(Path(scratch).iterdir()) == []


def test_a_full_disk_is_known_before_anything_is_written(scratch, monkeypatch):
    monkeypatch.setattr("datamodules.spool.shutil.disk_usage", lambda _: type("Usage", (), {"free": 7}))
    with pytest.raises(OutputError, match=r"TMPDIR"):
        Spool(blocks_of(([0], [1], [5])), 2, 2, 1, "f, X")
    assert list(scratch.iterdir()) == []
