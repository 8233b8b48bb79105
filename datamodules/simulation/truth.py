"""What is true of a simulated cohort: obs columns of every barcode and a table of every sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from datamodules.simulation.cohort import SimulatedSample
from schema.labels import CellOntology
from schema.stages import StageScale

STAGE_SCALE = "mouse_carcinogenesis"
TISSUE, SORT_GATE = "mammary gland", "unsorted"
DOUBLET = "DOUBLET"


@dataclass(frozen=True)
class SampleTruth:
    """What one sample holds.

    Attributes
    ----------
    sample
        Which sample.
    kind
        int16 `[n_called]`: node index of each barcode in the file.
    ambient_fraction
        float32 `[n_called]`: expected share of its counts that is ambient.
    kind_in_tissue
        int16 `[n_droplets]`: node index of every barcode, also those that were never called.
    """

    sample: SimulatedSample
    kind: npt.NDArray[np.int16]
    ambient_fraction: npt.NDArray[np.float32]
    kind_in_tissue: npt.NDArray[np.int16]


def burden_percent(ontology: CellOntology, kind: npt.NDArray[np.int16]) -> float:
    """Return neutrophils per 100 viable nucleated singlets (no erythroid cells, platelets, ambient RNA or doublets)."""
    counted = ~np.isin(kind, _nodes_below(ontology, *ontology.roles.outside_denominator))
    neutrophil = np.isin(kind, _nodes_below(ontology, ontology.roles.neutrophil))
    return float(100 * neutrophil.sum() / counted.sum()) if counted.any() else float("nan")


def sample_table(ontology: CellOntology, truths: Sequence[SampleTruth]) -> pd.DataFrame:
    """Return one row per sample: who, true burden in percent, state shares in the tissue (NaN = no neutrophil)."""
    return (
        pd.DataFrame([_sample_row(ontology, truth) for truth in truths])
        .set_index("sample_id", drop=False)
        .rename_axis(None)
    )


def _sample_row(ontology: CellOntology, truth: SampleTruth) -> dict[str, Any]:
    sample, in_tissue = truth.sample, truth.kind_in_tissue
    n_neutrophils = int(np.isin(in_tissue, _nodes_below(ontology, ontology.roles.neutrophil)).sum())
    states = [node.id for node in ontology.nodes if node.parent == ontology.roles.neutrophil]
    return {
        "sample_id": sample.sample_id,
        "donor_id": sample.donor_id,
        "study": _study(sample),
        "tumor_stage": StageScale.load(STAGE_SCALE).levels[sample.stage].name,
        "neutrophils_lost": sample.neutrophils_lost,
        "n_cells": len(truth.kind),
        "n_cells_in_tissue": len(in_tissue),
        "n_neutrophils_in_tissue": n_neutrophils,
        "true_burden_percent": burden_percent(ontology, truth.kind),
        "true_burden_percent_in_tissue": burden_percent(ontology, in_tissue),
    } | {f"true_share_{s}": _share(in_tissue == ontology.index_by_id[s], n_neutrophils) for s in states}


def _share(hits: npt.NDArray[np.bool_], total: int) -> float:
    return float(hits.sum() / total) if total else float("nan")


def build_obs(ontology: CellOntology, truths: Sequence[SampleTruth], species: str) -> pd.DataFrame:
    """Return the obs of a file: what is true of every barcode, samples in order."""
    samples = [truth.sample for truth in truths]
    kind = np.concatenate([truth.kind for truth in truths])
    sample = np.repeat(np.arange(len(samples)), [len(truth.kind) for truth in truths])
    stages = [level.name for level in StageScale.load(STAGE_SCALE).levels]
    neutrophils = set(_nodes_below(ontology, ontology.roles.neutrophil).tolist())
    states = [node.id if code in neutrophils else "" for code, node in enumerate(ontology.nodes)]
    columns = {
        "sample_id": _categorical([s.sample_id for s in samples], sample),
        "donor_id": _categorical([s.donor_id for s in samples], sample),
        "study": _categorical([_study(s) for s in samples], sample),
        "species": _categorical([species for _ in samples], sample),
        "tissue": _categorical([TISSUE for _ in samples], sample),
        "tumor_stage": _categorical([stages[s.stage] for s in samples], sample),
        "sort_gate": _categorical([SORT_GATE for _ in samples], sample),
        "cell_type": _categorical([node.name for node in ontology.nodes], kind),
        "true_cell_type_id": _categorical([node.id for node in ontology.nodes], kind),
        "true_neutrophil_state": _categorical(states, kind),
        "ambient_fraction": np.concatenate([truth.ambient_fraction for truth in truths]),
        "is_doublet": np.isin(kind, _nodes_below(ontology, DOUBLET)),
        "neutrophils_lost": np.array([s.neutrophils_lost for s in samples])[sample],
        "simulated": np.ones(len(kind), dtype=bool),
    }
    numbers = np.concatenate([np.arange(1, len(truth.kind) + 1) for truth in truths])
    names = [f"{samples[s].sample_id}_{n:06d}" for s, n in zip(sample, numbers, strict=True)]
    return pd.DataFrame(columns, index=pd.Index(names, dtype=object))


def _categorical(values: Sequence[str], codes: npt.NDArray[np.integer[Any]]) -> pd.Categorical[str]:
    """Return `values[codes]` as a categorical with the values that occur, in order of their first code."""
    used = np.unique(codes)
    categories = list(dict.fromkeys(values[code] for code in used))
    position = np.zeros(len(values), dtype=np.int64)
    position[used] = [categories.index(values[code]) for code in used]
    return pd.Categorical.from_codes(position[codes], categories=pd.Index(categories, dtype=object))


def _study(sample: SimulatedSample) -> str:
    return f"simulated-study-{sample.study + 1}"


def _nodes_below(ontology: CellOntology, *ids: str) -> npt.NDArray[np.int64]:
    below = np.flatnonzero(ontology.below(*ids))
    return np.union1d(ontology.leaves[below], [ontology.index_by_id[i] for i in ids])
