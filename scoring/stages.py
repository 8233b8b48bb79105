"""The stage of samples as columns: what is said with and without neutrophils, each by itself, or why nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.labels import TYPE_LEVEL, CellOntology
from schema.predictions import (
    ALL_CELLS,
    ATTENTION_SHARE,
    LOG_ODDS,
    STAGE_CELL_COLUMNS,
    STAGE_OUTPUTS,
    STAGE_TYPE_COLUMNS,
    Column,
    check_columns,
    stage_columns,
)
from schema.stages import StageScale

MIN_CELLS = 100
"""Counted cells below which nothing is said of the stage of a sample."""
MIN_GENES_PERCENT = 30.0
"""Percent of the bundle's genes that must be measured."""

NO_STAGE, NOT_SUPPORTED = "no stage was learnt", "not supported by the training data"

SUFFIXES = dict(zip(STAGE_OUTPUTS, ("", "_without_neutrophils"), strict=True))
"""Ends of the names of the columns of samples.csv, by output."""

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Notes = dict[str, list[str]]
"""For each output, why nothing is said of each sample; "" where something is."""


class CellEvidence(NamedTuple):
    """The cells of most weight of each sample, by sample, heaviest first.

    Attributes
    ----------
    kind
        ATTENTION_SHARE or LOG_ODDS.
    sample, row, cell_type
        int64 `[n]`: index of the sample, row in the file, place of the called type (level 2).
    weight, mean
        float `[n]`: what the cell says by itself, and what mean pooling would give it.
    """

    kind: str
    sample: Ints
    row: Ints
    cell_type: Ints
    weight: Floats
    mean: Floats


class OutputEvidence(NamedTuple):
    """What a bundle says of the stage of samples, of what one output sees.

    Attributes
    ----------
    at_least
        float64 `[n_samples, n_levels - 1]`, P(stage >= k).
    log_odds, attention
        float64 `[n_samples, n_types]`, by type (level 2): log odds added, over the mean training sample; and the share
        of attention, all zero of heads without.
    cells
        The cells of most weight.
    n_counted
        float64 `[n_samples]`, cells that it rests on.
    refusal
        Why the training data support no stage; "" where they do.
    """

    at_least: Floats
    log_odds: Floats
    attention: Floats
    cells: CellEvidence
    n_counted: Floats
    refusal: str


StageEvidence = dict[str, OutputEvidence]
"""What a bundle says, by output of `schema.predictions.STAGE_OUTPUTS`."""


def stage_notes(evidence: StageEvidence | None, n_samples: int, genes_found_percent: float) -> Notes:
    """Return why nothing is said of the stage of each sample, by output."""
    if evidence is None:
        return {output: [NO_STAGE] * n_samples for output in STAGE_OUTPUTS}
    return {output: _notes(evidence[output], n_samples, genes_found_percent) for output in STAGE_OUTPUTS}


def _notes(evidence: OutputEvidence, n_samples: int, genes_found_percent: float) -> list[str]:
    if evidence.refusal:
        return [f"{NOT_SUPPORTED}: {evidence.refusal}"] * n_samples
    if genes_found_percent < MIN_GENES_PERCENT:
        return [f"fewer than {MIN_GENES_PERCENT:.0f} % of the genes were measured"] * n_samples
    few = f"fewer than {MIN_CELLS} cells"
    return [few if n < MIN_CELLS else "" for n in evidence.n_counted]


def stage_names(evidence: StageEvidence | None, scale: StageScale | None, notes: Notes) -> pd.DataFrame:
    """Return the most probable and the expected level, and the notes, of each output."""
    found: dict[str, Sequence[str] | Floats] = {}
    for output, suffix in SUFFIXES.items():
        names, expected = [""] * len(notes[output]), np.full(len(notes[output]), np.nan)
        if evidence is not None and scale is not None:
            at_least = _shown(evidence[output].at_least, notes[output])
            expected = at_least.sum(axis=1)
            best = _levels(at_least).argmax(axis=1)
            pairs = zip(best, notes[output], strict=True)
            names = [scale.levels[code].name if not note else "" for code, note in pairs]
        found[f"predicted_tumor_stage{suffix}"], found[f"tumor_stage_expected{suffix}"] = names, expected
    for output, suffix in SUFFIXES.items():
        found[f"tumor_stage_note{suffix}"] = notes[output] if scale is not None else [""] * len(notes[output])
    return pd.DataFrame(found)


def stage_probabilities(evidence: StageEvidence | None, scale: StageScale | None, notes: Notes) -> pd.DataFrame:
    """Return P(stage >= level) for every level but the lowest; blank where nothing is said."""
    of_all = notes[ALL_CELLS]
    if scale is None:
        return pd.DataFrame(index=range(len(of_all)))
    columns = [column.name for column in stage_columns(scale)]
    if evidence is None:
        return pd.DataFrame(np.full((len(of_all), len(columns)), np.nan), columns=columns)
    return pd.DataFrame(_shown(evidence[ALL_CELLS].at_least, of_all), columns=columns)


def stage_types(
    evidence: StageEvidence | None, sample_ids: Sequence[str], notes: Notes, fractions: Floats, ontology: CellOntology
) -> pd.DataFrame:
    """Return stage_types.csv: what each type of each sample says for its stage, beside its share of the cells.

    Parameters
    ----------
    evidence, notes
        What is said, and why not; an output has no rows of samples with a note.
    sample_ids
        Names, `[n_samples]`.
    fractions
        float `[n_samples, n_types]`, share of the rows of a sample by type.
    ontology
        Label tree.
    """
    kinds, outputs = (ATTENTION_SHARE, LOG_ODDS), tuple(evidence or {})
    found = []  # of each output and kind: its place, samples, types, weights
    for place, (output, of) in enumerate((evidence or {}).items()):
        is_said = np.array([not note for note in notes[output]])[:, None]
        for kind, weights in enumerate((of.attention, of.log_odds)):
            sample, cell_type = np.nonzero(weights * is_said)
            about = np.full(len(sample), place * len(kinds) + kind)
            found.append((sample, about, cell_type, weights[sample, cell_type]))
    if not found:
        return _table(pd.DataFrame(), STAGE_TYPE_COLUMNS)
    sample, about, cell_type, weight = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((about // len(kinds), sample))  # kinds stay as they come
    sample, about, cell_type = sample[order], about[order], cell_type[order]
    names = _type_names(np.arange(fractions.shape[1]), ontology)
    table = {
        "sample_id": pd.array(_names(sample_ids)[sample], dtype="string"),
        "sees": pd.array(_names(outputs)[about // len(kinds)], dtype="string"),
        **{name: pd.array(of_types[cell_type], dtype="string") for name, of_types in names.items()},
        "cell_share": fractions[sample, cell_type],
        "weight": weight[order],
        "kind": pd.array(_names(kinds)[about % len(kinds)], dtype="string"),
    }
    rows = pd.DataFrame(table, copy=False)  # half a million rows where there are ten thousand samples: no copies
    check_columns(rows, STAGE_TYPE_COLUMNS)
    return rows


def stage_cells(
    evidence: StageEvidence | None, sample_ids: Sequence[str], notes: Notes, ontology: CellOntology
) -> pd.DataFrame:
    """Return stage_cells.csv, cell ids still blank: the cells of most weight of each sample, beside mean pooling.

    Parameters
    ----------
    evidence, notes
        What is said, and why not; an output has no rows of samples with a note.
    sample_ids
        Names, `[n_samples]`.
    ontology
        Label tree.
    """
    parts = []
    for output, of in (evidence or {}).items():
        is_said = np.array([not note for note in notes[output]])
        about = {
            "sample": of.cells.sample,
            "row": of.cells.row,
            "weight": of.cells.weight,
            "mean_weight": of.cells.mean,
        }
        names = _type_names(of.cells.cell_type, ontology)
        cells = pd.DataFrame({**about, **names, "sees": output, "kind": of.cells.kind})
        parts.append(cells.assign(rank=cells.groupby("sample").cumcount() + 1)[is_said[of.cells.sample]])
    if not parts:
        return _table(pd.DataFrame(), STAGE_CELL_COLUMNS)
    table = pd.concat(parts, ignore_index=True)
    return _table(table.assign(sample_id=_names(sample_ids)[table["sample"]], cell_id=""), STAGE_CELL_COLUMNS)


def _names(names: Sequence[str]) -> npt.NDArray[np.object_]:
    return np.array([*names, ""], dtype=object)[:-1]


def _type_names(place: Ints, ontology: CellOntology) -> dict[str, npt.NDArray[np.object_]]:
    """Return ids and names of types (level 2) by their place."""
    nodes = [ontology.nodes[node] for node in ontology.nodes_at(TYPE_LEVEL)]
    ids, names = (_names(values) for values in ([node.id for node in nodes], [node.name for node in nodes]))
    return {"cell_type_id": ids[place], "cell_type": names[place]}


def _table(table: pd.DataFrame, columns: tuple[Column, ...]) -> pd.DataFrame:
    """Return the columns of a contract, in its order and dtypes."""
    table = table.reindex(columns=[column.name for column in columns])
    table = table.astype({column.name: column.dtype for column in columns}).reset_index(drop=True)
    check_columns(table, columns)
    return table


def _shown(at_least: Floats, notes: Sequence[str]) -> npt.NDArray[np.float64]:
    blank = np.array([bool(note) for note in notes])
    return np.where(blank[:, None], np.nan, np.clip(at_least, 0, 1))


def _levels(at_least: Floats) -> Floats:
    """Return the probability of each level; a sample without any gets the lowest."""
    ends = np.ones((len(at_least), 1)), np.zeros((len(at_least), 1))
    known = np.nan_to_num(at_least)
    return np.hstack([ends[0], known]) - np.hstack([known, ends[1]])
