"""The composition of samples as centred log ratios, so that one type's rise is not every other type's fall."""

from __future__ import annotations

import numpy as np
import pandas as pd

from schema.labels import TYPE_LEVEL, CellOntology

FRACTION = "fraction_"

MIN_TYPE_CELLS = 10.0
"""Expected cells of a type over all compared samples: a rarer one is noise, and would be in every other's mean."""

_HALF = 0.5
"""Cells that are added to each type: the logarithm of none has no value."""


def log_ratios(samples: pd.DataFrame, ontology: CellOntology) -> pd.DataFrame:
    """Return the centred log ratio of each type in each sample.

    As Aitchison (1982, doi 10.1111/j.2517-6161.1982.tb01195.x): log(cells of the type) minus the mean of that over
    types; half a cell is added to each. Types that the burden does not count (erythroid cells, platelets, ambient
    droplets, doublets) are left out first, and rare ones.

    Parameters
    ----------
    samples
        As samples.csv.
    ontology
        Names the types that the burden does not count.

    Returns
    -------
    DataFrame
        float64, one row per sample, one column per type (its id); none where fewer than two types are frequent enough.
    """
    types = [name for name in samples.columns if name.startswith(FRACTION)]
    outside = ontology.below(*ontology.roles.outside_denominator)
    not_counted = {
        ontology.nodes[node].id
        for node in ontology.nodes_at(TYPE_LEVEL)
        if (ontology.leaves_below[node] <= outside).all()
    }
    shares = samples[[name for name in types if name.removeprefix(FRACTION) not in not_counted]].fillna(0.0)
    described = (samples["n_cells"] - samples["n_low_counts"]).to_numpy(dtype=np.float64)
    cells = shares.mul(described, axis=0)
    cells = cells.loc[:, cells.sum() >= MIN_TYPE_CELLS]
    if cells.shape[1] < 2:
        return pd.DataFrame(index=samples.index)
    logs = np.log(cells.to_numpy(dtype=np.float64) + _HALF)
    ratios = logs - logs.mean(axis=1, keepdims=True)
    return pd.DataFrame(ratios, index=samples.index, columns=[name.removeprefix(FRACTION) for name in cells.columns])
