"""From calls to scores: F1 of every class with an interval, pooled over folds and averaged over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.metrics import confusion_by_group, f1_scores, interval, resampled_confusions

N_DRAWS = 1000
RESAMPLING_SEED = 0


@dataclass(frozen=True)
class ClassScore:
    """F1 of one class.

    Attributes
    ----------
    name
        Class, or "macro" for the mean over classes that have cells.
    n_cells
        Test cells of the class, each counted once.
    f1, low, high
        Mean over seeds, and the 95 % interval from resampling groups of cells.
    """

    name: str
    n_cells: int
    f1: float
    low: float
    high: float


def class_scores(
    cells: pd.DataFrame, truth: str, predicted: str, classes: Sequence[int], names: Sequence[str]
) -> list[ClassScore]:
    """Score one method on its test cells.

    Parameters
    ----------
    cells
        One row per predicted cell with `seed`, `cell_id`, `group` and `stratum` (what is resampled, and within what),
        and the columns `truth` and `predicted` (node index; -1 = none). A cell that was tested in several folds has
        several rows.
    truth, predicted
        Names of those two columns.
    classes, names
        Node index and name of each class, `[n_classes]`.

    Returns
    -------
    list
        A score for each class with at least one cell, then "macro". A draw without any cell of a class leaves that
        class out of its own interval and keeps its point value in the macro, so that the mean is always of one thing.
    """
    groups = cells.drop_duplicates("group")[["group", "stratum"]].sort_values("group").reset_index(drop=True)
    stratum = np.asarray(groups["stratum"].astype("category").cat.codes, dtype=np.int64)
    of_seed = [cells[cells["seed"] == seed] for seed in sorted(cells["seed"].unique())]
    by_seed = [_confusion(part, truth, predicted, classes, groups["group"]) for part in of_seed]
    point = np.asarray([f1_scores(c.sum(axis=0)) for c in by_seed]).mean(axis=0)
    drawn = [resampled_confusions(c, stratum, n_draws=N_DRAWS, seed=RESAMPLING_SEED) for c in by_seed]
    draws = np.asarray([f1_scores(c) for c in drawn]).mean(axis=0)
    once = cells.drop_duplicates("cell_id")[truth]
    n_cells = [int((once == node).sum()) for node in classes]
    kept = [i for i, n in enumerate(n_cells) if n]
    scores = [ClassScore(names[i], n_cells[i], float(point[i]), *interval(draws[:, i])) for i in kept]
    macro = np.where(np.isnan(draws), point, draws)[:, kept].mean(axis=1)
    return [*scores, ClassScore("macro", sum(n_cells), float(point[kept].mean()), *interval(macro))]


def confusion_table(cells: pd.DataFrame, truth: str, predicted: str, classes: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return true by predicted class, float64 `[n_classes, n_classes + 1]`: summed over folds, mean over seeds.

    The last column counts cells that were given to no class.
    """
    seeds = sorted(cells["seed"].unique())
    everyone = pd.Series(["all"])
    one_group = cells.assign(group="all")
    tables = [_confusion(one_group[one_group["seed"] == s], truth, predicted, classes, everyone)[0] for s in seeds]
    return np.asarray(np.mean(tables, axis=0)[:-1], dtype=np.float64)


def _confusion(
    cells: pd.DataFrame, truth: str, predicted: str, classes: Sequence[int], groups: pd.Series
) -> npt.NDArray[np.int64]:
    code = {node: index for index, node in enumerate(classes)}
    place = {group: index for index, group in enumerate(groups)}
    return confusion_by_group(
        cells[truth].map(lambda node: code.get(node, -1)).to_numpy(dtype=np.int64),
        cells[predicted].map(lambda node: code.get(node, -1)).to_numpy(dtype=np.int64),
        cells["group"].map(place).to_numpy(dtype=np.int64),
        n_classes=len(code),
        n_groups=len(place),
    )
