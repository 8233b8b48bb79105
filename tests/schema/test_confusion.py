import numpy as np
import pytest

from schema.confusion import Confusion, DetectionLimit
from schema.depths import N_DEPTHS


def arrays(n=2, n_types=3):
    return (
        np.arange(n),
        np.ones((n, N_DEPTHS, n_types), np.int64),
        np.zeros((n, N_DEPTHS, n_types, n_types), np.float32),
    )


def test_without_donors():
    none = Confusion.empty(4)
    assert (none.n_donors, none.cells.shape, none.said.shape) == (0, (0, N_DEPTHS, 4), (0, N_DEPTHS, 4, 4))


def test_readings_by_two_networks_are_of_the_same_donors():
    one = Confusion(*arrays())
    both = one.and_also(one)
    assert (both.n_donors, len(both.cells), both.donor.tolist()) == (2, 4, [0, 1, 0, 1])
    assert both.of_readings(both.donor == 1).donor.tolist() == [1, 1]


@pytest.mark.parametrize("change", ["shape", "negative", "above", "nan"])
def test_what_does_not_fit_is_refused(change):
    donor, cells, said = arrays()
    if change == "shape":
        cells = cells[:, :-1]
    elif change == "negative":
        cells[0, 0, 0] = -1
    else:
        said[0, 0, 0, 0] = {"above": 1.1, "nan": np.nan}[change]
    with pytest.raises(ValueError, match="Expected"):
        Confusion(donor, cells, said)


@pytest.mark.parametrize("change", [{"percent": 101.0}, {"percent": float("nan")}, {"n_donors": 0}])
def test_what_is_no_limit_is_refused(change):
    with pytest.raises(ValueError, match="Expected a percentage"):
        DetectionLimit(**{"percent": 1.0, "n_cells": 500, "n_donors": 2, "n_samples": 9} | change)
