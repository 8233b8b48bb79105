"""How far the labels of the cells go down the tree, and how many were withheld for which reason."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from schema.calls import AMBIENT, REASONS
from schema.labels import CellOntology
from scoring.cells import CellCalls

LEVEL_NAMES = {1: "lineage", 2: "type", 3: "subset or state", 4: "finer state"}
"""What the levels of the label tree are called."""


class LabelCounts:
    """Cells of each sample by what was said of them, added up block by block.

    Parameters
    ----------
    n_samples
        Samples of the run.
    ontology
        Label tree.
    """

    def __init__(self, n_samples: int, ontology: CellOntology) -> None:
        self._levels = ontology.levels
        self._n_levels = int(ontology.levels.max())
        self._n_all = np.zeros(self._n_levels + len(REASONS), dtype=np.int64)
        self._n_described = np.zeros((n_samples, len(self._n_all)), dtype=np.int64)

    def update(self, sample: npt.NDArray[np.integer], calls: CellCalls, described: npt.NDArray[np.bool_]) -> None:
        """Add a block of cells: sample of each int `[n_cells]`, calls, and which count in the figures of a sample."""
        has_type = calls.reason == REASONS.index("")
        outcome = np.where(has_type, self._levels[calls.label] - 1, self._n_levels + calls.reason)
        np.add.at(self._n_all, outcome, 1)
        np.add.at(self._n_described, (sample[described], outcome[described]), 1)

    def percent(self, reason: str) -> npt.NDArray[np.float64]:
        """Return the percent of each sample's described cells without cell type for a reason, float64 `[n_samples]`.

        NaN for samples without such cells.
        """
        total = self._n_described.sum(axis=1)
        share = np.full(len(total), np.nan)
        np.divide(self._n_described[:, self._n_levels + REASONS.index(reason)], total, out=share, where=total > 0)
        return 100 * share

    def rows(self) -> list[tuple[str, int, float]]:
        """Return what was said of all cells of the run, its cells and their percent; finest labels first."""
        counts = self._n_all
        named = [
            (f"labelled down to {LEVEL_NAMES.get(level, f'level {level}')}", int(counts[level - 1]))
            for level in range(self._n_levels, 0, -1)
        ]
        for code, reason in enumerate(REASONS):
            if reason:
                what = "labelled" if reason == AMBIENT else "not labelled"
                named.append((f"{what}: {reason}", int(counts[self._n_levels + code])))
        total = max(1, int(counts.sum()))
        return [(words, n_cells, 100 * n_cells / total) for words, n_cells in named if n_cells]
