"""Markdown tables of scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.scores import ClassScore


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column is left-aligned and whose others are right-aligned."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float, digits: int = 3) -> str:
    """Return a number with fixed digits; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def with_interval(score: ClassScore) -> str:
    """Return an F1 with its 95 % interval."""
    return f"{number(score.f1)} ({number(score.low, 2)}-{number(score.high, 2)})"
