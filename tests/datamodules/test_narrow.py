import numpy as np
import pytest

from datamodules.narrow import Rows, narrow


@pytest.mark.parametrize(
    ("highest", "dtype"),
    [
        (127, np.int8),
        (128, np.int16),
        (2**15 - 1, np.int16),
        (2**15, np.int32),
        (2**31 - 1, np.int32),
        (2**31, np.int64),
    ],
)
def test_numbers_keep_their_values_in_the_smallest_type_that_holds_them(highest, dtype):
    kept = narrow(np.array([0, highest]))
    assert kept.dtype == dtype
    assert kept.tolist() == [0, highest]


def test_no_number_is_narrow():
    assert narrow(np.zeros(0, dtype=np.int64)).dtype == np.int8


ROWS = {
    "none": [],
    "one": [7],
    "a run": list(range(5, 40)),
    "runs": [*range(9), *range(20, 31), *range(2**31, 2**31 + 8)],
    "apart": [0, 2, 5, 6, 9, 40_000],
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_read_like_the_array_they_were(name):
    numbers = np.array(ROWS[name], dtype=np.int64)
    rows = Rows(numbers)
    assert len(rows) == len(numbers)
    assert np.asarray(rows).tolist() == numbers.tolist()
    for part in (slice(None), slice(1, 4), slice(3, 30), slice(4, 4), slice(10, None)):
        assert rows[part].tolist() == numbers[part].tolist()
        assert rows[part].dtype == np.int64
    some = np.flatnonzero(np.arange(len(numbers)) % 3 == 0)
    assert rows[some].tolist() == numbers[some].tolist()


def test_a_million_neighbours_take_no_memory():
    rows = Rows(np.arange(10**6) + 3)
    assert rows._numbers is None
    assert [len(part) for part in rows._runs] == [1, 1]
    assert Rows.first(10**6)[10**6 - 2 :].tolist() == [10**6 - 2, 10**6 - 1]
    assert len(Rows.first(0)[:]) == 0
