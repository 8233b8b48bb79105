import numpy as np
import pandas as pd
import pytest
from scipy import stats

from schema.comparisons import BURDEN, COMPARISON_COLUMNS, COMPOSITION, CONTRAST, TREND
from schema.errors import InputError
from schema.predictions import check_columns
from schema.stages import StageScale
from scoring.comparison import Grouped, compare_samples, group_rows, masking_warning
from scoring.comparison_text import comparison_rows, comparison_table, p_text

SCALE = StageScale.load("mouse_carcinogenesis")
ALL, CD45 = "all cells", "CD45+ cells"


def make_grouped(burden, group, *, scale=None, has_donors=False, **columns):
    n = len(burden)
    table = pd.DataFrame(
        {
            "sample_id": [f"s{i}" for i in range(n)],
            "group": group,
            "burden_percent": np.asarray(burden, dtype=np.float64),
            "burden_denominator": ALL,
            "assessability": "assessable",
            "donor": "",
            "study": "",
            "n_cells": 1000,
            "n_low_counts": 0,
        }
        | columns
    )
    groups = tuple(dict.fromkeys(group))
    return Grouped(samples=table, groups=groups, scale=scale, has_donors=has_donors)


def rows_of(table, **values):
    for name, value in values.items():
        table = table[table[name] == value]
    return table


def test_a_contrast_of_arms_is_mann_and_whitneys(ontology):
    control, treated = [5.0, 7.0, 6.5, 9.0], [1.0, 2.0, 3.0, 6.0, 0.5]
    table = compare_samples(make_grouped(control + treated, ["control"] * 4 + ["drug"] * 5), ontology)
    check_columns(table, COMPARISON_COLUMNS)
    (row,) = table.to_dict("records")
    assert row["p_value"] == pytest.approx(stats.mannwhitneyu(treated, control, method="exact").pvalue)
    assert row["estimate"] == pytest.approx(np.median(np.subtract.outer(treated, control)))
    assert row["low"] < row["estimate"] < row["high"] < 0
    assert (row["test"], row["group_a"], row["group_b"], row["unit"]) == (CONTRAST, "control", "drug", "sample")
    assert (row["n_units"], row["n_a"], row["n_b"]) == (9, 4, 5)


def test_burden_over_stages_is_one_trend_and_contrasts(ontology):
    names = [level.name for level in SCALE.levels[:3]]
    burden, group = [1.0, 2.0, 1.5, 3.0, 4.0, 3.5, 6.0, 9.0, 8.0], np.repeat(names, 3).tolist()
    table = compare_samples(make_grouped(burden, group, scale=SCALE), ontology)
    assert table["test"].tolist() == [TREND] + [CONTRAST] * 3
    trend = table.iloc[0]
    assert trend["effect"] == 1
    assert trend["p_value"] == pytest.approx(2 / 1680)  # of 9! / 3!^3 orders the one and its reverse
    assert trend["estimate"] == pytest.approx(stats.theilslopes(burden, np.repeat([0, 1, 2], 3)).slope)
    assert (trend["group_a"], trend["group_b"], trend["n_a"]) == ("normal", "adenoma", 3)


def test_a_trend_over_studies_is_taken_within_them(ontology):
    names = [level.name for level in SCALE.levels[:3]] * 2
    grouped = make_grouped([1.0, 2.0, 4.0, 21.0, 22.0, 23.0], names, scale=SCALE, study=["s"] * 3 + ["t"] * 3)
    trend = compare_samples(grouped, ontology).iloc[0]
    assert (trend["design"], trend["effect"], trend["estimate"]) == ("within studies", 1, 1.0)
    assert trend["p_value"] == pytest.approx(2 / 36)
    assert np.isnan(trend["low"])


def test_cells_are_never_replicates(ontology):
    """Ten times the cells change nothing; two samples of a donor are one unit."""
    burden, group, donor = (
        [5.0, 6.0, 7.0, 1.0, 2.0, 3.0, 4.0],
        ["a"] * 3 + ["b"] * 4,
        ["1", "2", "3", "4", "5", "6", "6"],
    )
    one = compare_samples(make_grouped(burden, group, donor=donor, has_donors=True), ontology)
    many = compare_samples(make_grouped(burden, group, donor=donor, has_donors=True, n_cells=10_000), ontology)
    pd.testing.assert_frame_equal(one, many)
    (row,) = one.to_dict("records")
    assert (row["unit"], row["n_b"]) == ("donor", 3)
    averaged = stats.mannwhitneyu([1.0, 2.0, 3.5], [5.0, 6.0, 7.0], method="exact")
    assert row["p_value"] == pytest.approx(averaged.pvalue)


def test_donors_measured_twice_are_compared_with_themselves(ontology):
    before, after = [10.0, 2.0, 30.0, 5.0, 14.0, 8.0], [8.0, 2.3, 25.0, 4.0, 13.0, 7.8]
    donor = [f"d{i}" for i in range(6)] * 2
    table = compare_samples(
        make_grouped(before + after, ["w0"] * 6 + ["w2"] * 6, donor=donor, has_donors=True),
        ontology,
    )
    (row,) = table.to_dict("records")
    assert row["design"] == "within donors"
    assert row["p_value"] == pytest.approx(stats.wilcoxon(after, before).pvalue)
    assert row["p_value"] > 0.03125  # that of six falls; one rose


def test_what_is_not_assessable_is_left_out_and_counted(ontology):
    state = ["assessable"] * 4 + ["low_confidence", "not_assessable"]
    burden = [1.0, 2.0, 3.0, 4.0, 5.0, 99.0]
    grouped = make_grouped(burden, ["a", "b"] * 3, assessability=state)
    (row,) = compare_samples(grouped, ontology).to_dict("records")
    assert (row["n_units"], row["n_not_assessable"], row["n_low_confidence"]) == (5, 1, 1)
    groups = group_rows(grouped).set_index("group")
    assert groups.loc["b", ["n_samples", "n_units", "median", "n_not_assessable"]].tolist() == [3, 2, 3.0, 1]


def test_burdens_of_different_denominators_are_never_pooled(ontology):
    denominator = [ALL] * 4 + [CD45] * 4
    table = compare_samples(
        make_grouped([1.0, 2.0, 3.0, 4.0, 50.0, 60.0, 70.0, 80.0], ["a", "b"] * 4, burden_denominator=denominator),
        ontology,
    )
    assert table["denominator"].tolist() == [CD45, ALL]
    assert table["n_units"].tolist() == [4, 4]
    assert table["estimate"].tolist() == [10.0, 1.0]


def test_composition_is_tested_by_type_and_adjusted(ontology):
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([20, 40, 30, 10], 16)
    shares[8:, 0] *= 2.5
    shares /= shares.sum(axis=1, keepdims=True)
    fractions = {f"fraction_{name}": shares[:, k] for k, name in enumerate(("NEUT", "MAL", "B", "MAC"))}
    table = compare_samples(make_grouped(100 * shares[:, 0], ["a"] * 8 + ["b"] * 8, **fractions), ontology)
    types = rows_of(table, measure=COMPOSITION)
    assert types["cell_type"].tolist() == ["NEUT", "MAL", "B", "MAC"]
    assert types["q_value"].tolist() == pytest.approx(stats.false_discovery_control(types["p_value"]))
    assert types.set_index("cell_type").loc["NEUT", "q_value"] < 0.05
    assert rows_of(table, measure=BURDEN)["q_value"].tolist() == rows_of(table, measure=BURDEN)["p_value"].tolist()


def test_under_the_null_trends_are_found_five_times_in_a_hundred(ontology):
    rng = np.random.default_rng(7)
    names = [level.name for level in SCALE.levels[:4] for _ in range(3)]
    found = [
        compare_samples(make_grouped(rng.gamma(2, 3, 12), names, scale=SCALE), ontology)["p_value"].iloc[0] <= 0.05
        for _ in range(150)
    ]
    assert np.mean(found) <= 0.11  # 99.9 % of binomial draws at 5 %


def test_one_unit_in_a_group_has_no_test(ontology):
    (row,) = compare_samples(make_grouped([1.0, 2.0, 3.0], ["a", "a", "b"]), ontology).to_dict("records")
    assert np.isnan(row["p_value"])
    assert "one unit in a group" in row["note"]


@pytest.mark.parametrize("n", [1, 13])
def test_one_group_and_too_many_are_refused(ontology, n):
    with pytest.raises(InputError, match=f"2 to 12 groups: got {n}"):
        compare_samples(make_grouped(np.ones(n), [f"g{i}" for i in range(n)]), ontology)


def test_groups_that_are_studies_are_refused(ontology):
    with pytest.raises(InputError, match="one group each"):
        compare_samples(make_grouped([1.0, 2.0, 3.0, 4.0], ["a", "a", "b", "b"], study=["s", "s", "t", "t"]), ontology)


@pytest.mark.parametrize("name", ["anti-Ly6G", "aLy-6G + PD1", "1A8", "Gr-1", "RB6-8C5", "neutrophil depleted"])
def test_arms_of_depletion_are_warned_of(name):
    assert masking_warning(["vehicle", name]).startswith(f"{name}: a depleting antibody hides Ly6G")


def test_other_arms_are_not():
    assert masking_warning(["vehicle", "anti-PD-1", "grade1", "isotype"]) == ""


def test_tables_for_people(ontology):
    names = np.repeat(["anti<b>", "[red]x"], 4).tolist()
    table = compare_samples(make_grouped([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], names), ontology)
    (row,) = comparison_rows(table, ontology)
    assert row["what"] == "[red]x − anti<b>"
    assert row["estimate"] == "+4.00 (+1.00 to +7.00)"
    assert row["p"] == "0.029"
    assert comparison_table(table, COMPOSITION, ontology) is None
    assert p_text(0.04999) == "0.05"
