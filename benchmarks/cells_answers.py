"""What a method says of each cell of a file, beside the truth: one row per cell, alike for all methods."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.calls import STATES, call_states, call_types, node_probabilities
from benchmarks.metrics import credit_descendants
from benchmarks.runs import network_probabilities
from benchmarks.studies import node_indices
from schema.labels import TYPE_LEVEL, CellOntology

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]
Texts = npt.NDArray[np.str_]


class Said(NamedTuple):
    """What a method says of cells.

    Attributes
    ----------
    type_call, state_call
        int64 `[n_cells]`, node of the type and of the neutrophil state; -1 = none.
    confidence
        float `[n_cells]`, probability of the called type.
    strangeness
        float `[n_cells]`, larger = more unlike all known types; NaN = not said.
    """

    type_call: Ints
    state_call: Ints
    confidence: Floats
    strangeness: Floats


def states_of(ontology: CellOntology) -> tuple[str, ...]:
    """Return the ids of the neutrophil states of a tree: N1 to N6 of Zilionis where it has them, else ours."""
    if STATES[0] in ontology.index_by_id:
        return STATES
    return tuple(node.id for node in ontology.nodes if node.parent == ontology.roles.neutrophil)


def said_by_probabilities(classes: Texts, probabilities: Floats, ontology: CellOntology) -> Said:
    """Call from class probabilities that sum to 1: classes `[n_classes]`, float `[n_cells, n_classes]`."""
    of_nodes = node_probabilities(classes.tolist(), probabilities, ontology)
    types = call_types(of_nodes, ontology)
    confidence = np.take_along_axis(of_nodes, types[:, None], axis=1)[:, 0]
    return Said(types, call_states(of_nodes, types, ontology, states_of(ontology)), confidence, 1 - confidence)


def said_by_scores(classes: Texts, scores: Floats, ontology: CellOntology) -> Said:
    """Call from scores that do not sum to 1: the label with the highest score, its type, and that score.

    A label above the level of types is called as it is.
    """
    nodes = np.array([ontology.index_by_id[name] for name in classes], dtype=np.int64)
    label = nodes[scores.argmax(axis=1)]
    at_type = ontology.ancestor_at(TYPE_LEVEL)[label]
    types = np.where(at_type >= 0, at_type, label)
    states = [ontology.index_by_id[name] for name in states_of(ontology)]
    of_states = np.where(np.isin(nodes, states), scores, -np.inf)
    best = np.where(np.isfinite(of_states).any(axis=1), nodes[of_states.argmax(axis=1)], -1)
    is_neutrophil = types == ontology.index_by_id[ontology.roles.neutrophil]
    confidence = scores.max(axis=1)
    return Said(types, np.where(is_neutrophil, best, -1), confidence, 1 - confidence)


def said_by_network(output: Path, ontology: CellOntology) -> tuple[Said, str]:
    """Read what predict.py wrote, and which of its columns tells how strange a cell is."""
    cells = pq.read_table(output / "cells.parquet").to_pandas()
    index = {node.name: i for i, node in enumerate(ontology.nodes)}
    types = cells["predicted_cell_type"].map(lambda name: index.get(name, -1)).to_numpy(dtype=np.int64)
    of_nodes = network_probabilities(output, ontology)
    states = call_states(of_nodes, types, ontology, states_of(ontology))
    confidence = cells["predicted_cell_type_conf"].to_numpy(dtype=np.float64)
    if "ood_score" in cells:
        return Said(types, states, confidence, cells["ood_score"].to_numpy(dtype=np.float64)), "ood_score"
    return Said(types, states, confidence, 1 - confidence), "1 - predicted_cell_type_conf"


def answer_frame(
    obs: pd.DataFrame, said: Said, ontology: CellOntology, known: Sequence[str], *, group: str, stratum: str
) -> pd.DataFrame:
    """Return one row per cell: what is true of it, what was called, and whom it belongs to.

    `state` is the author's node, `type` its type (-1 = it stands above), `label` the broader of the two;
    `credited_call` is the label where the called type lies at or below it.

    Parameters
    ----------
    obs
        Harmonised obs of the cells, with `library_size`.
    said
        What a method says of them.
    known
        Labels of the training cells. A cell whose label has none of them at or below it has no right answer:
        `is_answerable` is False.
    group, stratum
        Columns of obs: what is resampled, and within what.
    """
    truth = node_indices(obs["cell_type"], ontology)
    truth_type = np.append(ontology.ancestor_at(TYPE_LEVEL), -1)[truth]
    label = np.where(truth_type >= 0, truth_type, truth)
    return pd.DataFrame(
        {
            "cell_id": obs.index.astype(str),
            "group": obs[group].astype(str).to_numpy(),
            "stratum": obs[stratum].astype(str).to_numpy(),
            "library_size": obs["library_size"].to_numpy(dtype=np.float32),
            "state": truth,
            "type": truth_type,
            "label": label,
            "is_answerable": np.append(_at_or_above(known, ontology), False)[label],
            "type_call": said.type_call,
            "credited_call": credit_descendants(label, said.type_call, ontology),
            "state_call": said.state_call,
            "confidence": said.confidence.astype(np.float32),
            "strangeness": said.strangeness.astype(np.float32),
        }
    )


def _at_or_above(names: Sequence[str], ontology: CellOntology) -> npt.NDArray[np.bool_]:
    """Return which nodes have a named node at or below them, bool `[n_nodes]`."""
    marked = np.zeros(len(ontology.nodes), dtype=bool)
    for name in names:
        node = ontology.index_by_id[name]
        while node >= 0:
            marked[node] = True
            node = int(ontology.parents[node])
    return marked
