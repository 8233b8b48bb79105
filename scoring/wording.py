"""How numbers are written for people: few digits, and never a zero that was not measured."""

from __future__ import annotations

import math
import re
import unicodedata

import pandas as pd

from schema.predictions import BELOW_LIMIT

NOT_ASSESSABLE_TEXT = "not assessable"
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible_text(text: str) -> str:
    """Return a text on one line in which control and formatting characters show as the replacement character."""
    spaced = re.sub("[\\t\\n\\v\\f\\r]+", " ", text)
    return "".join("\ufffd" if unicodedata.category(c) in _INVISIBLE else c for c in spaced)


def percent_text(value: float) -> str:
    """Return a percentage with two figures that mean something; an en dash where it is not known.

    Examples
    --------
    >>> percent_text(0.042), percent_text(3.14), percent_text(31.4)
    ('0.04', '3.1', '31.4')
    """
    if math.isnan(value):
        return "–"
    return f"{value:.2f}" if abs(value) < 1 else f"{value:.1f}"


def interval_text(sample: pd.Series) -> str:
    """Return burden and interval of a row of samples.csv, or "not assessable"."""
    if math.isnan(sample["burden_percent"]):
        return NOT_ASSESSABLE_TEXT
    low, high = percent_text(sample["burden_low"]), percent_text(sample["burden_high"])
    is_below = sample["detection"] == BELOW_LIMIT
    return f"{BELOW_LIMIT if is_below else percent_text(sample['burden_percent'])} ({low}–{high})"


def burden_text(sample: pd.Series) -> str:
    """Return the burden of a row of samples.csv with its unit; below the limit of detection, that it is."""
    if sample["detection"] == BELOW_LIMIT:
        return f"< LOD ({percent_text(sample['lod_percent'])} %)"
    return f"{percent_text(sample['burden_percent'])} %"


def count_text(value: float) -> str:
    """Return a whole number with thin groups of three: 12 345."""
    return "–" if math.isnan(value) else f"{value:,.0f}".replace(",", "\u202f")
