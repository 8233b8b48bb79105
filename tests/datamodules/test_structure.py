import numpy as np
import pytest

from datamodules.structure import check_members, check_parts, read_shape
from schema.errors import InputError

GOOD = np.array([0, 1, 3]), np.array([4, 0, 2]), np.array([1.0, 2.0, 3.0])


def test_a_proper_matrix_passes():
    check_parts(*GOOD, "f.h5ad, X")
    check_members({"indptr": 0, "data": 0}, ["indptr", "data"], "f.h5ad, X")
    assert read_shape(np.array([2, 5], dtype=np.uint64), "f.h5ad, X") == (2, 5)


def test_all_that_is_wrong_with_the_parts_is_told_in_one_line():
    with pytest.raises(InputError) as caught:
        check_parts(GOOD[0].astype(float), GOOD[1].reshape(1, 3), {"a": 1}, "f.h5ad, X")
    text = str(caught.value)
    assert text.startswith("3 faults, (1) a matrix must hold together: got row pointers of type float64 in f.h5ad, X; ")
    assert "(2) a matrix must hold together: indices of shape (1, 3) in f.h5ad, X" in text
    assert "(3) a matrix must hold together: values that are a group in f.h5ad, X" in text
    assert "\n" not in text
    assert caught.value.exit_code == 3


def test_parts_of_other_lengths_are_refused():
    with pytest.raises(InputError, match="2 values for 3 indices"):
        check_parts(GOOD[0], GOOD[1], GOOD[2][:2], "f.h5ad, X")


@pytest.mark.parametrize("shape", [(), (3,), (3, 4, 5), (-1, 2), (2.0, 3.0), ("a", "b"), (2**31, 5), "ab"])
def test_shapes_that_are_none_are_refused(shape):
    with pytest.raises(InputError, match=r"a matrix must hold together: got the shape .* in f.h5ad, X"):
        read_shape(shape, "f.h5ad, X")


def test_all_members_that_are_missing_are_named():
    with pytest.raises(InputError, match="got no indptr, data in X"):
        check_members({"indices": 0}, ["indptr", "indices", "data"], "X")
