import pytest

from schema.errors import InputError
from schema.preparation import Preparation, gate_of, suspension_of


@pytest.mark.parametrize(
    ("value", "gate"),
    [
        ("", "unsorted"),
        ("Unsorted", "unsorted"),
        ("cd45+", "CD45+"),
        ("CD45 positive", "CD45+"),
        ("CD45-", "CD45-"),
        ("EpCAM+", "EPCAM+"),
        ("Ly6Gpos", "Ly6G+"),
    ],
)
def test_gates_have_other_spellings(value, gate):
    assert gate_of(value, "here") == gate


def test_a_sign_is_not_a_dash():
    assert gate_of("CD45 -", "here") != gate_of("CD45 +", "here")


def test_a_gate_that_is_not_known_is_refused():
    with pytest.raises(InputError, match=r"got 'CD54\+' \(nearest: .*CD45.*in a\.h5ad"):
        gate_of("CD54+", "a.h5ad")


@pytest.mark.parametrize(("value", "kind"), [("nuclei", "nucleus"), ("cell", "cell"), ("na", "cell"), ("", "cell")])
def test_suspensions(value, kind):
    assert suspension_of(value, "here") == kind


def test_a_suspension_that_is_not_known_is_refused():
    with pytest.raises(InputError, match="got 'bulk'"):
        suspension_of("bulk", "here")


def test_samples_that_are_counted_among_cd45():
    assert Preparation(("CD45+", "unsorted"), ("cell", "cell")).is_cd45_sorted.tolist() == [True, False]
    assert Preparation.plain(2).is_cd45_sorted.tolist() == [False, False]
