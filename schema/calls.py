"""What is said of a cell: the deepest node that its probabilities carry, or why nothing is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schema.labels import UNLABELLED, CellOntology

LEAST_BACK_OFF = 0.5
"""Above it at most one node of each level passes, so that those which pass lie on one line down the tree."""

LOW_COUNTS, AMBIENT, OUT_OF_DISTRIBUTION, AMBIGUOUS = "low counts", "ambient", "out of distribution", "ambiguous"
REASONS = ("", LOW_COUNTS, AMBIENT, OUT_OF_DISTRIBUTION, AMBIGUOUS)
"""Why a cell has no cell type, by code; "" where it has one."""

UNKNOWN = "unknown"
"""Label of a cell of which nothing is said."""


@dataclass(frozen=True, kw_only=True)
class CallRules:
    """When a cell gets a label; chosen on held-out donors and kept in the bundle.

    Attributes
    ----------
    back_off
        Calibrated probability that a node must exceed to be called, 0.5 to below 1.
    novelty
        Novelty score from which on a cell is out of distribution, in standard deviations of known held-out cells;
        infinite where there were none to choose it on.
    """

    back_off: float
    novelty: float

    def __post_init__(self) -> None:
        """Refuse a back-off that could call two nodes of one level, and a limit that is no number."""
        if not LEAST_BACK_OFF <= self.back_off < 1:
            raise ValueError(f"Expected {LEAST_BACK_OFF} <= back_off < 1 but got {self.back_off}.")
        if np.isnan(self.novelty):
            raise ValueError("Expected a novelty limit but got NaN.")


def deepest_node(
    probabilities: npt.NDArray[np.floating], ontology: CellOntology, back_off: float
) -> npt.NDArray[np.int64]:
    """Return the deepest node whose calibrated probability exceeds the back-off.

    Parameters
    ----------
    probabilities
        float `[n_cells, n_nodes]`; a parent has the sum of its children.
    ontology
        Label tree.
    back_off
        0.5 to below 1.

    Returns
    -------
    numpy.ndarray
        int64 `[n_cells]`, node index; UNLABELLED where no node passes.
    """
    depth = np.where(probabilities > back_off, ontology.levels, 0)
    return np.where(depth.any(axis=1), depth.argmax(axis=1), UNLABELLED)


def on_one_line(
    called: npt.NDArray[np.int64], label: npt.NDArray[np.int64], ontology: CellOntology
) -> npt.NDArray[np.bool_]:
    """Return whether a call is the labelled node, one above it or one below it, bool `[n_cells]`.

    A call above its label says less than could be said, one below it more than the label can tell; neither is wrong.

    Parameters
    ----------
    called, label
        int64 `[n_cells]`, node indices.
    """
    below = ontology.leaves_below
    contains = np.asarray((below[None, :, :] <= below[:, None, :]).all(axis=2))
    found: npt.NDArray[np.bool_] = contains[called, label] | contains[label, called]
    return found
