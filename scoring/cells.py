"""Calibrated probabilities of cells to calls: type, confidence, neutrophil state, and what the burden counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.labels import TYPE_LEVEL, CellOntology

NO_CALL = -1
"""Code of a cell without any count (type), or of a cell not called a neutrophil (state)."""


class CellCalls(NamedTuple):
    """Calls of a block of cells.

    Attributes
    ----------
    cell_type
        int16 `[n_cells]`, node index of the most probable type; NO_CALL for cells without any count.
    confidence
        float32 `[n_cells]`, calibrated probability of that type.
    state
        int16 `[n_cells]`, node index of the most probable state of cells called neutrophil, else NO_CALL.
    neutrophil, denominator
        float64 `[n_cells]`, calibrated mass of neutrophils and of all types the burden counts.
    """

    cell_type: npt.NDArray[np.int16]
    confidence: npt.NDArray[np.float32]
    state: npt.NDArray[np.int16]
    neutrophil: npt.NDArray[np.float64]
    denominator: npt.NDArray[np.float64]


def call_cells(probabilities: npt.NDArray[np.float32], ontology: CellOntology) -> CellCalls:
    """Call a block of cells from calibrated leaf probabilities, float32 `[n_cells, n_leaves]`."""
    mass = probabilities.astype(np.float64)
    empty = mass.sum(axis=1) == 0
    types = ontology.nodes_at(TYPE_LEVEL)
    of_type = mass @ ontology.leaves_below[types].T
    best = of_type.argmax(axis=1)
    cell_type = np.where(empty, NO_CALL, types[best])
    neutrophil = ontology.index_by_id[ontology.roles.neutrophil]
    states = np.flatnonzero(ontology.parents == neutrophil)
    state = (
        states[(mass @ ontology.leaves_below[states].T).argmax(axis=1)] if len(states) else np.full(len(mass), NO_CALL)
    )
    counted = ~ontology.below(*ontology.roles.outside_denominator)
    return CellCalls(
        cell_type=cell_type.astype(np.int16),
        confidence=np.minimum(of_type.max(axis=1), 1).astype(np.float32),
        state=np.where(cell_type == neutrophil, state, NO_CALL).astype(np.int16),
        neutrophil=np.minimum(mass @ ontology.leaves_below[neutrophil], 1),
        denominator=np.minimum(mass @ counted, 1),
    )


def name_calls(calls: CellCalls, ontology: CellOntology) -> dict[str, pd.Categorical | npt.NDArray[np.float32]]:
    """Return the columns `predicted_*` that go to obs and to cells.parquet; names as categories."""
    names = [node.name for node in ontology.nodes]
    ids = [ontology.reported_cl_id(index) for index in range(len(names))]
    return {
        "predicted_cell_type": _categories(calls.cell_type, names, "no counts"),
        "predicted_cell_type_conf": calls.confidence,
        "predicted_cell_type_ontology_term_id": _categories(calls.cell_type, ids, "unknown"),
        "predicted_neutrophil_state": _categories(calls.state, names, ""),
    }


def join_calls(blocks: list[CellCalls]) -> CellCalls:
    """Return the calls of several blocks, in their order."""
    return CellCalls(*(np.concatenate(column) for column in zip(*blocks, strict=True)))


def _categories(codes: npt.NDArray[np.int16], names: list[str], no_call: str) -> pd.Categorical:
    """Return names by code; NO_CALL, the last position, becomes `no_call`. Several codes may have one name."""
    used, place = np.unique(codes, return_inverse=True)
    of_used = [[*names, no_call][code] for code in used]
    categories = [name for name in dict.fromkeys([*names, no_call]) if name in of_used]
    code_of = np.array([categories.index(name) for name in of_used], dtype=np.int16)
    return pd.Categorical.from_codes(code_of[place], categories=pd.Index(categories, dtype=object))
