import numpy as np
import pytest

from scoring.by_sample import last_rows, rows_by_sample


def test_rows_keep_their_order_within_a_sample():
    rows = {code: found.tolist() for code, found in rows_by_sample(np.array([2, 0, 2, 2, 0]), 3)}
    assert rows == {0: [1, 4], 2: [0, 2, 3]}


def test_an_empty_block_has_no_sample():
    assert list(rows_by_sample(np.array([], dtype=np.int64), 3)) == []


@pytest.mark.parametrize("code", [-1, 3])
def test_an_index_outside_the_samples_is_refused(code):
    with pytest.raises(ValueError, match=r"0\.\.2"):
        list(rows_by_sample(np.array([0, code]), 3))


def test_the_last_row_of_a_sample_is_found_across_pieces():
    sample = np.zeros(200_000, dtype=np.int8)
    sample[[3, 70_000]], sample[[5, 150_001]] = 1, 2
    assert last_rows(sample, 4).tolist() == [199_999, 70_000, 150_001, -1]
