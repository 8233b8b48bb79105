"""A comparison as tables for a terminal, and as sentences for the report."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from schema.comparisons import BURDEN, COMPOSITION, TREND
from schema.labels import CellOntology
from scoring.svg import short_name
from scoring.wording import percent_text

SHOWN_TYPES = 10
"""Rows of composition that are shown, smallest q first; comparison.csv has all."""


def group_table(groups: pd.DataFrame, unit: str) -> Table:
    """Return the groups with their burden, from `scoring.comparison.group_rows`."""
    table = Table(title="Burden by group", title_justify="left")
    for name in ("group", f"{unit}s", "median %", "range %", "low confidence", "not assessable"):
        table.add_column(name, justify="left" if name == "group" else "right")
    for row in groups.to_dict("records"):
        ends = "–" if math.isnan(row["median"]) else f"{percent_text(row['lowest'])}–{percent_text(row['highest'])}"
        words = (str(row["n_units"]), percent_text(row["median"]), ends)
        counts = (str(row["n_low_confidence"]), str(row["n_not_assessable"]))
        table.add_row(_name(row["group"]), *words, *counts)
    return table


def comparison_table(comparison: pd.DataFrame, measure: str, ontology: CellOntology) -> Table | None:
    """Return the tests of one measure, from comparison.csv; None where there are none."""
    rows = [row for row in comparison_rows(comparison, ontology) if row["measure"] == measure]
    if not rows:
        return None
    is_burden, pairs = measure == BURDEN, {row["what"] for row in rows}
    title = "Burden, percentage points" if is_burden else "Composition, log ratio to the mean type, smallest q first"
    if not is_burden and len(pairs) == 1:
        title += f": {min(pairs)}"
    table = Table(title=Text(title), title_justify="left")
    for name in ("comparison", "units", "difference (95 %)", "effect", "p", "q"):
        table.add_column(name, justify="left" if name == "comparison" else "right")
    for row in rows:
        what = row["what"] if is_burden else row["type"] if len(pairs) == 1 else f"{row['type']}: {row['what']}"
        table.add_row(Text(what), row["units"], row["estimate"], row["effect"], row["p"], row["q"])
    return table


def comparison_rows(comparison: pd.DataFrame, ontology: CellOntology) -> list[dict[str, str]]:
    """Return what is shown of comparison.csv, as texts: all of burden, then composition by q, `SHOWN_TYPES` at most."""
    burden = comparison[comparison["measure"] == BURDEN]
    types = comparison[comparison["measure"] == COMPOSITION].sort_values("q_value", kind="stable").head(SHOWN_TYPES)
    return [_texts(row, ontology) for row in pd.concat([burden, types]).to_dict("records")]


def _texts(row: Mapping[Hashable, Any], ontology: CellOntology) -> dict[str, str]:
    value = {str(name): cell for name, cell in row.items()}
    number = {name: float(value[name]) for name in ("estimate", "low", "high", "effect", "p_value", "q_value")}
    first, second = (short_name(str(value[name])) for name in ("group_a", "group_b"))
    what = f"rise per stage, {first} to {second}" if value["test"] == TREND else f"{second} − {first}"
    at = ontology.index_by_id.get(str(value["cell_type"]))
    kind = ontology.nodes[at].name if at is not None else str(value["cell_type"])
    return {
        "measure": str(value["measure"]),
        "what": what,
        "type": kind,
        "denominator": str(value["denominator"]),
        "units": f"{value['n_units']} {value['unit']}s",
        "design": str(value["design"]),
        "estimate": _estimate(number),
        "effect": _signed(number["effect"]),
        "p": p_text(number["p_value"]),
        "q": p_text(number["q_value"]),
        "note": str(value["note"]),
    }


def _estimate(number: dict[str, float]) -> str:
    if math.isnan(number["estimate"]):
        return "–"
    if math.isnan(number["low"]):
        return f"{_signed(number['estimate'])} (no interval)"
    return f"{_signed(number['estimate'])} ({_signed(number['low'])} to {_signed(number['high'])})"


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.2f}"


def p_text(value: float) -> str:
    """Return a p-value with two figures that mean something.

    Examples
    --------
    >>> p_text(0.0234), p_text(0.00004), p_text(float("nan"))
    ('0.023', '<0.0001', '–')
    """
    if math.isnan(value):
        return "–"
    return "<0.0001" if value < 0.0001 else f"{value:.2g}"


def _name(name: object) -> Text:
    return Text(short_name(str(name)))
