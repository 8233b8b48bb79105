"""Undo how held-out donors' cells were mistaken: the composition that explains what was said, on the simplex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schema.confusion import Confusion
from schema.depths import N_DEPTHS
from scoring.burden_types import BurdenTypes

Floats = npt.NDArray[np.float64]

PRIOR_CELLS = 3.0
"""Cells that the mean of all donors weighs against a donor's own: few cells say little of their donor."""

_WEIGHT = 100.0
"""Weight of the sum of the cells against the fit: they must add up."""


@dataclass(frozen=True)
class Corrected:
    """What a sample is made of once mistakes are undone.

    Attributes
    ----------
    cells
        float64 `[N_DEPTHS, n_types]`: true cells; of neutrophils a little below 0 where fewer were taken for them than
        usual, so that chance at one depth makes up for chance at another.
    weights
        float64 `[N_DEPTHS, n_types, n_types]`: true cells per unit of summed probability; `cells` are their product
        with the sums.
    """

    cells: Floats
    weights: Floats


class Correction:
    """Mean probabilities of true types, over donors and of each, by depth.

    What no donor has at a depth is taken from the nearest depth; a type that no donor has is taken to be read right.

    Parameters
    ----------
    confusion
        Of the held-out donors.
    types
        What the burden is made of.
    """

    def __init__(self, confusion: Confusion, types: BurdenTypes) -> None:
        self._types = types
        cells, said = confusion.cells.astype(np.float64), confusion.said.astype(np.float64)
        weight = cells / (cells + PRIOR_CELLS)
        total = weight.sum(axis=0)
        mean = (weight[..., None] * said).sum(axis=0) / np.maximum(total, 1e-12)[..., None]
        self.mean = _filled(mean, total > 0)
        self.of_readings = weight[..., None] * said + (1 - weight)[..., None] * self.mean
        self._donor, self._has = confusion.donor, cells.sum(axis=1) > 0

    def correct(self, said: Floats) -> Corrected:
        """Return the composition whose expected probabilities are nearest to those of a sample, at each depth.

        Parameters
        ----------
        said
            float64 `[N_DEPTHS, n_types]`: summed probabilities.
        """
        from scipy.optimize import nnls  # imported where it is used: it takes a while

        n_types = said.shape[1]
        weights = np.zeros((N_DEPTHS, n_types, n_types))
        for depth in np.flatnonzero(said.sum(axis=1) > 0):
            total = said[depth].sum()
            rows = np.vstack([self.mean[depth].T, np.full(n_types, _WEIGHT)])
            shares, _ = nnls(rows, np.append(said[depth] / total, _WEIGHT))
            active = shares > 0
            active[self._types.neutrophil] = True
            weights[depth] = _linear(rows, active)
        return Corrected(np.einsum("dts,ds->dt", weights, said), weights)

    @property
    def _speaks(self) -> npt.NDArray[np.bool_]:
        """Readings of neutrophils and of other counted cells, bool `[n_readings]`."""
        other = self._types.counted & (np.arange(self._types.n_types) != self._types.neutrophil)
        return np.asarray(self._has[:, self._types.neutrophil] & self._has[:, other].any(axis=1))

    @property
    def n_donors(self) -> int:
        """Donors whose neutrophils and other counted cells were read."""
        return len(np.unique(self._donor[self._speaks]))

    def shifts(self, corrected: Corrected) -> Floats:
        """Return by how much the share of a sample would be off if it were read as each donor was, float64.

        The probabilities that the donor's cells would get are corrected as those of all donors. One value for each
        reading of a donor that has neutrophils and other counted cells.
        """
        types, chosen = self._types, self._speaks
        said = np.einsum("dt,ndts->nds", corrected.cells, self.of_readings[chosen])
        cells = np.einsum("dts,nds->ndt", corrected.weights, said)
        return np.array([types.share(of_donor) for of_donor in cells]) - types.share(corrected.cells)


def _linear(rows: Floats, active: npt.NDArray[np.bool_]) -> Floats:
    """Return the linear map of the fit with these types alone, `[n_types, n_types]`, zero rows for the others."""
    inverse = np.linalg.pinv(rows[:, active])
    linear = np.zeros((len(active), len(active)))
    linear[active] = inverse[:, :-1] + _WEIGHT * inverse[:, -1:]
    return linear


def _filled(mean: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """Return the means with those of the nearest depth, or the type itself, where nothing is known."""
    depths = np.arange(len(mean))
    for kind in range(mean.shape[1]):
        at = np.flatnonzero(known[:, kind])
        for depth in depths[~known[:, kind]]:
            mean[depth, kind] = mean[at[np.abs(at - depth).argmin()], kind] if len(at) else np.eye(mean.shape[1])[kind]
    return mean
