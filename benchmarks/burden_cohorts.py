"""New mice of a cohort's tissue along carcinogenesis: whether the burden rises, and what must not be said is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import kendalltau

from benchmarks.burden_pools import with_neutrophils
from datamodules.simulation.cohort import N_STUDIES, SimulatedSample
from datamodules.simulation.config import SimulationConfig
from datamodules.simulation.design import N_STAGES
from datamodules.simulation.sample import SampleSimulator, called_barcodes
from schema.labels import CellOntology
from schema.predictions import NOT_ASSESSABLE
from schema.stages import StageScale

FIRST_MOUSE = 101
"""Number of the first new mouse: none of the cohort has it."""
PEAK_PERCENT = 17.6
"""Neutrophils beside 100 of all others in a gland in which they come and go as it develops: 15 % of its cells."""
RISES, LOST, PEAK = "rises", "lost", "peak"
SCALE, EARLY_CARCINOMA = "mouse_carcinogenesis", 3


def write_cohorts(config: SimulationConfig, n_cohorts: int, path: Path) -> pd.DataFrame:
    """Write new cohorts: a mouse of each stage and study, one that lost its neutrophils, and glands at their peak.

    Returns
    -------
    DataFrame
        One row per sample: `sample_id`, `cohort`, `kind` and `stage`.
    """
    ontology = CellOntology.load()
    plain = SampleSimulator(config, ontology)
    at_peak = with_neutrophils(config, ontology, PEAK_PERCENT)
    counts, rows = [], []
    for cohort in range(n_cohorts):
        mice = [(RISES, plain, study, stage) for study in range(N_STUDIES) for stage in range(N_STAGES)]
        mice += [(LOST, plain, 1, N_STAGES - 1), (PEAK, at_peak, 0, 0), (PEAK, at_peak, 1, 0)]
        for kind, simulator, study, stage in mice:
            mouse, is_lost = FIRST_MOUSE + cohort, kind == LOST
            sample = SimulatedSample(study=study, stage=stage, mouse=mouse, held_out=True, neutrophils_lost=is_lost)
            counts.append(_counts(simulator, sample))
            rows.append({"sample_id": f"{kind}-{sample.sample_id}", "cohort": cohort, "kind": kind, "stage": stage})
    table = pd.DataFrame(rows)
    obs = table[["sample_id"]].loc[np.repeat(np.arange(len(rows)), [part.shape[0] for part in counts])]
    obs.index = pd.Index([f"cell-{i}" for i in range(len(obs))])
    genes = pd.DataFrame(index=list(plain.tissue.genes))
    ad.AnnData(X=sparse.vstack(counts, format="csr"), obs=obs, var=genes).write_h5ad(path)
    return table


def judge(table: pd.DataFrame) -> dict[str, Any]:
    """Return how many cohorts rise, and what is said of those that lost neutrophils and of glands at their peak.

    Parameters
    ----------
    table
        Rows of `write_cohorts` with `seed` and the columns of samples.csv.
    """
    rises = table[table["kind"] == RISES]
    found = [_rises(cohort) for _, cohort in rises.groupby(["seed", "cohort"])]
    lost, peak = table[table["kind"] == LOST], table[table["kind"] == PEAK]
    levels = [level.name for level in StageScale.load(SCALE).levels]
    called = [levels.index(name) for name in peak["predicted_tumor_stage"].dropna() if name in levels]
    return {
        "n_cohorts": len(found),
        "n_rising": sum(found),
        "n_lost": len(lost),
        "n_lost_not_assessable": int((lost["assessability"] == NOT_ASSESSABLE).sum()),
        "n_peak": len(called),
        "n_peak_early_carcinoma": sum(code >= EARLY_CARCINOMA for code in called),
        "peak_stages": {levels[code]: called.count(code) for code in sorted(set(called))},
        "peak_burden_percent": float(peak["burden_percent"].median()),
    }


def _rises(cohort: pd.DataFrame) -> bool:
    """Return whether burden rises with stage over the samples that have one: Kendall's tau, one-sided, below 0.05.

    With ties it is the trend test of Jonckheere and Terpstra.
    """
    known = cohort[cohort["burden_percent"].notna()]
    return bool(kendalltau(known["stage"], known["burden_percent"], alternative="greater").pvalue < 0.05)


def _counts(simulator: SampleSimulator, sample: SimulatedSample) -> sparse.csr_matrix:
    parts = list(simulator.draw_counts(sample, simulator.draw_droplets(sample)))
    return sparse.vstack([part[called_barcodes(sample, part)] for part in parts], format="csr")
