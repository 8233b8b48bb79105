import numpy as np
import pytest

from scoring.by_sample import row_spans, rows_by_sample


def test_rows_keep_their_order_within_a_sample():
    rows = {code: found.tolist() for code, found in rows_by_sample(np.array([2, 0, 2, 2, 0]), 3)}
    assert rows == {0: [1, 4], 2: [0, 2, 3]}


def test_an_empty_block_has_no_sample():
    assert list(rows_by_sample(np.array([], dtype=np.int64), 3)) == []


@pytest.mark.parametrize("code", [-1, 3])
def test_an_index_outside_the_samples_is_refused(code):
    with pytest.raises(ValueError, match=r"0\.\.2"):
        list(rows_by_sample(np.array([0, code]), 3))


def test_first_and_last_rows_are_found_across_pieces():
    sample = np.zeros(200_000, dtype=np.int8)
    sample[[3, 70_000]], sample[[5, 150_001]] = 1, 2
    spans = row_spans(sample, 4)
    assert spans.first.tolist() == [0, 3, 5, -1]
    assert spans.last.tolist() == [199_999, 70_000, 150_001, -1]
    assert spans.ending(70_000, 150_002).tolist() == [1, 2]
    assert spans.ending(70_001, 150_001).tolist() == []


@pytest.mark.parametrize(
    ("sample", "n_open"),
    [
        ([0, 0, 1, 1, 2], 1),
        ([0, 1, 0, 1, 2], 2),
        ([0, 1, 2, 0, 1, 2], 3),
        ([0, 1, 2, 0], 2),
        ([0, 1, 1, 0, 2, 2], 2),
        ([], 0),
    ],
)
def test_samples_that_are_open_at_once(sample, n_open):
    assert row_spans(np.array(sample, dtype=np.int64), 3).most_open == n_open
