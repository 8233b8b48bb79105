"""One simulated sample after another: its droplets, then their counts block by block, then what is true of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from datamodules.simulation.cohort import MIDDLE_STAGE, N_STUDIES, STUDY_DEPTH, SimulatedSample
from datamodules.simulation.config import SimulationConfig
from datamodules.simulation.counts import draw_counts
from datamodules.simulation.design import TissueDesign
from datamodules.simulation.droplets import Droplets, add_ambient, draw_droplets, expected_counts
from datamodules.simulation.tissue import build_tissue, jitter_topics, shift_topics
from schema.labels import CellOntology

BLOCK = 64
"""Droplets counted at a time; a part of what a seed means, so not an option."""
CALLED_ABOVE = 800
"""UMI below which no barcode was called in the sample that lost its neutrophils."""
STUDY_SHIFT, DONOR_SHIFT, DONOR_JITTER = 0.25, 0.15, 0.15
"""Standard deviations of log expression: per gene between studies, between mice, and between mice within a topic."""


class SampleSimulator:
    """The tissue as each study sees it, from which samples are drawn; every sample has random streams of its own."""

    def __init__(self, config: SimulationConfig, ontology: CellOntology) -> None:
        self.config = config
        self.tissue = build_tissue(self._stream(0), TissueDesign.load(), ontology, config.species, config.n_genes)
        self._studies = [shift_topics(self._stream(1, s), self.tissue.topics, STUDY_SHIFT) for s in range(N_STUDIES)]

    def draw_droplets(self, sample: SimulatedSample) -> Droplets:
        """Draw the barcodes of a sample and what they hold."""
        rng, moves = self._stream(2, sample.study, sample.stage, sample.mouse), self.config.stage_through
        return draw_droplets(
            rng,
            self.tissue,
            max(1, round(self.config.n_cells * rng.lognormal(0, 0.15))),
            composition_stage=sample.stage if moves in ("both", "composition") else MIDDLE_STAGE,
            state_stage=sample.stage if moves in ("both", "state") else MIDDLE_STAGE,
            state_overlap=self.config.state_overlap,
            depth=STUDY_DEPTH[sample.study],
        )

    def draw_counts(self, sample: SimulatedSample, droplets: Droplets) -> Iterator[csr_matrix]:
        """Draw the counts of a sample's barcodes, block by block: float32 `[n_droplets of the block, n_genes]`, UMI."""
        rng = self._stream(3, sample.study, sample.stage, sample.mouse)
        own = jitter_topics(rng, shift_topics(rng, self._studies[sample.study], DONOR_SHIFT), DONOR_JITTER)
        topics = add_ambient(droplets, own)
        for start in range(0, droplets.n_droplets, BLOCK):
            first_part = droplets.first_part[start : start + BLOCK + 1]
            means = expected_counts(droplets, slice(first_part[0], first_part[-1]), topics)
            yield sum_parts(draw_counts(rng, means, self.config.overdispersion), first_part - first_part[0])

    def _stream(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.config.seed, spawn_key=key))


def called_barcodes(sample: SimulatedSample, counts: csr_matrix) -> npt.NDArray[np.bool_]:
    """Return which barcodes of a block were called, bool `[n_droplets]`: all, unless the sample lost neutrophils."""
    if not sample.neutrophils_lost:
        return np.ones(counts.shape[0], dtype=bool)
    return np.asarray(counts.sum(axis=1)).ravel() >= CALLED_ABOVE


def sum_parts(counts: csr_matrix, first_part: npt.NDArray[np.int64]) -> csr_matrix:
    """Sum the rows of the parts that share a droplet: row `i` is the sum of rows `first_part[i]:first_part[i + 1]`."""
    n_parts = counts.shape[0]
    if len(first_part) == n_parts + 1:
        return counts
    members = csr_matrix((np.ones(n_parts, dtype=np.float32), np.arange(n_parts), first_part))
    summed = members @ counts
    summed.sort_indices()
    return summed
