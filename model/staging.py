"""The stage of samples, read twice: by the heads that won on held-out donors, with and without neutrophils."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from model.sample_sums import SampleSums
from model.stage_features import StageFeatures
from model.stage_folds import N_FOLDS
from model.stage_heads import HEADS
from model.stage_output import AttentionOutput, OutputState, RidgeOutput, SeenCells, StageFound, new_output
from schema.labels import CellOntology
from schema.predictions import STAGE_OUTPUTS


class StageState(NamedTuple):
    """What is known of samples after some of their cells: sums, and what each output keeps beside them."""

    sums: SampleSums
    outputs: tuple[OutputState, ...]


class PredictedCells(NamedTuple):
    """Cells as the network sees them.

    Attributes
    ----------
    sample, row
        int64 `[n_cells]`: sample, and row in the file.
    library_size
        float `[n_cells]`, UMI, > 0.
    hidden, latent, probabilities
        First hidden layer, latent vector and calibrated leaf probabilities, float `[n_cells, ...]`.
    """

    sample: Tensor
    row: Tensor
    library_size: Tensor
    hidden: Tensor
    latent: Tensor
    probabilities: Tensor


@dataclass(frozen=True, kw_only=True)
class StagingShape:
    """What shapes the heads of a bundle.

    Attributes
    ----------
    heads
        For each output of `schema.predictions.STAGE_OUTPUTS`, one of `model.stage_heads.HEADS`.
    n_folds
        Donor folds, >= 2: heads of each output.
    seen
        Lowest and highest level among the training samples; those beyond get no probability.
    sizes
        For each output: features of the composition, features of the looks.
    """

    heads: tuple[str, ...]
    n_folds: int
    seen: tuple[int, int]
    sizes: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        """Refuse what no fit gives."""
        fits = len(self.heads) == len(self.sizes) == len(STAGE_OUTPUTS) and set(self.heads) <= set(HEADS)
        if not fits or not 2 <= self.n_folds <= N_FOLDS:
            raise ValueError(f"Expected known heads and sizes of each output, and folds, but got {self}.")
        if not 0 <= self.seen[0] < self.seen[1] or min(map(min, self.sizes)) < 0:
            raise ValueError(f"Expected two levels and no size below 0 but got {self}.")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StagingShape:
        """Read what `asdict` wrote, after JSON."""
        low, high = content["seen"]
        return cls(
            heads=tuple(str(name) for name in content["heads"]),
            n_folds=int(content["n_folds"]),
            seen=(int(low), int(high)),
            sizes=tuple((int(a), int(b)) for a, b in content["sizes"]),
        )


class Staging(nn.Module):
    """Heads of each output, one of each donor fold, whose probabilities are averaged.

    Parameters
    ----------
    ontology
        Label tree.
    shape
        Kinds and sizes of the heads.
    n_hidden, n_latent
        Widths of the first hidden layer and of the latent vector, over all members.
    n_levels
        Levels of the scale.
    """

    def __init__(
        self, ontology: CellOntology, shape: StagingShape, *, n_hidden: int, n_latent: int, n_levels: int
    ) -> None:
        super().__init__()
        if shape.seen[1] >= n_levels:
            raise ValueError(f"Expected levels below {n_levels} but got {shape.seen}.")
        self.shape, self.n_levels = shape, n_levels
        self.features = StageFeatures(ontology, n_hidden)
        sizes = {"n_folds": shape.n_folds, "n_latent": n_latent, "n_levels": shape.seen[1] - shape.seen[0] + 1}
        parts = zip(STAGE_OUTPUTS, shape.heads, shape.sizes, strict=True)
        self.outputs = nn.ModuleList(new_output(output, head, of, **sizes) for output, head, of in parts)

    def output(self, name: str) -> RidgeOutput | AttentionOutput:
        """Return the heads of an output of `schema.predictions.STAGE_OUTPUTS`."""
        return cast(RidgeOutput | AttentionOutput, self.outputs[STAGE_OUTPUTS.index(name)])

    def empty(self, n_samples: int) -> StageState:
        """Return the state of samples before their first cell."""
        features = self.features
        sums = SampleSums.empty(
            n_samples,
            n_leaves=len(features.counted),
            n_types=features.n_types,
            n_values=features.directions.shape[2],
            device=features.centre.device,
        )
        return StageState(sums, tuple(self.output(name).empty(n_samples, features.n_types) for name in STAGE_OUTPUTS))

    def add(self, state: StageState, cells: PredictedCells) -> StageState:
        """Return the state after more cells, of which those called what the burden does not count are left out."""
        called = self.features.called_type(cells.probabilities)
        counted = self.features.counted_type[called]
        cells, cell_type = PredictedCells(*(part[counted] for part in cells)), called[counted]
        values = self.features.values(cells.hidden, cell_type)
        sums = state.sums.add(cells.sample, cells.library_size, cells.probabilities, cell_type, values)
        seen = SeenCells(cells.sample, cells.row, cell_type, cells.latent, values)
        pairs = zip(STAGE_OUTPUTS, state.outputs, strict=True)
        return StageState(sums, tuple(self.output(name).add(kept, seen, self.features) for name, kept in pairs))

    @torch.inference_mode()
    def forward(self, state: StageState) -> dict[str, StageFound]:
        """Return what is said of the samples, by output, on the whole scale."""
        found = {}
        for name, kept in zip(STAGE_OUTPUTS, state.outputs, strict=True):
            said = self.output(name)(kept, state.sums, self.features)
            found[name] = said._replace(at_least=self._on_scale(said.at_least))
        return found

    def _on_scale(self, seen: Tensor) -> Tensor:
        """Put P(level >= k) of the levels seen in training on the whole scale."""
        low, high = self.shape.seen
        below, above = seen.new_ones(len(seen), low), seen.new_zeros(len(seen), self.n_levels - 1 - high)
        return torch.cat([below, seen, above], dim=1)
