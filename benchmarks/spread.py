"""Medians with their range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of what was measured."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(float(median(values)), float(min(values)), float(max(values)))


def figure(got: Spread | None, digits: int = 0) -> str:
    """Return a median with its range; a dash where there is none."""
    if got is None:
        return "-"
    middle, low, high = (f"{value:,.{digits}f}" for value in (got.median, got.low, got.high))
    return middle if low == high else f"{middle} ({low}-{high})"
