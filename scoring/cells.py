"""Calibrated probabilities of cells to calls: type, confidence, neutrophil state, and what the burden counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.labels import TYPE_LEVEL, CellOntology

NO_CALL = -1
"""Code of a cell with too few counts to be called (type), or of a cell not called a neutrophil (state)."""

_CELLS_AT_ONCE = 2**16


class CellCalls(NamedTuple):
    """Calls of a block of cells.

    Attributes
    ----------
    cell_type
        int16 `[n_cells]`, node index of the most probable type; NO_CALL for cells with too few counts.
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


def name_calls(
    calls: CellCalls | CallsOfAll, ontology: CellOntology
) -> dict[str, pd.Categorical | npt.NDArray[np.float32]]:
    """Return the columns `predicted_*` that go to obs and to cells.parquet; names as categories."""
    names = [node.name for node in ontology.nodes]
    ids = [ontology.reported_cl_id(index) for index in range(len(names))]
    return {
        "predicted_cell_type": name_types(calls.cell_type, ontology),
        "predicted_cell_type_conf": calls.confidence,
        "predicted_cell_type_ontology_term_id": _categories(calls.cell_type, ids, "unknown"),
        "predicted_neutrophil_state": _categories(calls.state, names, ""),
    }


def name_types(cell_type: npt.NDArray[np.int16], ontology: CellOntology) -> pd.Categorical:
    """Return the names of called types, int16 `[n_cells]`."""
    return _categories(cell_type, [node.name for node in ontology.nodes], "low counts")


class CallsOfAll:
    """What is kept of the calls of all cells, 8 bytes each: type, confidence and state.

    Parameters
    ----------
    n_cells
        Cells of the run.
    """

    def __init__(self, n_cells: int) -> None:
        self.cell_type = np.full(n_cells, NO_CALL, dtype=np.int16)
        self.confidence = np.zeros(n_cells, dtype=np.float32)
        self.state = np.full(n_cells, NO_CALL, dtype=np.int16)

    def write(self, start: int, calls: CellCalls) -> None:
        """Note the calls of a block that begins at row `start`."""
        rows = slice(start, start + len(calls.cell_type))
        self.cell_type[rows], self.confidence[rows], self.state[rows] = calls.cell_type, calls.confidence, calls.state


def _categories(codes: npt.NDArray[np.int16], names: list[str], no_call: str) -> pd.Categorical:
    """Return names by code; NO_CALL, the last position, becomes `no_call`. Several codes may have one name."""
    all_names = [*names, no_call]
    seen = np.zeros(len(all_names), dtype=bool)
    for part in _parts(len(codes)):
        seen[codes[part]] = True
    used = {all_names[code] for code in np.flatnonzero(seen)}
    categories = [name for name in dict.fromkeys(all_names) if name in used]
    code_of = np.array([categories.index(name) if name in used else -1 for name in all_names], dtype=np.int16)
    result = np.empty(len(codes), dtype=np.int16)
    for part in _parts(len(codes)):
        result[part] = code_of[codes[part]]
    return pd.Categorical.from_codes(result, categories=pd.Index(categories, dtype=object))


def _parts(n_cells: int) -> list[slice]:
    """Return slices of a few cells each: numpy makes 8 bytes of every code that it looks something up by."""
    return [slice(first, first + _CELLS_AT_ONCE) for first in range(0, n_cells, _CELLS_AT_ONCE)]
