"""How sure a call must be: chosen on held-out donors, so that what is said is right as often as wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from schema.calls import deepest_node, on_one_line
from schema.labels import UNLABELLED, CellOntology

TRIED = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
"""Back-offs that are tried."""


class BackOffCurve:
    """How much is said, and how much of it is right, at each back-off; added up batch by batch.

    Parameters
    ----------
    ontology
        Label tree.
    """

    def __init__(self, ontology: CellOntology) -> None:
        self._ontology = ontology
        self._n_cells = 0
        self._sums = np.zeros((len(TRIED), 3))  # called, right, sum of their levels

    def update(self, probabilities: npt.NDArray[np.floating], label: npt.NDArray[np.int64]) -> None:
        """Add cells.

        Parameters
        ----------
        probabilities
            float `[n_cells, n_nodes]`, calibrated.
        label
            int64 `[n_cells]`, node index or UNLABELLED; unlabelled cells do not count.
        """
        known = label != UNLABELLED
        self._n_cells += int(known.sum())
        for sums, back_off in zip(self._sums, TRIED, strict=True):
            called = deepest_node(probabilities[known], self._ontology, back_off)
            is_called = called != UNLABELLED
            right = on_one_line(called[is_called], label[known][is_called], self._ontology)
            sums += len(right), right.sum(), self._ontology.levels[called[is_called]].sum()

    def rows(self) -> list[dict[str, float]]:
        """Return for each back-off the share of cells called, the accuracy of the calls and their mean level."""
        return [
            {
                "back_off": back_off,
                "called": float(called / self._n_cells),
                "accuracy": float(right / called) if called else float("nan"),
                "mean_level": float(level / called) if called else float("nan"),
            }
            for back_off, (called, right, level) in zip(TRIED, self._sums, strict=True)
            if self._n_cells
        ]

    def choose(self, accuracy: float) -> float:
        """Return the lowest back-off whose calls are right this often; the most accurate one where none is.

        Parameters
        ----------
        accuracy
            Share of calls that shall be right, 0 to 1.
        """
        rows: list[dict[str, Any]] = [row for row in self.rows() if row["called"]]
        enough = [row["back_off"] for row in rows if row["accuracy"] >= accuracy]
        if enough:
            return float(min(enough))
        return float(max(rows, key=lambda row: row["accuracy"])["back_off"]) if rows else TRIED[0]
