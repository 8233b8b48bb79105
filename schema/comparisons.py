"""comparison.csv: every column with its dtype, unit and meaning, stated once."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from schema.predictions import Column, check_columns
from schema.tables import write_csv

COMPARISON = "comparison.csv"
"""The table of tests."""

_FIGURES = ("burden_by_group", "burden_waterfall", "states_by_group")
PICTURES = tuple(f"{name}.{kind}" for name in _FIGURES for kind in ("png", "svg"))
"""Pictures of samples by group; the last two only where states are known."""

TREND, CONTRAST = "trend", "contrast"
"""Tests: of ordered stages, and of two groups."""

BURDEN, COMPOSITION = "burden", "composition"
"""Measures: the burden in percent, and the centred log ratio of a type's share."""

COMPARISON_COLUMNS = (
    Column("denominator", "string", "-", "what the burden is a percentage of; others are never pooled with it"),
    Column("measure", "string", "-", "burden, or composition (centred log ratio of a cell type's share)"),
    Column("cell_type", "string", "node id", "type of a composition row; else empty"),
    Column("test", "string", "-", "trend (over ordered stages) or contrast (of two groups)"),
    Column("group_a", "string", "-", "first group; of a trend, the lowest stage"),
    Column("group_b", "string", "-", "second group; of a trend, the highest stage"),
    Column("unit", "string", "-", "what is counted: donor, or sample where no donors are given"),
    Column("design", "string", "-", "between donors, within donors, or within studies"),
    Column("n_units", "int64", "units", "units of the test"),
    Column("n_a", "int64", "units", "those in the first group"),
    Column("n_b", "int64", "units", "those in the second group"),
    Column(
        "estimate",
        "float64",
        "see meaning",
        "b minus a (Hodges-Lehmann), or slope per stage (Theil-Sen): percentage points, or log ratio",
    ),
    Column(
        "low",
        "float64",
        "as estimate",
        "lower end of its 95 % interval; blank where units are too few for 95 %, and of slopes within blocks",
    ),
    Column("high", "float64", "as estimate", "upper end of its 95 % interval"),
    Column(
        "effect",
        "float64",
        "-",
        "share of pairs of units that are higher in the later group, minus those lower: -1 to 1",
    ),
    Column(
        "p_value", "float64", "probability", "two-sided, by permuting units (see note); blank with one unit in a group"
    ),
    Column(
        "q_value", "float64", "probability", "the same after Benjamini and Hochberg, over rows of this measure and test"
    ),
    Column("n_not_assessable", "int64", "samples", "samples of these groups that were left out"),
    Column("n_low_confidence", "int64", "samples", "samples of low confidence that were used"),
    Column("note", "string", "-", "how the p-value was found, and what was left out"),
)
"""Columns of comparison.csv."""


def write_comparison(frame: pd.DataFrame, path: Path) -> None:
    """Write comparison.csv: UTF-8, six significant digits, blanks for what is not known."""
    check_columns(frame, COMPARISON_COLUMNS)
    write_csv(frame, path)
