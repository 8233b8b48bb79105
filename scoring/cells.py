"""Calibrated probabilities of cells to calls: type, label, why there is none, state, and what the burden counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.calls import (
    AMBIENT,
    AMBIGUOUS,
    LOW_COUNTS,
    OUT_OF_DISTRIBUTION,
    REASONS,
    UNKNOWN,
    CallRules,
    deepest_node,
)
from schema.labels import TYPE_LEVEL, CellOntology

NO_CALL = -1
"""Code of a cell with too few counts to be called (type), without a label, or not called a neutrophil (state)."""


class CellCalls(NamedTuple):
    """Calls of a block of cells.

    Attributes
    ----------
    cell_type
        int16 `[n_cells]`, node index of the most probable type; NO_CALL for cells with too few counts.
    confidence
        float32 `[n_cells]`, calibrated probability of that type.
    label
        int16 `[n_cells]`, node index of the deepest node that is probable enough; NO_CALL where the label is withheld.
    label_confidence
        float32 `[n_cells]`, calibrated probability of that node; NaN where the label is withheld.
    reason
        int8 `[n_cells]`, code in `schema.calls.REASONS`: why there is no cell type.
    state
        int16 `[n_cells]`, node index of the state of cells called neutrophil, else NO_CALL.
    neutrophil, denominator
        float64 `[n_cells]`, calibrated mass of neutrophils and of all types the burden counts.
    """

    cell_type: npt.NDArray[np.int16]
    confidence: npt.NDArray[np.float32]
    label: npt.NDArray[np.int16]
    label_confidence: npt.NDArray[np.float32]
    reason: npt.NDArray[np.int8]
    state: npt.NDArray[np.int16]
    neutrophil: npt.NDArray[np.float64]
    denominator: npt.NDArray[np.float64]


def call_cells(
    probabilities: npt.NDArray[np.float32],
    novelty: npt.NDArray[np.float32],
    leaf_prior: npt.NDArray[np.floating],
    ontology: CellOntology,
    rules: CallRules,
) -> CellCalls:
    """Call a block of cells.

    Types and labels are called from the probabilities as they are. The state of a neutrophil is called as if all states
    were equally common: otherwise the rare ones are hardly ever called (docs/decisions/0010-logit-adjustment.md).

    Parameters
    ----------
    probabilities
        Calibrated leaf probabilities, float32 `[n_cells, n_leaves]`; all zero for cells without any count.
    novelty
        Novelty score, float32 `[n_cells]`.
    leaf_prior
        How common each leaf was among the training cells, float `[n_leaves]`, > 0.
    ontology, rules
        Label tree, and when a cell gets a label.
    """
    mass = probabilities.astype(np.float64)
    of_node = np.minimum(mass @ ontology.leaves_below.T, 1)
    empty = mass.sum(axis=1) == 0
    types = ontology.nodes_at(TYPE_LEVEL)
    cell_type = np.where(empty, NO_CALL, types[of_node[:, types].argmax(axis=1)])
    neutrophil = ontology.index_by_id[ontology.roles.neutrophil]
    deepest = deepest_node(of_node, ontology, rules.back_off)
    reason = _reasons(deepest, novelty > rules.novelty, empty, ontology)
    withheld = np.isin(reason, [REASONS.index(word) for word in (LOW_COUNTS, OUT_OF_DISTRIBUTION, AMBIGUOUS)])
    label = np.where(withheld, NO_CALL, deepest)
    counted = ~ontology.below(*ontology.roles.outside_denominator)
    return CellCalls(
        cell_type=cell_type.astype(np.int16),
        confidence=of_node[:, types].max(axis=1).astype(np.float32),
        label=label.astype(np.int16),
        label_confidence=np.where(withheld, np.nan, of_node[np.arange(len(label)), label]).astype(np.float32),
        reason=reason,
        state=np.where(cell_type == neutrophil, _states(mass / leaf_prior, ontology), NO_CALL).astype(np.int16),
        neutrophil=of_node[:, neutrophil],
        denominator=np.minimum(mass @ counted, 1),
    )


def name_calls(calls: CellCalls, ontology: CellOntology) -> dict[str, pd.Categorical | npt.NDArray[np.float32]]:
    """Return the columns `predicted_*` that go to obs and to cells.parquet; names as categories."""
    names = [node.name for node in ontology.nodes]
    ids = [ontology.reported_cl_id(index) for index in range(len(names))]
    return {
        "predicted_cell_type": name_types(calls.cell_type, ontology),
        "predicted_cell_type_conf": calls.confidence,
        "predicted_cell_type_ontology_term_id": _categories(calls.cell_type, ids, UNKNOWN),
        "predicted_neutrophil_state": _categories(calls.state, names, ""),
        "predicted_label": _categories(calls.label, names, UNKNOWN),
        "predicted_label_conf": calls.label_confidence,
        "predicted_label_reason": _categories(calls.reason, list(REASONS), ""),
    }


def name_types(cell_type: npt.NDArray[np.int16], ontology: CellOntology) -> pd.Categorical:
    """Return the names of called types, int16 `[n_cells]`."""
    return _categories(cell_type, [node.name for node in ontology.nodes], "low counts")


def _reasons(
    deepest: npt.NDArray[np.int64],
    is_novel: npt.NDArray[np.bool_],
    empty: npt.NDArray[np.bool_],
    ontology: CellOntology,
) -> npt.NDArray[np.int8]:
    """Return why each cell has no cell type, int8 `[n_cells]`; the first reason that holds.

    Droplets that were called ambient or doublet are not held against the cells of the training: they are none.
    """
    is_ambient = _lies_below(deepest, ontology.roles.ambient, ontology)
    is_doublet = _lies_below(deepest, ontology.roles.doublet, ontology)
    holds = {
        LOW_COUNTS: empty,
        AMBIENT: is_ambient,
        OUT_OF_DISTRIBUTION: is_novel & ~is_doublet,
        AMBIGUOUS: deepest == NO_CALL,
    }
    codes = [REASONS.index(word) for word in holds]
    return np.select(list(holds.values()), codes, default=REASONS.index("")).astype(np.int8)


def _lies_below(node: npt.NDArray[np.int64], role: str | None, ontology: CellOntology) -> npt.NDArray[np.bool_]:
    """Return whether nodes are that of a role or lie below it, bool `[n_cells]`; never where there is no such role."""
    if role is None:
        return np.zeros(len(node), dtype=bool)
    below: npt.NDArray[np.bool_] = ontology.inside(role)[node] & (node != NO_CALL)
    return below


def _states(balanced: npt.NDArray[np.float64], ontology: CellOntology) -> npt.NDArray[np.int64]:
    """Return the neutrophil state of each cell from balanced leaves, int64 `[n_cells]`; NO_CALL if a tree has none."""
    states = np.flatnonzero(ontology.parents == ontology.index_by_id[ontology.roles.neutrophil])
    if not len(states):
        return np.full(len(balanced), NO_CALL)
    found: npt.NDArray[np.int64] = states[(balanced @ ontology.leaves_below[states].T).argmax(axis=1)]
    return found


def _categories(codes: npt.NDArray[np.signedinteger], names: list[str], no_call: str) -> pd.Categorical:
    """Return names by code; NO_CALL, the last position, becomes `no_call`. Several codes may have one name."""
    all_names = [*names, no_call]
    used = {all_names[code] for code in np.unique(codes)}
    categories = [name for name in dict.fromkeys(all_names) if name in used]
    code_of = np.array([categories.index(name) if name in used else -1 for name in all_names], dtype=np.int16)
    return pd.Categorical.from_codes(code_of[codes], categories=pd.Index(categories, dtype=object))
