import pandas as pd
import pytest

from schema.errors import InputError
from scoring.units import BETWEEN, WITHIN_DONORS, WITHIN_STUDIES, make_units


def samples_of(*rows):
    table = pd.DataFrame(rows, columns=["group", "donor", "study", "x"])
    return table.assign(sample_id=[f"s{i}" for i in range(len(table))])


def test_samples_of_a_donor_are_averaged():
    units = make_units(samples_of(("a", "d1", "", 1.0), ("a", "d1", "", 3.0), ("b", "d2", "", 9.0)), ["a", "b"], ["x"])
    assert units.design == BETWEEN
    assert units.table[["group", "x"]].to_numpy().tolist() == [["a", 2.0], ["b", 9.0]]
    assert units.note == ""


def test_donors_with_samples_in_both_groups_are_compared_with_themselves():
    rows = [
        ("a", "d1", "", 1.0),
        ("b", "d1", "", 2.0),
        ("a", "d2", "", 5.0),
        ("b", "d2", "", 7.0),
        ("a", "d3", "", 9.0),
    ]
    units = make_units(samples_of(*rows), ["a", "b"], ["x"])
    assert units.design == WITHIN_DONORS
    assert units.table["block"].tolist() == [0, 0, 1, 1]
    assert units.note == "1 donor(s) in one group only left out"


def test_few_donors_in_both_groups_are_left_out():
    rows = [("a", "d1", "", 1.0), ("b", "d1", "", 2.0), *[("a", f"e{i}", "", 0.0) for i in range(4)]]
    units = make_units(samples_of(*rows), ["a", "b"], ["x"])
    assert units.design == BETWEEN
    assert len(units.table) == 4
    assert units.note == "1 donor(s) in several groups left out"


def test_unknown_and_pooled_are_not_one_donor():
    rows = [("a", "unknown", "", 1.0), ("a", "Unknown", "", 2.0), ("b", "pooled", "", 3.0), ("b", "", "", 4.0)]
    assert len(make_units(samples_of(*rows), ["a", "b"], ["x"]).table) == 4


def test_donors_of_two_studies_may_have_one_name():
    rows = [("a", "1", "s", 1.0), ("b", "2", "s", 2.0), ("a", "2", "t", 3.0), ("b", "1", "t", 4.0)]
    units = make_units(samples_of(*rows), ["a", "b"], ["x"])
    assert units.design == WITHIN_STUDIES
    assert sorted(units.table["block"]) == [0, 0, 1, 1]


def test_groups_that_are_studies_are_refused():
    with pytest.raises(InputError, match="2 studies with one group each"):
        make_units(samples_of(("a", "1", "s", 1.0), ("b", "2", "t", 2.0)), ["a", "b"], ["x"])


def test_samples_of_other_groups_are_passed_over():
    units = make_units(samples_of(("a", "1", "", 1.0), ("b", "2", "", 2.0), ("c", "3", "", 3.0)), ["a", "c"], ["x"])
    assert units.table["group"].tolist() == ["a", "c"]
