import numpy as np
import pytest

from datamodules.check import RawRows
from datamodules.counts import judge_values, pick_counts
from datamodules.dense import DenseMatrix
from schema.errors import InputError


def rows(*values, dtype=np.float32):
    matrix = np.array(values, dtype=dtype)
    return [
        RawRows(
            np.arange(0, matrix.size + 1, matrix.shape[1]),
            np.tile(np.arange(matrix.shape[1]), len(matrix)),
            matrix.ravel(),
        )
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[0, 3, 1200], [1, 0, 2]], "whole numbers up to 1,200"),
        ([[0, 0.69, 2.3]], "fractions up to 2.3 (log-normalised)"),
        ([[0.5, -1.25, 3]], "negative values down to -1.25 (scaled, z-scores)"),
        (
            [[2500.5, 7499.5, 0], [100.5, 9899.5, 0]],
            "fractions, every cell sums to 10,000 (normalised to a total, CPM)",
        ),
        ([[20.5, 3, 0], [100.5, 9.5, 0]], "fractions up to 100 (normalised, or corrected for ambient RNA)"),
        ([[np.nan, 1, 2]], "NaN or infinite values"),
        ([[np.inf, 1, 2]], "NaN or infinite values"),
        ([[0, 0, 0]], "all zero"),
        ([[0, 1, 1]], "only 0 and 1 (binarised)"),
        ([[2.0**25, 1, 1]], "whole numbers up to 3.36e+07, too large for counts"),
    ],
)
def test_values_are_called_what_they_look_like(values, words):
    verdict = judge_values(rows(*values))
    assert verdict.words == words
    assert verdict.counts == words.endswith("1,200")


def test_values_that_are_no_numbers_have_their_type_named():
    assert judge_values(rows([True, False], dtype=bool)).words == "values of type bool"


def test_no_values_are_all_zero():
    assert judge_values([]).words == "all zero"


def opener(*values):
    return lambda: DenseMatrix(np.array(values, dtype=np.float32))


def test_the_first_matrix_of_counts_is_taken_and_said(caplog):
    caplog.set_level("INFO")
    places = {"layers/counts": opener([0.5, 2]), "raw/X": opener([5, 2]), "X": opener([7, 3])}
    location, matrix = pick_counts(places, "a.h5ad", named=False)
    assert location == "raw/X"
    assert matrix.read(0, 1).values.tolist() == [5, 2]
    assert "a.h5ad: counts taken from raw/X" in caplog.text
    assert "layers/counts: fractions up to 2 (log-normalised)" in caplog.text


def test_without_counts_each_matrix_is_described():
    places = {"raw/X": opener([0.5, 2]), "X": opener([-1, 3])}
    with pytest.raises(InputError, match=r"raw/X: fractions.*log-normalised.*X: negative values.*in a.h5ad") as caught:
        pick_counts(places, "a.h5ad", named=False)
    assert caught.value.exit_code == 3


def test_zeros_and_ones_pass_only_where_the_user_named_the_matrix():
    places = {"X": opener([0, 1])}
    assert pick_counts(places, "a.h5ad", named=True)[0] == "X"
    with pytest.raises(InputError, match=r"binarised"):
        pick_counts(places, "a.h5ad", named=False)
