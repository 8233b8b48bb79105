"""What every method says of the mixtures: ours and what it is made of, a cell bootstrap, and CellTypist."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.labels import CellOntology
from schema.predictions import read_samples

OURS, COUNTED, CALLED, EM, BOOTSTRAP = "ours", "counted", "argmax", "em", "cell bootstrap"
CELLTYPIST_SUM, CELLTYPIST_CALLS = "CellTypist, summed", "CellTypist, calls"
METHODS = (OURS, COUNTED, CALLED, EM, BOOTSTRAP, CELLTYPIST_SUM, CELLTYPIST_CALLS)
N_DRAWS = 500

Floats = npt.NDArray[np.floating]


def said_by_us(output: Path) -> pd.DataFrame:
    """Return estimates and intervals of predict.py, a row per sample: `sample_id`, then columns by method.

    The interval of the summed probabilities is that of a bootstrap of the cells alone.
    """
    samples, cells = read_samples(output / "samples.csv"), pd.read_parquet(output / "cells.parquet")
    ours = {"burden_percent": OURS, "burden_low": f"{OURS}_low", "burden_high": f"{OURS}_high"}
    parts = {"burden_counted_percent": COUNTED, "burden_called_percent": CALLED, "burden_em_percent": EM}
    beside = ["sample_id", "assessability", "lod_percent", "detection", "flags"]
    found = samples[[*beside, *ours, *parts]].rename(columns=ours | parts)
    columns = ["neutrophil_probability", "denominator_probability"]
    drawn = {
        name: _bootstrap(of_sample[columns].to_numpy(np.float64)) for name, of_sample in cells.groupby("sample_id")
    }
    bounds = np.array([drawn[name] for name in found["sample_id"]]).reshape(-1, 2)
    found[BOOTSTRAP] = found[COUNTED]
    found[f"{BOOTSTRAP}_low"], found[f"{BOOTSTRAP}_high"] = bounds.T
    return found


def said_by_celltypist(
    classes: npt.NDArray[np.str_], probabilities: Floats, sample: npt.NDArray[np.str_], ontology: CellOntology
) -> pd.DataFrame:
    """Return the percentage of neutrophils among counted classes by sample, summed and called.

    Parameters
    ----------
    classes, probabilities
        Node ids `[n_classes]`, and one-against-the-rest probabilities `[n_cells, n_classes]`.
    sample
        Sample of each cell.
    ontology
        Tree of the classes.
    """
    node = np.array([ontology.index_by_id[name] for name in classes])
    is_neutrophil = ontology.inside(ontology.roles.neutrophil)[node]
    is_counted = ~ontology.inside(*ontology.roles.outside_denominator)[node]
    called = probabilities.argmax(axis=1)
    cells = pd.DataFrame(
        {
            "sample_id": sample,
            "neutrophil": probabilities[:, is_neutrophil].sum(axis=1),
            "counted": probabilities[:, is_counted].sum(axis=1),
            "called_neutrophil": is_neutrophil[called],
            "called_counted": is_counted[called],
        }
    )
    sums = cells.groupby("sample_id").sum()
    found = {
        CELLTYPIST_SUM: 100 * sums["neutrophil"] / sums["counted"],
        CELLTYPIST_CALLS: 100 * sums["called_neutrophil"] / sums["called_counted"],
    }
    return pd.DataFrame(found).reset_index()


def _bootstrap(cells: Floats) -> tuple[float, float]:
    """Return the 95 % interval of the ratio of sums, percent, over resampled cells `[n_cells, 2]`."""
    rng = np.random.default_rng(len(cells))
    sums = rng.multinomial(len(cells), np.full(len(cells), 1 / len(cells)), size=N_DRAWS) @ cells
    low, high = 100 * np.quantile(sums[:, 0] / sums[:, 1], [0.025, 0.975])
    return float(low), float(high)
