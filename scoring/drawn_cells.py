"""The few cells of each call that are kept while all cells pass: simple random samples of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schema.labels import CellOntology
from scoring.by_sample import rows_by_sample
from scoring.cells import CellCalls

Ints = npt.NDArray[np.int64]

ALL_SAMPLES = -1
"""Sample of a group that takes cells of any sample."""

MIN_CELLS = 10
"""Cells: with fewer drawn, a mean over them says more of the cells than of the call."""

MOST_BY_SAMPLE = 2048
"""Neutrophils kept over all samples of a run, whatever their number, so that memory has a bound."""


class Group(NamedTuple):
    """Cells that were called alike: a node of the label tree, and a sample or ALL_SAMPLES."""

    node: int
    sample: int


class _Held(NamedTuple):
    """Rows of a group, int64 ascending, each with the random number that it drew, float64."""

    rows: Ints
    number: npt.NDArray[np.float64]


class CellDraw:
    """Draws cells by type, by neutrophil state, and neutrophils by sample, as blocks of cells pass in order.

    Each cell draws a random number, and each group keeps the cells with the lowest ones: a simple random sample without
    replacement, whatever the number of cells to come and however rows are cut into blocks.

    Parameters
    ----------
    ontology
        The label tree.
    n_samples
        Samples of the run.
    n_cells
        Most cells of a group; 0 draws none.
    seed
        Same seed and calls, same cells.

    Attributes
    ----------
    n_called
        int64 `[n_nodes]`: cells that were called each type or state, drawn or not.
    """

    def __init__(self, ontology: CellOntology, n_samples: int, n_cells: int, seed: int) -> None:
        self.n_called = np.zeros(len(ontology.nodes), dtype=np.int64)
        self._neutrophil = ontology.index_by_id[ontology.roles.neutrophil]
        self._n_samples, self._most = n_samples, n_cells
        share = min(n_cells, MOST_BY_SAMPLE // max(1, n_samples))
        self._most_by_sample = share if share >= MIN_CELLS else 0
        self._rng = np.random.default_rng(seed)
        self._held: dict[Group, _Held] = {}

    def update(self, start: int, calls: CellCalls, sample: Ints) -> Ints:
        """Pass a block of cells; return which of them are drawn for now, int64 ascending, from 0 in the block.

        Parameters
        ----------
        start
            Row of its first cell.
        calls
            Its calls.
        sample
            int64 `[n_cells]`.
        """
        number = self._rng.random(len(sample))
        entered = np.zeros(len(sample), dtype=bool)
        for group, members, most in self._groups_of(calls, sample):
            held = self._held.get(group, _Held(np.zeros(0, dtype=np.int64), np.zeros(0)))
            rows, numbers = np.append(held.rows, start + members), np.append(held.number, number[members])
            lowest = np.sort(np.argsort(numbers, kind="stable")[:most])
            self._held[group] = _Held(rows[lowest], numbers[lowest])
            entered[rows[lowest][rows[lowest] >= start] - start] = True
        return np.flatnonzero(entered)

    def groups(self) -> dict[Group, Ints]:
        """Return the rows that each group holds, int64 ascending; by node, all samples first."""
        return {group: self._held[group].rows for group in sorted(self._held)}

    def rows(self) -> Ints:
        """Return all rows that are held by any group, int64 ascending, each once."""
        return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(held.rows for held in self._held.values())]))

    def _groups_of(self, calls: CellCalls, sample: Ints) -> Iterator[tuple[Group, Ints, int]]:
        """Yield the groups of a block with their members and the most cells that each may hold."""
        for called in (calls.cell_type, calls.state):
            for node in np.unique(called[called >= 0]).tolist():
                members = np.flatnonzero(called == node)
                self.n_called[node] += len(members)
                if self._most:
                    yield Group(node, ALL_SAMPLES), members, self._most
        neutrophils = np.flatnonzero(calls.cell_type == self._neutrophil)
        if self._most_by_sample:
            for code, places in rows_by_sample(sample[neutrophils], self._n_samples):
                yield Group(self._neutrophil, code), neutrophils[places], self._most_by_sample
