"""All that the burden of a sample is made of, in 3.2 KB per sample: exact sums, whatever the order of the cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schema.depths import N_DEPTHS, depth_of
from scoring.burden_types import BurdenTypes

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
AnyFloats = npt.NDArray[np.floating]

UNIT = 2.0**24
"""Probabilities are summed as whole multiples of 2^-24 (float32's precision) in 64 bits: exact up to 2^39 cells."""

SHARE_EDGES = 1 / (1 + np.exp(-np.arange(-9, 9.125, 0.25)))
"""Edges of the bins of a cell's neutrophil share among what is counted: a quarter of a unit of log odds wide."""

N_BINS = len(SHARE_EDGES) + 1


class SampleSums(NamedTuple):
    """Sums over the cells of a sample.

    Attributes
    ----------
    n_cells
        Cells.
    by_type
        float64 `[N_DEPTHS, n_types]`: probabilities of the types, by depth of the cell.
    squares
        float64 `[N_DEPTHS, 3, 3]`: sums of products of neutrophil, other counted and not counted probability.
    by_share
        float64 `[N_BINS, 2]`: neutrophil and counted probability, by the first among the second.
    n_called
        int64 `[2]`: cells called neutrophil, and called any type that is counted.
    """

    n_cells: int
    by_type: Floats
    squares: Floats
    by_share: Floats
    n_called: Integers


class BurdenSketch:
    """Sums of every sample, fed block by block; the same to the last bit however the cells are cut and mixed.

    Parameters
    ----------
    types
        What each sample's burden counts, `[n_samples]`; of one tree.
    n_types
        Types of the tree.
    """

    def __init__(self, types: Sequence[BurdenTypes], n_types: int) -> None:
        n_samples, self._types = len(types), types
        self._n_cells = np.zeros(n_samples, dtype=np.int64)
        self._by_type = np.zeros((n_samples, N_DEPTHS, n_types), dtype=np.int64)
        self._squares = np.zeros((n_samples, N_DEPTHS, len(_PAIRS)), dtype=np.int64)
        self._by_share = np.zeros((n_samples, N_BINS, 2), dtype=np.int64)
        self._called = np.zeros((n_samples, 2), dtype=np.int64)

    def update(self, code: int, probabilities: AnyFloats, library_size: AnyFloats) -> None:
        """Add cells of one sample.

        Parameters
        ----------
        code
            Index of the sample.
        probabilities
            float `[n_cells, n_leaves]`, calibrated.
        library_size
            float `[n_cells]`, UMI over all genes.

        Raises
        ------
        ValueError
            If a probability is not one.
        """
        types = self._types[code]
        values = np.asarray(probabilities, dtype=np.float64)
        if not np.all((values >= 0) & (values <= 1 + 1e-6)):
            raise ValueError("Expected probabilities in 0..1.")
        fixed = np.round(values @ types.of_leaves.T * UNIT).astype(np.int64)
        of_type, depth = fixed / UNIT, depth_of(library_size)
        lumped = types.lumped(of_type)
        self._n_cells[code] += len(values)
        np.add.at(self._by_type[code], depth, fixed)
        products = np.stack([lumped[:, i] * lumped[:, j] for i, j in _PAIRS], axis=1)
        np.add.at(self._squares[code], depth, np.round(products * UNIT).astype(np.int64))
        neutrophil, counted = fixed[:, types.neutrophil], fixed[:, types.counted].sum(axis=1)
        share = np.divide(neutrophil, counted, out=np.zeros(len(values)), where=counted > 0)
        np.add.at(self._by_share[code], np.searchsorted(SHARE_EDGES, share), np.stack([neutrophil, counted], axis=1))
        called = of_type.argmax(axis=1)
        self._called[code] += [(called == types.neutrophil).sum(), types.counted[called].sum()]

    def sums(self, code: int) -> SampleSums:
        """Return the sums of a sample."""
        squares = np.zeros((N_DEPTHS, 3, 3))
        for position, (i, j) in enumerate(_PAIRS):
            squares[:, i, j] = squares[:, j, i] = self._squares[code, :, position] / UNIT
        return SampleSums(
            int(self._n_cells[code]),
            self._by_type[code] / UNIT,
            squares,
            self._by_share[code] / UNIT,
            self._called[code].copy(),
        )


_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Places of a symmetric matrix of three that are kept."""
