"""From sums over cells to what a stage is read from: composition, and what the cells of each type look like."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from model.sample_sums import SampleSums
from schema.labels import TYPE_LEVEL, CellOntology
from schema.predictions import WITHOUT_NEUTROPHILS

PRIOR_SHARE = 0.005
"""Share of each leaf added to the composition before its log-ratio, so that rare ones stay finite; a share, not a
number of cells, so that samples of 100 and of 10,000 cells are read alike."""
SHRINKAGE = 20.0
"""Cells of no deviation added to each type of a sample, so that a type of few cells says little."""
N_DIRECTIONS = 4
"""Directions in which the cells of a type may differ between samples."""
LEAST_CELLS = 50
"""Cells, over all samples, that a type needs to be looked at by itself."""

COMPOSITION, LOOKS, BOTH = "composition", "looks", "composition and looks"
RIDGE_BLOCKS = {COMPOSITION: (COMPOSITION,), LOOKS: (LOOKS,), BOTH: (COMPOSITION, LOOKS)}
"""Blocks that a ridge head reads, in their order."""


class FeatureBlocks(NamedTuple):
    """Something for each feature, block by block: its values in samples, or the type that it is of.

    Attributes
    ----------
    composition, looks
        `[..., n]`, n of each block.
    """

    composition: Tensor
    looks: Tensor

    def read_by(self, head: str) -> list[Tensor]:
        """Return the blocks that a ridge head reads."""
        of_name = {COMPOSITION: self.composition, LOOKS: self.looks}
        return [of_name[name] for name in RIDGE_BLOCKS[head]]


class StageFeatures(nn.Module):
    """Two blocks of features of a sample, with or without its neutrophils.

    Composition is the centred log-ratio of the leaves that the burden counts (Aitchison 1982). The look of a type is
    the mean of its cells' first hidden layer, a linear map of their normalised expression that keeps what the latent
    vector gives away, in the directions in which it varies most between samples. Cells that the burden does not count
    (ambient, doublets, erythroid, platelets) have no part in either.

    Attributes
    ----------
    centre
        float32 `[n_types, n_hidden]`, mean of the hidden layer over the cells of a type.
    directions
        float32 `[n_types, n_hidden, n_directions]`; zero for types that are not looked at.
    """

    centre: Tensor
    directions: Tensor
    of_type: Tensor
    counted: Tensor
    neutrophil: Tensor
    neutrophil_type: Tensor
    counted_type: Tensor

    def __init__(self, ontology: CellOntology, n_hidden: int) -> None:
        super().__init__()
        types, roles = ontology.nodes_at(TYPE_LEVEL), ontology.roles
        outside, neutrophil = ontology.below(*roles.outside_denominator), ontology.below(roles.neutrophil)
        of_type = ontology.leaves_below[types]
        fixed = {
            "of_type": of_type.T.astype(np.float32),
            "counted": ~outside,
            "neutrophil": neutrophil,
            "neutrophil_type": (of_type & neutrophil).any(axis=1),
            "counted_type": ~(of_type & outside).any(axis=1),
        }
        for name, value in fixed.items():
            self.register_buffer(name, torch.from_numpy(value), persistent=False)
        self.register_buffer("centre", torch.zeros(len(types), n_hidden))
        self.register_buffer("directions", torch.zeros(len(types), n_hidden, N_DIRECTIONS))

    @property
    def n_types(self) -> int:
        """Types of the label tree."""
        return self.centre.shape[0]

    def called_type(self, probabilities: Tensor) -> Tensor:
        """Return the place of the most probable type, int64 `[n_cells]`, from leaf probabilities."""
        return (probabilities @ self.of_type).argmax(dim=1)

    def values(self, hidden: Tensor, cell_type: Tensor) -> Tensor:
        """Return how cells deviate from the mean of their type, float `[n_cells, n_directions]`.

        Parameters
        ----------
        hidden
            float `[n_cells, n_hidden]`, first hidden layer.
        cell_type
            int64 `[n_cells]`, place of the called type.
        """
        flat = self.directions.permute(1, 0, 2).reshape(hidden.shape[1], -1)
        along = (hidden @ flat).view(len(hidden), self.n_types, N_DIRECTIONS)
        offset = torch.einsum("th,thd->td", self.centre, self.directions)
        own = cell_type[:, None, None].expand(-1, 1, along.shape[2])
        return along.gather(1, own)[:, 0] - offset[cell_type]

    def fit(self, sums: SampleSums) -> SampleSums:
        """Choose centres and directions from sums of the whole hidden layer; return the sums along the directions.

        No stage is looked at.
        """
        for place in range(self.n_types):
            n_cells = sums.n_of_type[:, place].double()
            if not bool(self.counted_type[place]) or float(n_cells.sum()) < LEAST_CELLS:
                continue
            total = sums.values[:, place].double()
            centre = total.sum(dim=0) / n_cells.sum()
            looks = (total - n_cells[:, None] * centre) / (n_cells[:, None] + SHRINKAGE)
            right = torch.linalg.svd(looks, full_matrices=False).Vh[:N_DIRECTIONS]
            self.centre[place] = centre.float()
            self.directions[place, :, : len(right)] = right.T.float()
        along = torch.einsum("sth,thd->std", sums.values, self.directions)
        offset = torch.einsum("th,thd->td", self.centre, self.directions)
        return sums._replace(values=along - sums.n_of_type[:, :, None] * offset)

    def blocks(self, sums: SampleSums, output: str) -> FeatureBlocks:
        """Return the features of samples for an output of `schema.predictions.STAGE_OUTPUTS`.

        The composition is the centred log-ratio of the leaves that it sees, float `[n_samples, n_leaves]`; the looks
        are how the cells of each type deviate, float `[n_samples, n_types * n_directions]`.
        """
        mass = sums.leaves[:, self._leaves(output)]
        log_share = torch.log(mass / mass.sum(dim=1, keepdim=True).clamp_min(1e-6) + PRIOR_SHARE)
        looks = (sums.values / (sums.n_of_type[:, :, None] + SHRINKAGE))[:, self.looked_at(output)]
        return FeatureBlocks(log_share - log_share.mean(dim=1, keepdim=True), looks.flatten(1))

    def types_of_features(self, output: str) -> FeatureBlocks:
        """Return the place of the type that each feature is of, int64 `[n]`."""
        of_leaf = self.of_type.argmax(dim=1)[self._leaves(output)]
        looked_at = torch.nonzero(self.looked_at(output))[:, 0]
        return FeatureBlocks(of_leaf, looked_at.repeat_interleave(N_DIRECTIONS))

    def looked_at(self, output: str) -> Tensor:
        """Return whose look an output sees, bool `[n_types]`."""
        return self.directions.any(dim=2).any(dim=1) & self.seen_types(output)

    def seen_types(self, output: str) -> Tensor:
        """Return whose cells an output sees, bool `[n_types]`."""
        seen = self.counted_type
        return seen & ~self.neutrophil_type if output == WITHOUT_NEUTROPHILS else seen

    def _leaves(self, output: str) -> Tensor:
        return self.counted & ~self.neutrophil if output == WITHOUT_NEUTROPHILS else self.counted
