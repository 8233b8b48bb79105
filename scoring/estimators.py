"""Neutrophils among counted cells, by the three estimators that need no held-out donors."""

from __future__ import annotations

import numpy as np

from scoring.burden_sketch import SampleSums
from scoring.burden_types import BurdenTypes

_MOST_STEPS, _CLOSE = 1000, 1e-9


def counted_share(sums: SampleSums, types: BurdenTypes) -> float:
    """Return the ratio of summed probabilities (probabilistic classify and count, Bella et al. 2010); NaN for none."""
    return types.share(sums.by_type)


def called_share(sums: SampleSums) -> float:
    """Return cells called neutrophil among those called any counted type (classify and count); NaN for none."""
    neutrophils, counted = sums.n_called
    return float(neutrophils / counted) if counted else float("nan")


def em_share(sums: SampleSums, prior: float) -> float:
    """Return the share at which the probabilities, moved to it from the training prior, have it as their mean.

    Expectation maximisation of Saerens et al. 2002 (10.1162/089976602753284446) with two classes, neutrophils and other
    counted cells, on the histogram of the cells' shares: exact but for the width of its bins, in which all cells take
    the mean share of their bin.

    Parameters
    ----------
    sums
        Of the sample.
    prior
        Share of neutrophils among counted cells that the probabilities imply, between 0 and 1.

    Returns
    -------
    float
        Share, NaN where no cell is counted.
    """
    used = sums.by_share[:, 1] > 0
    neutrophil, counted = sums.by_share[used].T
    if not len(counted):
        return float("nan")
    share, total = neutrophil / counted, float(counted.sum())
    found = float(neutrophil.sum()) / total
    for _ in range(_MOST_STEPS):
        for_neutrophil, for_others = share * found / prior, (1 - share) * (1 - found) / (1 - prior)
        either = for_neutrophil + for_others
        moved = np.divide(for_neutrophil, either, out=share.copy(), where=either > 0)
        before, found = found, float(moved @ counted) / total
        if abs(found - before) < _CLOSE:
            break
    return found
