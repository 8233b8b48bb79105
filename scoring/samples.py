"""The rows of samples.csv, put together from facts, burden and stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.labels import CellOntology
from schema.predictions import (
    BELOW_LIMIT,
    DETECTED,
    NBS,
    NBS_CD45,
    NOT_ASSESSABLE,
    SAMPLE_COLUMNS,
    Column,
    check_columns,
    fraction_columns,
    sample_columns,
    state_columns,
)
from schema.preparation import Preparation
from schema.stages import StageScale
from scoring.assessability import SampleEvidence, assess
from scoring.burden import ESTIMATORS
from scoring.sample_facts import SampleFacts
from scoring.stages import StageEvidence, stage_names, stage_notes, stage_probabilities

Floats = npt.NDArray[np.float64]

BURDEN_DENOMINATOR = "viable nucleated singlets, without erythroid cells and platelets"
CD45_DENOMINATOR = "CD45+ viable nucleated singlets, without erythroid cells and platelets"

_ESTIMATES = tuple(f"burden_{name}_percent" for name in ESTIMATORS)


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What holds for all samples of a run.

    Attributes
    ----------
    genes_found_percent
        Percent of the vocabulary that the file measured.
    training_has_neutrophils
        Whether any cell that the bundle was trained on is labelled a neutrophil.
    n_reference_donors
        Held-out donors whose error rates the interval draws from.
    by_orthologs
        Whether the file's species is not the bundle's.
    unfiltered
        Whether the file holds all droplets, most of them without a cell.
    knows_ambient
        Whether the bundle was trained on droplets of ambient RNA.
    limit_percent
        Limit of detection of the bundle; NaN where none is known.
    """

    genes_found_percent: float
    training_has_neutrophils: bool
    n_reference_donors: int
    by_orthologs: bool
    unfiltered: bool = False
    knows_ambient: bool = True
    limit_percent: float = math.nan


def assemble_samples(
    sample_ids: Sequence[str],
    facts: SampleFacts,
    burden: pd.DataFrame,
    stage: StageEvidence | None,
    ood_percent: Floats,
    *,
    ontology: CellOntology,
    scale: StageScale | None,
    run: RunFacts,
    preparation: Preparation | None = None,
) -> pd.DataFrame:
    """Return samples.csv as a table, exactly as `schema.predictions.sample_columns` states it.

    Parameters
    ----------
    sample_ids
        Names of the samples, `[n_samples]`.
    facts
        From `SampleFactsAccumulator`.
    burden
        From `BurdenAccumulator.estimate`, one row per sample.
    stage
        What the bundle says of the stage; None where it has learnt none.
    ood_percent
        float64 `[n_samples]`: percent of rows out of distribution.
    ontology, scale
        Of the bundle; no scale, no stage columns.
    run
        What holds for all samples.
    preparation
        How each sample was prepared; None = unsorted cells.

    Raises
    ------
    ValueError
        If the parts are not of one length.
    """
    n_samples = len(sample_ids)
    if {len(facts.n_cells), len(burden)} != {n_samples}:
        raise ValueError(f"Expected {n_samples} samples but got {len(facts.n_cells)} and {len(burden)}.")
    notes = stage_notes(stage, n_samples, run.genes_found_percent)
    prepared = preparation or Preparation.plain(n_samples)
    evidence = _evidence(facts, burden, ood_percent, run, prepared)
    table = pd.concat(
        [
            pd.DataFrame({"sample_id": list(sample_ids), "n_cells": facts.n_cells}),
            pd.DataFrame({"n_low_counts": facts.n_low_counts, "n_ambient": facts.n_ambient}),
            _burden_part(burden, evidence, run, prepared),
            stage_names(stage, scale, notes),
            _depth_part(facts, ontology, run).assign(ood_percent=ood_percent),
            stage_probabilities(stage, scale, notes),
            _named(facts.fractions(ontology), fraction_columns(ontology)),
            _named(facts.states(ontology), state_columns(ontology)),
        ],
        axis=1,
    )
    columns = sample_columns(ontology, scale)
    check_columns(table, columns)
    return table.astype({column.name: column.dtype for column in columns})


def _evidence(
    facts: SampleFacts, burden: pd.DataFrame, ood_percent: Floats, run: RunFacts, prepared: Preparation
) -> list[SampleEvidence]:
    half_width = (burden["burden_high"] - burden["burden_low"]).to_numpy(np.float64) / 2
    return [
        SampleEvidence(
            n_cells=int(facts.n_cells[i]),
            n_denominator=float(burden["n_denominator"].iloc[i]),
            n_neutrophils=float(burden["n_neutrophils"].iloc[i]),
            burden_low=float(burden["burden_low"].iloc[i]),
            low_count_percent=float(facts.low_count_percent[i]),
            min_genes=int(facts.min_genes[i]),
            edge_genes=int(facts.edge_genes[i]),
            genes_found_percent=run.genes_found_percent,
            training_has_neutrophils=run.training_has_neutrophils,
            n_reference_donors=run.n_reference_donors,
            by_orthologs=run.by_orthologs,
            unfiltered=run.unfiltered,
            knows_ambient=run.knows_ambient,
            strange_percent=float(ood_percent[i]),
            gate=prepared.gate[i],
            suspension=prepared.suspension[i],
            burden_percent=float(burden["burden_percent"].iloc[i]),
            half_width=float(half_width[i]),
            other_estimates={name: float(burden[f"burden_{name}_percent"].iloc[i]) for name in ESTIMATORS},
            limit_percent=run.limit_percent,
        )
        for i in range(len(burden))
    ]


def _burden_part(
    burden: pd.DataFrame, evidence: Sequence[SampleEvidence], run: RunFacts, prepared: Preparation
) -> pd.DataFrame:
    verdicts, is_cd45 = [assess(of_sample) for of_sample in evidence], prepared.is_cd45_sorted
    not_assessable = np.array([verdict.assessability == NOT_ASSESSABLE for verdict in verdicts], dtype=bool)
    values = ["burden_percent", "burden_low", "burden_high", *_ESTIMATES]
    part = burden[["n_denominator", "n_neutrophils", *values, "burden_estimator"]].reset_index(drop=True)
    part.loc[not_assessable, values] = np.nan
    below = [BELOW_LIMIT if of_sample.is_below_limit else DETECTED for of_sample in evidence]
    part = part.assign(
        burden_name=np.where(is_cd45, NBS_CD45, NBS),
        burden_denominator=np.where(is_cd45, CD45_DENOMINATOR, BURDEN_DENOMINATOR),
        assessability=[verdict.assessability for verdict in verdicts],
        flags=["; ".join(verdict.flags) for verdict in verdicts],
        lod_percent=run.limit_percent,
        detection=np.where(not_assessable | np.isnan(run.limit_percent), "", below),
        sort_gate=list(prepared.gate),
        suspension=list(prepared.suspension),
    )
    return part[[column.name for column in SAMPLE_COLUMNS if column.name in part]]


def _depth_part(facts: SampleFacts, ontology: CellOntology, run: RunFacts) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "median_library_size": facts.median_library_size,
            "low_count_percent": facts.low_count_percent,
            "min_genes": facts.min_genes,
            "genes_found_percent": run.genes_found_percent,
            "outside_denominator_percent": facts.outside_denominator_percent(ontology),
        }
    )


def _named(values: Floats, columns: tuple[Column, ...]) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[column.name for column in columns])
