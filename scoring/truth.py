"""What a simulated file says was really there, by sample: for marks beside the estimates, never for scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.labels import CellOntology

_CELLS_AT_ONCE = 2**16


def true_burden(
    sample: npt.NDArray[np.integer],
    node: npt.NDArray[np.integer],
    tumor_stage: pd.Categorical,
    lost: npt.NDArray[np.bool_],
    *,
    sample_ids: list[str],
    ontology: CellOntology,
) -> pd.DataFrame:
    """Count the true burden of each sample.

    Parameters
    ----------
    sample
        int `[n_cells]`, index in `sample_ids`.
    node
        int `[n_cells]`, true node of the ontology.
    tumor_stage
        Text `[n_cells]`, true stage of the cell's sample.
    lost
        bool `[n_cells]`, whether the sample lost its neutrophils in capture: it gets no row, because what is left of it
        is no truth about the tissue.
    sample_ids, ontology
        Names of the samples; label tree.

    Returns
    -------
    DataFrame
        `sample_id`, `burden_percent` (percent of the burden's denominator), `tumor_stage`.
    """
    outside = ontology.below(*ontology.roles.outside_denominator)
    counts = ~np.any(ontology.leaves_below & outside, axis=1)
    is_neutrophil = counts & np.any(ontology.leaves_below & ontology.below(ontology.roles.neutrophil), axis=1)
    n_cells, n_counted, n_neutrophils = np.zeros((3, len(sample_ids)), dtype=np.int64)
    stage = np.full(len(sample_ids), -1)
    for first in range(0, len(sample), _CELLS_AT_ONCE):
        part = slice(first, first + _CELLS_AT_ONCE)
        here, kind = sample[part][~lost[part]], node[part][~lost[part]]
        n_cells += _by_sample(here, len(sample_ids))
        n_counted += _by_sample(here[counts[kind]], len(sample_ids))
        n_neutrophils += _by_sample(here[is_neutrophil[kind]], len(sample_ids))
        stage[sample[part]] = tumor_stage.codes[part]
    kept = np.flatnonzero(n_cells)
    return pd.DataFrame(
        {
            "sample_id": [sample_ids[i] for i in kept],
            "burden_percent": 100 * n_neutrophils[kept] / np.where(n_counted > 0, n_counted, np.nan)[kept],
            "tumor_stage": np.append(tumor_stage.categories.astype(str), "")[stage[kept]],
        }
    )


def _by_sample(sample: npt.NDArray[np.integer], n_samples: int) -> npt.NDArray[np.int64]:
    """Return how many cells each sample has, int64 `[n_samples]`."""
    return np.bincount(sample, minlength=n_samples)
