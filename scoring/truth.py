"""What a simulated file says was really there, by sample: for marks beside the estimates, never for scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.labels import CellOntology


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
    counted, neutrophil = counts[node], is_neutrophil[node]
    kept = np.flatnonzero(_cells_of(sample, ~lost, len(sample_ids)))
    n_neutrophils, n_counted = (
        _cells_of(sample, which & ~lost, len(sample_ids))[kept] for which in (neutrophil, counted)
    )
    stage = np.full(len(sample_ids), -1)
    stage[sample] = tumor_stage.codes
    return pd.DataFrame(
        {
            "sample_id": [sample_ids[i] for i in kept],
            "burden_percent": 100 * n_neutrophils / np.where(n_counted > 0, n_counted, np.nan),
            "tumor_stage": np.append(tumor_stage.categories.astype(str), "")[stage[kept]],
        }
    )


def _cells_of(sample: npt.NDArray[np.integer], which: npt.NDArray[np.bool_], n_samples: int) -> npt.NDArray[np.int64]:
    """Return how many of some cells each sample has, int64 `[n_samples]`."""
    return np.bincount(sample[which], minlength=n_samples)
