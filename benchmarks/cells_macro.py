"""Macro-F1 averaged over seeds, with draws that resample seeds and donors, alike for all methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.metrics import confusion_by_group, f1_scores, interval, resampled_confusions
from benchmarks.scores import N_DRAWS, RESAMPLING_SEED

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Macro:
    """A macro-F1.

    Attributes
    ----------
    value
        Mean over seeds of the mean F1 over the classes that have test cells.
    draws
        float64 `[n_draws]`: the same under resampling. Two methods that were tested on the same cells share each draw.
    n_cells
        Test cells of the classes, over all seeds.
    """

    value: float
    draws: Floats
    n_cells: int

    def shown(self) -> dict[str, float]:
        """Return value, interval and cells as plain values."""
        low, high = interval(self.draws)
        return {"value": self.value, "low": low, "high": high, "n_cells": self.n_cells}


def macro_f1(cells: pd.DataFrame, truth: str, predicted: str, classes: Sequence[int] | None = None) -> Macro:
    """Score one method.

    Parameters
    ----------
    cells
        One row per cell with `seed`, `group` (a donor), `stratum` and the columns `truth` and `predicted` (node index).
    truth, predicted
        Names of those two columns.
    classes
        Node indices; None = those that are true of a cell. A class without cells at a seed does not count there.

    Returns
    -------
    Macro
        Draws take seeds with replacement, then donors with replacement within each stratum. A draw without any cell of
        a class keeps its value, so that the mean is always of one thing. Without any cell all is NaN.
    """
    if cells.empty:
        return Macro(float("nan"), np.full(N_DRAWS, np.nan), 0)
    codes = {node: i for i, node in enumerate(sorted(set(cells[truth]) - {-1} if classes is None else classes))}
    groups = cells.drop_duplicates("group")[["group", "stratum"]].sort_values("group").reset_index(drop=True)
    place = {group: i for i, group in enumerate(groups["group"])}
    stratum = np.asarray(groups["stratum"].astype("category").cat.codes, dtype=np.int64)
    values, draws = [], []
    for _, part in cells.groupby("seed"):
        true, called = (part[n].map(lambda node: codes.get(node, -1)).to_numpy(np.int64) for n in (truth, predicted))
        group = part["group"].map(place).to_numpy(np.int64)
        by_group = confusion_by_group(true, called, group, n_classes=len(codes), n_groups=len(place))
        present = by_group.sum(axis=(0, 2))[:-1] > 0
        point = f1_scores(by_group.sum(axis=0))[present]
        drawn = f1_scores(resampled_confusions(by_group, stratum, n_draws=N_DRAWS, seed=RESAMPLING_SEED))[:, present]
        values.append(point.mean() if len(point) else np.nan)
        draws.append(np.where(np.isnan(drawn), point, drawn).mean(axis=1) if len(point) else np.full(N_DRAWS, np.nan))
    n_cells = int(cells[truth].isin(list(codes)).sum())
    return Macro(float(np.mean(values)), _over_seeds(np.asarray(draws)), n_cells)


def difference(ours: Macro, other: Macro) -> tuple[float, float]:
    """Return how far one macro-F1 lies above another, and the standard error of that over paired draws."""
    return ours.value - other.value, float(np.std(ours.draws - other.draws, ddof=1))


def _over_seeds(draws: Floats) -> Floats:
    """Average over seeds drawn with replacement, float64 `[n_seeds, n_draws]` to `[n_draws]`."""
    n_seeds, n_draws = draws.shape
    taken = (np.random.default_rng(RESAMPLING_SEED).random((n_draws, n_seeds)) * n_seeds).astype(np.int64)
    return np.asarray(draws[taken, np.arange(n_draws)[:, None]].mean(axis=1), dtype=np.float64)
