"""F1 from confusion matrices, kept by group of cells so that intervals come from resampling the groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from schema.labels import CellOntology

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def confusion_by_group(truth: Ints, predicted: Ints, group: Ints, *, n_classes: int, n_groups: int) -> Ints:
    """Count pairs of true and predicted class in each group.

    Parameters
    ----------
    truth, predicted
        int64 `[n_cells]`, class codes; a code below 0 is outside all classes: such a truth makes its cell no class's
        own, such a prediction makes a miss.
    group
        int64 `[n_cells]`, the sample of each cell.

    Returns
    -------
    numpy.ndarray
        int64 `[n_groups, n_classes + 1, n_classes + 1]`: true by predicted; the last row and column are "outside".
    """
    size = n_classes + 1
    rows, columns = np.where(truth < 0, n_classes, truth), np.where(predicted < 0, n_classes, predicted)
    flat = np.bincount((group * size + rows) * size + columns, minlength=n_groups * size * size)
    return flat.reshape(n_groups, size, size).astype(np.int64)


def f1_scores(confusion: npt.NDArray[Any]) -> Floats:
    """Return the F1 of each class, float64 `[..., n_classes]`; NaN where a class has neither cells nor calls.

    Parameters
    ----------
    confusion
        Counts `[..., n_classes + 1, n_classes + 1]` as `confusion_by_group` makes them.
    """
    hits: Floats = np.diagonal(confusion, axis1=-2, axis2=-1)[..., :-1].astype(np.float64)
    either = confusion.sum(axis=-1)[..., :-1] + confusion.sum(axis=-2)[..., :-1]
    return np.where(either > 0, 2 * hits / np.maximum(either, 1), np.nan)


def resampled_confusions(by_group: Ints, stratum: Ints, *, n_draws: int, seed: int) -> Ints:
    """Draw groups with replacement inside each stratum and sum their confusions.

    Parameters
    ----------
    by_group
        int64 `[n_groups, ...]`, confusion of each group (a sample).
    stratum
        int64 `[n_groups]`, the donor of each group; each draw keeps every donor's number of groups.

    Returns
    -------
    numpy.ndarray
        int64 `[n_draws, ...]`.
    """
    rng = np.random.default_rng(seed)
    weights = np.zeros((n_draws, len(stratum)), dtype=np.int64)
    for value in np.unique(stratum):
        members = np.flatnonzero(stratum == value)
        weights[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=n_draws)
    return np.tensordot(weights, by_group, axes=1)


def interval(draws: Floats) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of draws, float64 `[n_draws]`, leaving out NaN; NaN where none is left."""
    kept = draws[np.isfinite(draws)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(low), float(high)


def credit_descendants(truth: Ints, predicted: Ints, ontology: CellOntology) -> Ints:
    """Return predictions in which a call at or below the true node counts as that node.

    Parameters
    ----------
    truth, predicted
        int64 `[n_cells]`, node indices; -1 = none.
    """
    result = predicted.copy()
    node = predicted.copy()
    while (node >= 0).any():
        result[(node == truth) & (truth >= 0)] = truth[(node == truth) & (truth >= 0)]
        node = np.where(node >= 0, ontology.parents[node], -1)
    return result
