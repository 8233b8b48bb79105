"""What the cells of a sample look like, kept in flat memory: depth, genes detected, expected composition."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schema.labels import CellOntology
from scoring.by_sample import rows_by_sample
from scoring.droplets import AMBIENT, CELL, LOW_COUNTS, Kinds, is_described

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LOW_COUNT_UMI = 500
"""Barcodes below this many UMI are where neutrophils live (a few hundred genes each); cell callers drop them first."""

MIN_STATE_NEUTROPHILS = 30
"""State shares of fewer expected neutrophils are left blank."""

_LIBRARY_EDGES = np.geomspace(10, 1e6, 201)  # UMI, 200 log-spaced bins
_LIBRARY_CENTERS = np.sqrt(_LIBRARY_EDGES[:-1] * _LIBRARY_EDGES[1:])
_GENE_EDGES = np.concatenate([np.arange(500), np.rint(np.geomspace(500, 2000, 101)).astype(np.int64)])
"""Genes detected per row at which bins begin: each number to 500, then steps of 1.4 %, and all from 2000 in one."""

_SAMPLES_AT_A_TIME = 1024


class SampleFacts(NamedTuple):
    """Facts of all samples of a run.

    Attributes
    ----------
    n_cells
        int64 `[n_samples]`: rows.
    n_low_counts, n_ambient
        int64 `[n_samples]`: rows with too few counts to be called, and rows called ambient RNA.
    n_described
        int64 `[n_samples]`: rows that `median_library_size` and `expected_cells` describe.
    median_library_size
        float64 `[n_samples]`: UMI, center of the nearest of 200 log-spaced bins between 10 and 1e6; NaN without cells.
    low_count_percent
        float64 `[n_samples]`: percent of the rows that were called with fewer than 500 UMI; NaN without any.
    min_genes
        int64 `[n_samples]`: 0.5th percentile of genes detected per row that was called; above 500 the beginning of a
        bin 1.4 % wide, and at most 2000.
    edge_genes
        int64 `[n_samples]`: 5th percentile of the same; close to `min_genes` where a filter cut the file.
    expected_cells
        float64 `[n_samples, n_leaves]`: sum of the calibrated probabilities of each leaf.
    """

    n_cells: Integers
    n_low_counts: Integers
    n_ambient: Integers
    n_described: Integers
    median_library_size: Floats
    low_count_percent: Floats
    min_genes: Integers
    edge_genes: Integers
    expected_cells: Floats

    def fractions(self, ontology: CellOntology) -> Floats:
        """Return each level-2 type's expected share of the rows, float64 `[n_samples, n_types]` as `nodes_at(2)`."""
        cells = self.expected_cells @ ontology.leaves_below[ontology.nodes_at(2)].T
        return _shares(cells, self.n_described)

    def states(self, ontology: CellOntology) -> Floats:
        """Return each state's share of the expected neutrophils, float64 `[n_samples, n_states]`.

        States are the children of the neutrophil node in node order; NaN below 30 expected neutrophils.
        """
        neutrophil = ontology.index_by_id[ontology.roles.neutrophil]
        cells = self.expected_cells @ ontology.leaves_below[ontology.neutrophil_states].T
        total = self.expected_cells @ ontology.leaves_below[neutrophil]
        return _shares(cells, np.where(total >= MIN_STATE_NEUTROPHILS, total, 0))

    def outside_denominator_percent(self, ontology: CellOntology) -> Floats:
        """Return the expected percent of rows that the burden does not count, float64 `[n_samples]`."""
        outside = self.expected_cells[:, ontology.below(*ontology.roles.outside_denominator)].sum(axis=1)
        return 100 * _shares(outside[:, None], self.n_described)[:, 0]


class SampleFactsAccumulator:
    """Histograms and sums of every sample, fed block by block; about 4 KB per sample, whatever the number of cells.

    Parameters
    ----------
    n_samples, n_leaves
        Samples of the run, leaves of the label tree.
    unfiltered
        Whether the file is, so that rows called ambient are not described.
    """

    def __init__(self, n_samples: int, n_leaves: int, *, unfiltered: bool = False) -> None:
        self._unfiltered = unfiltered
        self._kinds = np.zeros((n_samples, CELL + 1), dtype=np.int64)
        self._library = np.zeros((n_samples, len(_LIBRARY_CENTERS)), dtype=np.int32)
        self._genes = np.zeros((n_samples, len(_GENE_EDGES)), dtype=np.int32)
        self._low_count = np.zeros(n_samples, dtype=np.int64)
        self._expected = np.zeros((n_samples, n_leaves))

    def update(
        self,
        sample: Integers,
        library_size: npt.NDArray[np.floating],
        n_genes: npt.NDArray[np.integer],
        probabilities: npt.NDArray[np.floating],
        kind: Kinds | None = None,
    ) -> None:
        """Add a block of cells.

        Parameters
        ----------
        sample
            int64 `[n_cells]`: index of each cell's sample.
        library_size
            float `[n_cells]`: UMI over all genes of the file.
        n_genes
            int `[n_cells]`: genes with at least one count.
        probabilities
            float `[n_cells, n_leaves]`: calibrated leaf probabilities.
        kind
            int8 `[n_cells]`, what each row is (see `scoring.droplets.droplet_kinds`); None = all are cells.

        Raises
        ------
        ValueError
            If a shape does not fit.
        """
        shapes = (library_size.shape, n_genes.shape, probabilities.shape)
        expected = (sample.shape, sample.shape, (len(sample), self._expected.shape[1]))
        if shapes != expected:
            raise ValueError(f"Expected shapes {expected} but got {shapes}.")
        kind = np.full(len(sample), CELL, dtype=np.int8) if kind is None else kind
        np.add.at(self._kinds, (sample, kind), 1)
        described = np.flatnonzero(is_described(kind, unfiltered=self._unfiltered))
        for code, rows in rows_by_sample(sample[described], len(self._low_count)):
            self._expected[code] += probabilities[described[rows]].sum(axis=0, dtype=np.float64)
        bins = np.searchsorted(_LIBRARY_EDGES[1:-1], library_size[described], side="right")
        np.add.at(self._library, (sample[described], bins), 1)
        called = kind != LOW_COUNTS
        np.add.at(self._genes, (sample[called], np.searchsorted(_GENE_EDGES, n_genes[called], side="right") - 1), 1)
        np.add.at(self._low_count, sample[called], library_size[called] < LOW_COUNT_UMI)

    def facts(self) -> SampleFacts:
        """Return what is known so far."""
        n_described = self._library.sum(axis=1)
        n_called = self._genes.sum(axis=1)
        median = _LIBRARY_CENTERS[_quantile_bin(self._library, 0.5)]
        return SampleFacts(
            n_cells=self._kinds.sum(axis=1),
            n_low_counts=self._kinds[:, LOW_COUNTS],
            n_ambient=self._kinds[:, AMBIENT],
            n_described=n_described,
            median_library_size=np.where(n_described > 0, median, np.nan),
            low_count_percent=100 * _shares(self._low_count[:, None], n_called)[:, 0],
            min_genes=_GENE_EDGES[_quantile_bin(self._genes, 0.005)],
            edge_genes=_GENE_EDGES[_quantile_bin(self._genes, 0.05)],
            expected_cells=self._expected.copy(),
        )


def _quantile_bin(histogram: npt.NDArray[np.int32], share: float) -> Integers:
    """Return the first bin at which more than `share` of a row's cells are passed, int64 `[n_samples]`."""
    first = np.zeros(len(histogram), dtype=np.int64)
    for start in range(0, len(histogram), _SAMPLES_AT_A_TIME):  # sums along the bins take twice their memory
        passed = np.cumsum(histogram[start : start + _SAMPLES_AT_A_TIME], axis=1)
        first[start : start + _SAMPLES_AT_A_TIME] = np.argmax(passed > np.floor(share * passed[:, -1:]), axis=1)
    return first


def _shares(parts: npt.NDArray[np.generic], totals: npt.NDArray[np.generic]) -> Floats:
    """Return rows divided by their totals; NaN where a total is zero."""
    whole = np.asarray(totals, dtype=np.float64)[:, None]
    shares: Floats = np.full(parts.shape, np.nan)
    np.divide(np.asarray(parts, dtype=np.float64), whole, out=shares, where=whole > 0)
    return shares
