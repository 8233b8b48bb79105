import numpy as np
import pandas as pd
import pytest

from benchmarks.cells_macro import Macro, difference, macro_f1


def cells(*rows):
    """Rows of seed, group, stratum, truth, called, each as many times over as the last number says."""
    names = ["seed", "group", "stratum", "truth", "called"]
    return pd.DataFrame([row[:5] for row in rows for _ in range(row[5])], columns=names)


def test_macro_f1_is_the_mean_over_classes_and_seeds():
    table = cells((0, "a", "x", 1, 1, 3), (0, "b", "x", 2, 1, 1), (1, "c", "y", 1, 1, 2), (1, "c", "y", 2, 2, 2))
    # seed 0: class 1 has 3 hits, 1 false call: 6/7; class 2: 0. seed 1: both 1.
    assert macro_f1(table, "truth", "called").value == pytest.approx((3 / 7 + 1) / 2)


def test_a_class_without_cells_at_a_seed_does_not_count_there():
    table = cells((0, "a", "x", 1, 1, 1), (1, "b", "y", 1, 1, 1), (1, "b", "y", 2, 2, 1))
    assert macro_f1(table, "truth", "called").value == 1.0


def test_donors_are_drawn_within_their_stratum():
    table = cells((0, "a", "x", 1, 1, 10), (0, "b", "x", 1, 2, 10))
    drawn = macro_f1(table, "truth", "called", [1]).draws
    # two donors, one all right and one all wrong: F1 is 0, 2/3 or 1, and 2/3 half of the time
    assert set(np.round(drawn, 6)) == {0.0, 0.666667, 1.0}
    assert (np.round(drawn, 6) == 0.666667).mean() == pytest.approx(0.5, abs=0.05)
    apart = cells((0, "a", "x", 1, 1, 10), (0, "b", "y", 1, 2, 10))
    assert set(np.round(macro_f1(apart, "truth", "called", [1]).draws, 6)) == {0.666667}


def test_seeds_are_drawn_too():
    table = cells((0, "a", "x", 1, 1, 5), (1, "b", "y", 1, 2, 5))
    drawn = macro_f1(table, "truth", "called", [1]).draws
    assert sorted(set(drawn)) == [0.0, 0.5, 1.0]


def test_two_methods_share_their_draws():
    table = cells((0, "a", "x", 1, 1, 10), (0, "b", "x", 1, 2, 10))
    ours = macro_f1(table, "truth", "called", [1])
    assert difference(ours, macro_f1(table, "truth", "called", [1])) == (0.0, 0.0)
    lead, error = difference(Macro(0.5, np.array([0.25, 0.75]), 1), Macro(0.25, np.array([0.25, 0.25]), 1))
    assert lead == 0.25
    assert error == pytest.approx(0.5 / np.sqrt(2))


def test_what_is_shown():
    shown = Macro(0.5, np.linspace(0, 1, 1001), 7).shown()
    assert shown == {"value": 0.5, "low": pytest.approx(0.025), "high": pytest.approx(0.975), "n_cells": 7}


def test_where_no_cell_can_be_right_there_is_no_score():
    found = macro_f1(cells(), "truth", "called")
    assert np.isnan(found.value)
    assert found.n_cells == 0
    assert np.isnan(found.shown()["low"])
