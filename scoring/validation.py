"""Burden and composition of samples while a network is judged: the sums of predict.py's tables, for train.py."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.calls import OUT_OF_DISTRIBUTION, CallRules
from schema.labels import CellOntology
from scoring.burden import BurdenAccumulator, BurdenConfig, BurdenReference
from scoring.cells import call_cells
from scoring.droplets import MIN_COUNTS, droplet_kinds, is_described, low_counts
from scoring.label_counts import LabelCounts
from scoring.sample_facts import SampleFactsAccumulator
from scoring.samples import RunFacts, assemble_samples


class SampleTable:
    """Adds up cells of known samples, block by block, to a table as samples.csv, without stages.

    Parameters
    ----------
    n_samples
        Samples of the run.
    ontology, rules, leaf_prior
        Of the bundle, as in `scoring.cells.call_cells`.
    seed
        Of the intervals.
    """

    def __init__(
        self,
        n_samples: int,
        ontology: CellOntology,
        rules: CallRules,
        leaf_prior: npt.NDArray[np.floating],
        *,
        seed: int,
    ) -> None:
        self._ontology, self._rules, self._prior = ontology, rules, leaf_prior
        self._burden = BurdenAccumulator(ontology, np.zeros(n_samples, dtype=bool), BurdenConfig(seed=seed))
        self._facts = SampleFactsAccumulator(n_samples, len(ontology.leaves))
        self._labels = LabelCounts(n_samples, ontology)

    def update(
        self,
        sample: npt.NDArray[np.int64],
        library_size: npt.NDArray[np.float32],
        n_genes: npt.NDArray[np.int32],
        probabilities: npt.NDArray[np.float32],
        novelty: npt.NDArray[np.float32],
    ) -> None:
        """Add a block of cells.

        Parameters
        ----------
        sample
            int64 `[n_cells]`.
        library_size, n_genes
            UMI and genes with a count, float32 and int32 `[n_cells]`.
        probabilities, novelty
            Calibrated leaf probabilities `[n_cells, n_leaves]` and novelty scores `[n_cells]`, float32.
        """
        calls = call_cells(probabilities, novelty, self._prior, self._ontology, self._rules)
        kind = droplet_kinds(low_counts(library_size, MIN_COUNTS), calls.cell_type, self._ontology)
        described = is_described(kind, unfiltered=False)
        self._burden.update(sample[described], probabilities[described], library_size[described])
        self._facts.update(sample, library_size, n_genes, probabilities, kind)
        self._labels.update(sample, calls, described)

    def table(self, sample_ids: Sequence[str], reference: BurdenReference, *, knows_neutrophils: bool) -> pd.DataFrame:
        """Return the table, once all cells have passed; the intervals draw from the donors of `reference`."""
        return assemble_samples(
            sample_ids,
            self._facts.facts(),
            self._burden.estimate(reference),
            None,
            self._labels.percent(OUT_OF_DISTRIBUTION),
            ontology=self._ontology,
            scale=None,
            run=RunFacts(
                genes_found_percent=100.0,
                training_has_neutrophils=knows_neutrophils,
                n_reference_donors=reference.n_donors(self._ontology),
                by_orthologs=False,
            ),
        )
