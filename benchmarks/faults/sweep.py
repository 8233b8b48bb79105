"""Tries bad inputs one by one and says what came of each beside what must."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.faults.fault import Fault
from benchmarks.faults.materials import Materials
from benchmarks.faults.trial import Outcome, Trials, digest

QUICK_OPTIONS = ("--report", "false", "--explain.n_cells", "0", "--device", "cpu")
"""What makes a prediction short."""

_CALLS = [
    *("library_size", "predicted_cell_type", "predicted_neutrophil_state", "predicted_label"),
]
_PROBABILITIES = ["neutrophil_probability", "denominator_probability"]


class Result(NamedTuple):
    """What came of a fault.

    Attributes
    ----------
    fault, outcome
        What was tried and what happened.
    problems
        What should not have happened; none where all is well.
    """

    fault: Fault
    outcome: Outcome
    problems: list[str]


class Sweep:
    """Tries faults with one bundle.

    Parameters
    ----------
    materials
        What faults are made from.
    """

    def __init__(self, materials: Materials) -> None:
        good = [str(materials.good), "--bundle", str(materials.bundle), *QUICK_OPTIONS]
        self._materials, self._trials = materials, Trials(warm_up=good)
        with tempfile.TemporaryDirectory() as scratch:
            outcome = self._trials.run(self._arguments(materials.good, materials.bundle, Path(scratch)), Path(scratch))
            if outcome.code:
                raise RuntimeError(f"Expected an answer for the good file but got {outcome.log}")
            self._answer = read_cells(Path(scratch) / "out")

    def run(self, fault: Fault) -> Result:
        """Make a bad thing, run on it and judge what happened."""
        with tempfile.TemporaryDirectory(prefix="fault-") as scratch:
            made, ran = Path(scratch) / "made", Path(scratch) / "ran"
            made.mkdir()
            ran.mkdir()
            path = fault.make(self._materials.good, made)
            places = {"input": self._materials.good, "bundle": self._materials.bundle} | {fault.role: path}
            before = digest(path)
            arguments = [*self._arguments(places["input"], places["bundle"], ran), *fault.options]
            outcome = self._trials.run(arguments, ran)
            problems = [*outcome.faults(path), *self._unexpected(fault, outcome, ran / "out")]
            if digest(path) != before:
                problems.append("the input was changed")
            if sorted(file.name for file in ran.iterdir()) != ["out"] * (outcome.code == 0) + ["stderr", "stdout"]:
                problems.append("something was left behind")
            return Result(fault, outcome, problems)

    def _arguments(self, path: Path, bundle: Path, folder: Path) -> list[str]:
        return [str(path), "--bundle", str(bundle), "--output", str(folder / "out"), *QUICK_OPTIONS]

    def _unexpected(self, fault: Fault, outcome: Outcome, output: Path) -> list[str]:
        code, words, same, otherwise = fault.expected
        if otherwise is not None and outcome.code == otherwise:
            return []
        problems = [] if outcome.code == code else [f"exit {outcome.code} where {code} was expected"]
        text = outcome.error if code else outcome.log
        problems += [f"no {word!r} in what it said" for word in words if word not in text]
        if same and outcome.code == 0:
            problems += differences(read_cells(output), self._answer)
        return problems


def read_cells(output: Path) -> pd.DataFrame:
    """Return what was said of each cell, row by row."""
    frame: pd.DataFrame = pq.read_table(output / "cells.parquet").to_pandas()
    return frame


def differences(found: pd.DataFrame, expected: pd.DataFrame) -> list[str]:
    """Return in what two tables of cells differ, row by row; probabilities may by rounding."""
    if len(found) != len(expected):
        return [f"{len(found)} cells where there are {len(expected)}"]
    odd = [name for name in _CALLS if found[name].fillna("-").tolist() != expected[name].fillna("-").tolist()]
    odd += [
        name
        for name in _PROBABILITIES
        if not np.allclose(found[name], expected[name], rtol=0, atol=1e-4, equal_nan=True)
    ]
    return [f"another {name}" for name in odd]
