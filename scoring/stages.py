"""The stage of samples as columns: what is said with and without neutrophils, or why nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.labels import TYPE_LEVEL, CellOntology
from schema.predictions import STAGE_TYPE_COLUMNS, check_columns, stage_columns
from schema.stages import StageScale

MIN_CELLS = 100
"""Counted cells below which nothing is said of the stage of a sample."""
MIN_GENES_PERCENT = 30.0
"""Percent of the bundle's genes that must be measured."""

NO_STAGE, NOT_SUPPORTED = "no stage was learnt", "not supported by the training data"

ATTENTION_SHARE, LOG_ODDS = "share of attention", "log odds of a later stage"
"""Kinds of weight in stage_types.csv."""

Floats = npt.NDArray[np.floating]


class StageEvidence(NamedTuple):
    """What a bundle says of the stage of samples.

    Attributes
    ----------
    at_least, at_least_without
        float64 `[n_samples, n_levels - 1]`, P(stage >= k), with and without neutrophils.
    pull
        float64 `[n_samples, n_types]`, what speaks for the stage, by type (level 2).
    n_counted
        float `[n_samples]`, cells that it rests on.
    by_attention
        Whether `pull` is a share of attention; else it is log odds added, over the mean training sample.
    refusal
        Why the training data support no stage; "" where they do.
    """

    at_least: Floats
    at_least_without: Floats
    pull: Floats
    n_counted: Floats
    by_attention: bool
    refusal: str


def stage_notes(evidence: StageEvidence | None, n_samples: int, genes_found_percent: float) -> list[str]:
    """Return why nothing is said of the stage of each sample; "" where something is."""
    if evidence is None:
        return [NO_STAGE] * n_samples
    if evidence.refusal:
        return [f"{NOT_SUPPORTED}: {evidence.refusal}"] * n_samples
    if genes_found_percent < MIN_GENES_PERCENT:
        return [f"fewer than {MIN_GENES_PERCENT:.0f} % of the genes were measured"] * n_samples
    few = f"fewer than {MIN_CELLS} cells"
    return [few if n < MIN_CELLS else "" for n in evidence.n_counted]


def stage_names(evidence: StageEvidence | None, scale: StageScale | None, notes: Sequence[str]) -> pd.DataFrame:
    """Return the most probable and the expected level, each also without neutrophils, and the notes."""
    found: dict[str, Sequence[str] | Floats] = {}
    parts = (None, None) if evidence is None else (evidence.at_least, evidence.at_least_without)
    for suffix, part in zip(("", "_without_neutrophils"), parts, strict=True):
        names, expected = [""] * len(notes), np.full(len(notes), np.nan)
        if part is not None and scale is not None:
            at_least = _shown(part, notes)
            expected = at_least.sum(axis=1)
            best = _levels(at_least).argmax(axis=1)
            names = [scale.levels[code].name if not note else "" for code, note in zip(best, notes, strict=True)]
        found[f"predicted_tumor_stage{suffix}"], found[f"tumor_stage_expected{suffix}"] = names, expected
    return pd.DataFrame(found | {"tumor_stage_note": list(notes) if scale is not None else [""] * len(notes)})


def stage_probabilities(evidence: StageEvidence | None, scale: StageScale | None, notes: Sequence[str]) -> pd.DataFrame:
    """Return P(stage >= level) for every level but the lowest; blank where nothing is said."""
    if scale is None:
        return pd.DataFrame(index=range(len(notes)))
    columns = [column.name for column in stage_columns(scale)]
    blank = np.full((len(notes), len(columns)), np.nan)
    return pd.DataFrame(_shown(evidence.at_least, notes) if evidence is not None else blank, columns=columns)


def stage_types(
    evidence: StageEvidence | None,
    sample_ids: Sequence[str],
    notes: Sequence[str],
    fractions: Floats,
    ontology: CellOntology,
) -> pd.DataFrame:
    """Return stage_types.csv: what each type of each sample says for its stage, beside its share of the cells.

    Parameters
    ----------
    evidence, notes
        What is said, and why not; samples with a note have no rows.
    sample_ids
        Names, `[n_samples]`.
    fractions
        float `[n_samples, n_types]`, share of the rows of a sample by type.
    ontology
        Label tree.
    """
    names = [column.name for column in STAGE_TYPE_COLUMNS]
    rows = []
    types = ontology.nodes_at(TYPE_LEVEL)
    for number, (sample, note) in enumerate(zip(sample_ids, notes, strict=True)):
        if evidence is None or note:
            continue
        for place, node in enumerate(types.tolist()):
            weight = float(evidence.pull[number, place])
            if weight != 0:
                kind = ATTENTION_SHARE if evidence.by_attention else LOG_ODDS
                about = (sample, ontology.nodes[node].id, ontology.nodes[node].name)
                rows.append((*about, float(fractions[number, place]), weight, kind))
    table = pd.DataFrame(rows, columns=names).astype({c.name: c.dtype for c in STAGE_TYPE_COLUMNS})
    check_columns(table, STAGE_TYPE_COLUMNS)
    return table


def _shown(at_least: Floats, notes: Sequence[str]) -> npt.NDArray[np.float64]:
    blank = np.array([bool(note) for note in notes])
    return np.where(blank[:, None], np.nan, np.clip(at_least, 0, 1))


def _levels(at_least: Floats) -> Floats:
    """Return the probability of each level; a sample without any gets the lowest."""
    ends = np.ones((len(at_least), 1)), np.zeros((len(at_least), 1))
    known = np.nan_to_num(at_least)
    return np.hstack([ends[0], known]) - np.hstack([known, ends[1]])
