"""The targets of the cell benchmark: what was wanted, what came out, whether it is met."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import pandas as pd

from benchmarks.cells_macro import Macro, difference
from benchmarks.cells_scores import calibration_error, states, strict
from benchmarks.cells_settings import DONORS, FOLDS, HUMAN, STUDIES, STUDY
from benchmarks.markdown import number
from benchmarks.real_mice import NETWORK
from schema.labels import CellOntology

LEAST_STATES, MOST_ERROR, LEAST_AUROC, MOST_GROWTH = 0.05, 0.03, 0.90, 0.10
"""Gain over logistic regression in states, calibration error, AUROC, growth of peak memory."""


@dataclass(frozen=True)
class Target:
    """A target: what is compared, what was wanted, what was got, and whether that is enough (None = not measured)."""

    name: str
    wanted: str
    got: str
    is_met: bool | None


def beats_floor(part: str, question: str, macros: Mapping[str, Macro], least: float) -> Target:
    """Judge the network against the best floor: its lead must be at least so many standard errors (may be negative)."""
    if NETWORK not in macros or len(macros) < 2:
        return Target(f"{part}: {question}", _wanted(least), "not measured", None)
    best = max((name for name in macros if name != NETWORK), key=lambda name: macros[name].value)
    lead, error = difference(macros[NETWORK], macros[best])
    got = f"{number(macros[NETWORK].value)} against {number(macros[best].value)} ({best}): {lead:+.3f}, SE {error:.3f}"
    return Target(f"{part}: {question}", _wanted(least), got, lead >= least * error)


def _wanted(least: float) -> str:
    return f"best floor {'+' if least > 0 else '-'} {abs(least):g} SE" + (" at least" if least > 0 else " at worst")


def states_gain(part: str, macros: Mapping[str, Macro]) -> Target:
    """Judge the neutrophil states against logistic regression."""
    name, wanted = f"{part}: neutrophil states", f"logistic + {LEAST_STATES} at least"
    if not {NETWORK, "logistic"} <= set(macros):
        return Target(name, wanted, "not measured", None)
    lead, error = difference(macros[NETWORK], macros["logistic"])
    return Target(name, wanted, f"{lead:+.3f}, SE {error:.3f}", lead >= LEAST_STATES)


def calibration(part: str, cells: pd.DataFrame | None) -> Target:
    """Judge the calibration of the network."""
    name, wanted = f"{part}: ECE of the called type", f"<= {MOST_ERROR}"
    if cells is None:
        return Target(name, wanted, "not measured", None)
    error = calibration_error(cells)
    return Target(name, wanted, f"{error['value']:.3f}", error["value"] <= MOST_ERROR)


def strangeness(rows: Sequence[Mapping[str, Any]]) -> Target:
    """Judge the mean AUROC of the network over left-out types."""
    name, wanted = "left-out types: AUROC, mean over types", f">= {LEAST_AUROC:.2f}"
    ours = [row["auroc"] for row in rows if row["method"] == NETWORK]
    if not ours:
        return Target(name, wanted, "not measured", None)
    got = f"{mean(ours):.3f} over {len(ours)} types, lowest {min(ours):.3f}"
    return Target(name, wanted, got, mean(ours) >= LEAST_AUROC)


def speed(rows: Sequence[Mapping[str, Any]]) -> list[Target]:
    """Judge whole commands on the same files: cells per second against CellTypist, and growth of peak memory."""
    found = []
    for size in sorted({row["n_cells"] for row in rows}):
        rate = {row["method"]: row["cells_per_second"] for row in rows if row["n_cells"] == size}
        name = f"predict.py against CellTypist, {size:,} cells"
        if len(rate) < 2:
            found.append(Target(name, "cells/s ratio >= 1", "not measured", None))
            continue
        ratio = rate[NETWORK] / rate["celltypist"]
        found.append(Target(name, "cells/s ratio >= 1", f"{ratio:.2f}", ratio >= 1))
    peaks = [row["peak_mib"] for row in rows if row["method"] == NETWORK]
    if len(peaks) > 1:
        growth = max(peaks) / min(peaks) - 1
        got = f"{growth:.0%} from the smallest file to the largest"
        found.append(Target("predict.py: peak memory", f"<= {MOST_GROWTH:.0%} more", got, growth <= MOST_GROWTH))
    return found


def score_targets(tables: Mapping[str, Mapping[str, pd.DataFrame]], trees: Mapping[str, CellOntology]) -> list[Target]:
    """Judge what is about F1 and calibration.

    Parameters
    ----------
    tables
        Answers by part and method (see `cells_scores.joined`).
    trees
        Label tree by part.
    """

    def macros(part: str, score: Callable[[pd.DataFrame], Macro | None]) -> dict[str, Macro]:
        found = {method: score(cells) for method, cells in tables.get(part, {}).items()}
        return {method: macro for method, macro in found.items() if macro is not None}

    def of_states(part: str) -> dict[str, Macro]:
        return macros(part, lambda cells: states(cells, trees[part]))

    hard = (DONORS, STUDY)
    return [
        *(beats_floor(part, "types, strict", macros(part, strict), 2) for part in hard),
        *(states_gain(part, of_states(part)) for part in hard),
        *(calibration(part, tables.get(part, {}).get(NETWORK)) for part in hard),
        *(beats_floor(part, "types, strict", macros(part, strict), -1) for part in (FOLDS, STUDIES, HUMAN)),
        beats_floor(FOLDS, "states", of_states(FOLDS), -1),
    ]
