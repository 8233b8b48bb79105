"""The part of the stage page on the guards: how often a stage was said, with exact intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scipy.stats import binomtest

from benchmarks.markdown import table
from benchmarks.stage_guards import WITHOUT_STAGE, GuardSetting
from schema.predictions import STAGE_OUTPUTS

MOST_FALSE = 0.05
"""Share of cohorts without stage in which one may be said."""
EITHER = "either"
NOTHING = "Not run yet."
REASONS = ("too few", "cannot be told apart", "not better than chance", "does about as well")
"""Parts of the reasons for which guards refuse, in the order in which they are asked."""


def said_in(rows: Sequence[dict[str, Any]], setting: str, output: str) -> tuple[int, int]:
    """Return in how many cohorts a stage was said by an output, or by either, and how many there are."""
    mine = [row for row in rows if row["setting"] == setting]
    cohorts = {row["cohort"] for row in mine}
    said = {row["cohort"] for row in mine if not row["reason"] and output in (row["output"], EITHER)}
    return len(said), len(cohorts)


def rate_text(n_said: int, n_cohorts: int) -> str:
    """Return a share in percent with its exact 95 % interval (Clopper and Pearson 1934)."""
    interval = binomtest(n_said, n_cohorts).proportion_ci(confidence_level=0.95, method="exact")
    return f"{100 * n_said / n_cohorts:.0f} % ({100 * interval.low:.0f} to {100 * interval.high:.0f})"


def rate_table(rows: Sequence[dict[str, Any]], settings: Sequence[GuardSetting]) -> str:
    """Return how often a stage was said in some settings, and why not; those without cohorts are left out."""
    lines = []
    for setting in settings:
        if not said_in(rows, setting.name, EITHER)[1]:
            continue
        mine = [row for row in rows if row["setting"] == setting.name]
        why = [sum(part in row["reason"] for row in mine) for part in REASONS]
        said = [rate_text(*said_in(rows, setting.name, output)) for output in (*STAGE_OUTPUTS, EITHER)]
        n_cohorts = str(said_in(rows, setting.name, EITHER)[1])
        lines.append([setting.name, setting.meaning, n_cohorts, *said, *map(str, why)])
    if not lines:
        return NOTHING
    ways = [f"said, {output}" for output in STAGE_OUTPUTS]
    return table(["cohorts", "how", "number", *ways, "said by either", *(f"“{part}”" for part in REASONS)], lines)


def guard_targets(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return what was wanted of cohorts without stage, what came out, and whether it is met."""
    lines = []
    for setting in WITHOUT_STAGE:
        n_said, n_cohorts = said_in(rows, setting.name, EITHER)
        if not n_cohorts:
            continue
        verdict = "met" if n_said <= MOST_FALSE * n_cohorts else "**not met**"
        got = f"{rate_text(n_said, n_cohorts)} of {n_cohorts} cohorts"
        lines.append([f"{setting.name}: a stage is said", f"<= {100 * MOST_FALSE:.0f} % of cohorts", got, verdict])
    return lines
