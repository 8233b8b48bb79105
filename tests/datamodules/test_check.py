import numpy as np
import pytest
import scipy.sparse as sp

from datamodules.check import CsrBlock, RawRows, canonical_rows, check_indptr, is_count, select_columns
from schema.errors import InputError


def raw(indptr, indices, values, dtype=np.float32):
    return RawRows(np.array(indptr, dtype=np.int64), np.array(indices), np.array(values, dtype=dtype))


def as_lists(block):
    return [array.tolist() for array in block]


def test_rows_become_canonical():
    block = canonical_rows(raw([0, 4, 4, 7], [3, 1, 3, 0, 2, 0, 1], [5, 1, 6, 0, 9, 0, 7]), 4, "f, X")
    assert as_lists(block) == [[0, 2, 2, 4], [1, 3, 1, 2], [1.0, 11.0, 7.0, 9.0]]
    assert (block.indptr.dtype, block.indices.dtype, block.counts.dtype) == (np.int64, np.int32, np.float32)


def test_canonical_rows_agree_with_scipy_on_random_rows():
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 9, 50)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    indices, values = rng.integers(0, 6, indptr[-1]), rng.integers(0, 4, indptr[-1]).astype(np.float64)
    expected = sp.csr_matrix((values.copy(), indices.copy(), indptr.copy()), shape=(50, 6))
    expected.sum_duplicates()
    expected.eliminate_zeros()
    block = canonical_rows(RawRows(indptr, indices, values), 6, "f, X")
    np.testing.assert_array_equal(block.indptr, expected.indptr)
    np.testing.assert_array_equal(block.indices, expected.indices)
    np.testing.assert_array_equal(block.counts, expected.data)


def test_a_row_may_start_below_the_end_of_the_one_before():
    assert as_lists(canonical_rows(raw([0, 1, 1, 2], [4, 0], [1, 2]), 5, "f, X")) == [[0, 1, 1, 2], [4, 0], [1.0, 2.0]]


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "u8", "f2", "f4", "f8", ">f4", ">i4", ">f8"])
def test_every_number_type_is_read_alike(dtype):
    block = canonical_rows(raw([0, 2], [0, 1], [3, 200], dtype), 2, "f, X")
    assert as_lists(block) == [[0, 2], [0, 1], [3.0, 200.0]]
    assert block.counts.dtype == np.dtype("=f4")


@pytest.mark.parametrize(
    ("value", "text"),
    [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf"), (-1, "-1"), (0.5, "0.5"), (2.0**24 + 2, "1.67772e\\+07")],
)
def test_a_value_that_is_no_count_is_refused_by_name(value, text):
    with pytest.raises(InputError, match=f"whole numbers from 0 to 16,777,216: got {text} in f, X"):
        canonical_rows(raw([0, 3], [0, 1, 2], [1, value, 2], np.float64), 3, "f, X")


@pytest.mark.parametrize("dtype", [np.bool_, np.complex64, "S2"])
def test_values_that_are_no_numbers_are_refused(dtype):
    with pytest.raises(InputError, match=r"counts must be numbers"):
        canonical_rows(RawRows(np.array([0, 1]), np.array([0]), np.ones(1).astype(dtype)), 1, "f, X")


@pytest.mark.parametrize(
    ("indptr", "indices", "values", "text"),
    [
        ([0, 2], [0, 3], [1, 1], "index 3 for 3 genes"),
        ([0, 2], [-1, 1], [1, 1], "index -1 for 3 genes"),
        ([0, 2], [0.0, 1.0], [1, 1], "indices of genes of type float64"),
        ([0, 2], [0, 1], [1], "1 values for 2 indices"),
        ([0, 3], [0, 1], [1, 1], "row pointers from 0 to 3 for 2 entries"),
        ([0, 2, 1, 2], [0, 1], [1, 1], "row pointers that fall at row 1"),
    ],
)
def test_a_matrix_that_contradicts_itself_is_refused(indptr, indices, values, text):
    with pytest.raises(InputError, match=text):
        canonical_rows(raw(indptr, indices, values), 3, "f, X")


def test_duplicates_that_sum_beyond_exact_counts_are_refused():
    with pytest.raises(InputError, match=r"got 3.35544e"):
        canonical_rows(raw([0, 2], [1, 1], [2**24, 2**24]), 3, "f, X")


def test_pointers_without_length_are_refused():
    with pytest.raises(InputError, match=r"of no length"):
        check_indptr(np.zeros(0, dtype=np.int64), 0, "f, X")


def test_counts_are_told_from_other_numbers():
    values = np.array([0, 1, 2**24, 2**24 + 2, 0.5, -1, np.nan, np.inf])
    assert is_count(values).tolist() == [True, True, True, False, False, False, False, False]
    assert is_count(np.array([-1, 3])).tolist() == [False, True]


def test_selected_columns_keep_their_order():
    block = CsrBlock(
        np.array([0, 2, 2, 4]), np.array([0, 3, 1, 2], dtype=np.int32), np.array([1, 2, 3, 4], dtype=np.float32)
    )
    chosen = select_columns(block, np.array([0, -1, 1, 2]))
    assert as_lists(chosen) == [[0, 2, 2, 3], [0, 2, 1], [1.0, 2.0, 4.0]]
    assert chosen.indices.dtype == np.int32
