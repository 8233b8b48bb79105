"""One pass over the cells of samples with a stage: the sums and the few cells that heads are fitted on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.network import Network
from model.preprocess import to_dense
from model.sample_sums import SampleSums
from model.stage_features import StageFeatures
from model.stage_heads import StageBag
from model.tree import LabelTree
from schema.batch import CellBatch
from schema.labels import UNLABELLED, CellOntology

MOST_BAG_CELLS, BAG_CELLS = 20_000, 200
"""Cells that attention is trained on: over all samples, and of one."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class StagedSamples:
    """Samples that heads are fitted on.

    Attributes
    ----------
    sample
        int64 `[n]`, number of the sample in the batches.
    level, donor, study
        int64 `[n]`: code of the stage, and codes of donor and study.
    n_cells
        int64 `[n]`.
    """

    sample: Ints
    level: Ints
    donor: Ints
    study: Ints
    n_cells: Ints

    def drawn(self, most: int, seed: int) -> StagedSamples:
        """Return so many of them, drawn at random."""
        if len(self.sample) <= most:
            return self
        return self.of(np.sort(np.random.default_rng(seed).choice(len(self.sample), most, replace=False)))

    def of(self, samples: Ints) -> StagedSamples:
        """Return some of them, int64 `[n]`, in that order."""
        return StagedSamples(**{name: value[samples] for name, value in vars(self).items()})


class StageLook(NamedTuple):
    """What a frozen network makes of samples; no stage is in it.

    Attributes
    ----------
    sums
        Sums over the counted cells of each sample, of the whole hidden layer.
    bag
        Some of these cells.
    """

    sums: SampleSums
    bag: StageBag

    def of(self, samples: Tensor) -> StageLook:
        """Return some samples, int64 `[n]`, in that order."""
        sums = SampleSums(*(part[samples] for part in self.sums))
        return StageLook(sums, self.bag.of(samples, len(self.sums.n_cells)))


@torch.no_grad()
def look_at(
    network: Network,
    temperatures: Tensor,
    ontology: CellOntology,
    samples: StagedSamples,
    batches: Iterable[CellBatch],
    seed: int,
) -> StageLook:
    """Pass the cells of samples once, whatever their number.

    Parameters
    ----------
    network, temperatures
        The network, in evaluation mode, and the temperatures of its probabilities.
    ontology
        Label tree.
    samples
        The samples.
    batches
        Their cells, among others.
    seed
        Seed of the cells that are drawn.
    """
    n_samples, n_hidden = len(samples.sample), network.encoder.first.out_features
    tree, features = LabelTree(ontology), StageFeatures(ontology, n_hidden)
    sums = SampleSums.empty(n_samples, n_leaves=len(tree.leaves), n_types=features.n_types, n_values=n_hidden)
    place = torch.full((int(samples.sample.max()) + 2,), UNLABELLED)
    place[torch.from_numpy(samples.sample)] = torch.arange(n_samples)
    size = min(BAG_CELLS, MOST_BAG_CELLS / n_samples)
    share = torch.from_numpy(np.minimum(1.0, size / np.maximum(1, samples.n_cells)))
    generator = torch.Generator().manual_seed(seed)
    bag: list[StageBag] = []
    for batch in batches:
        sample = place[batch.sample.clamp_max(len(place) - 1)]
        rows = torch.nonzero((sample != UNLABELLED) & (batch.library_size > 0))[:, 0]
        if not len(rows):
            continue
        some, sample = batch.of_rows(rows), sample[rows]
        hidden = network.encoder.hidden(to_dense(some), some.present, some.file)
        latent = network.encoder.after_first(hidden)
        probabilities = tree.leaf_probabilities(network.cell_type_head(latent).float(), temperatures)
        cell_type = features.called_type(probabilities)
        counted = features.counted_type[cell_type]
        drawn = counted & (torch.rand(len(rows), generator=generator, dtype=torch.float64) < share[sample])
        bag.append(StageBag(latent, cell_type, sample).where(drawn))
        cells = (sample, some.library_size, probabilities, cell_type, hidden)
        sums.add(*(part[counted] for part in cells))
    return StageLook(sums, StageBag(*(torch.cat(parts) for parts in zip(*bag, strict=True))))
