"""The stage of samples: a head that won on held-out donors, one of each fold, with and without neutrophils."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from model.pooling import PoolState, attention_by_type, empty_pool
from model.proportional_odds import ProportionalOdds
from model.sample_sums import SampleSums
from model.stage_features import StageFeatures
from model.stage_folds import N_FOLDS
from model.stage_heads import ATTENTION, COMPOSITION, HEADS, LOOKS, RIDGE_BLOCKS, AttentionHead
from schema.labels import CellOntology

ALL, WITHOUT = "all", "without neutrophils"
"""The two outputs: the second sees neither neutrophils nor their share."""
OUTPUTS = (ALL, WITHOUT)


class StageState(NamedTuple):
    """What is known of samples after some of their cells: sums, and for attention a pool by output and fold."""

    sums: SampleSums
    pools: tuple[tuple[PoolState, ...], ...]


class StageFound(NamedTuple):
    """What is said of samples, for one output.

    Attributes
    ----------
    at_least
        float `[n_samples, n_levels - 1]`, P(stage >= k), k = 1, 2, ...
    pull
        float `[n_samples, n_types]`: what each type adds to the stage's score, over what it adds on average; of
        attention, the share of it that each type gets.
    """

    at_least: Tensor
    pull: Tensor


@dataclass(frozen=True, kw_only=True)
class StagingShape:
    """What shapes the heads of a bundle.

    Attributes
    ----------
    head
        One of `model.stage_heads.HEADS`.
    n_folds
        Donor folds, >= 2: heads of each output.
    seen
        Lowest and highest level among the training samples; those beyond get no probability.
    sizes
        For each output: features of the composition, features of the looks.
    """

    head: str
    n_folds: int
    seen: tuple[int, int]
    sizes: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        """Refuse what no fit gives."""
        fits = self.head in HEADS and 2 <= self.n_folds <= N_FOLDS and len(self.sizes) == len(OUTPUTS)
        if not fits or not 0 <= self.seen[0] < self.seen[1] or min(map(min, self.sizes)) < 0:
            raise ValueError(f"Expected a known head, folds, two levels and sizes but got {self}.")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StagingShape:
        """Read what `asdict` wrote, after JSON."""
        low, high = content["seen"]
        sizes = tuple((int(a), int(b)) for a, b in content["sizes"])
        return cls(head=content["head"], n_folds=int(content["n_folds"]), seen=(int(low), int(high)), sizes=sizes)


class Staging(nn.Module):
    """Heads of one kind, one per donor fold and output, whose probabilities are averaged.

    Parameters
    ----------
    ontology
        Label tree.
    shape
        Kind and sizes of the heads.
    n_hidden, n_latent
        Widths of the first hidden layer and of the latent vector, over all members.
    n_levels
        Levels of the scale.
    """

    temperature: Tensor

    def __init__(
        self, ontology: CellOntology, shape: StagingShape, *, n_hidden: int, n_latent: int, n_levels: int
    ) -> None:
        super().__init__()
        if shape.seen[1] >= n_levels:
            raise ValueError(f"Expected levels below {n_levels} but got {shape.seen}.")
        self.shape, self.n_latent, self.n_levels = shape, n_latent, n_levels
        self.features = StageFeatures(ontology, n_hidden)
        n_seen = shape.seen[1] - shape.seen[0] + 1
        self.models = nn.ModuleList(
            self._new_head(sizes, n_seen) for sizes in shape.sizes for _ in range(shape.n_folds)
        )
        self.register_buffer("temperature", torch.ones(len(OUTPUTS)))

    def _new_head(self, sizes: tuple[int, int], n_levels: int) -> nn.Module:
        if self.shape.head == ATTENTION:
            return AttentionHead(self.n_latent, sizes[0], n_levels)
        of_block = dict(zip((COMPOSITION, LOOKS), sizes, strict=True))
        return ProportionalOdds(sum(of_block[name] for name in RIDGE_BLOCKS[self.shape.head]), n_levels)

    def heads(self, output: str) -> list[ProportionalOdds | AttentionHead]:
        """Return the heads of an output, one of each fold."""
        start = OUTPUTS.index(output) * self.shape.n_folds
        found = list(self.models)[start : start + self.shape.n_folds]
        return cast(list[ProportionalOdds | AttentionHead], found)

    def empty(self, n_samples: int, n_leaves: int) -> StageState:
        """Return the state of samples before their first cell."""
        device, n_types = self.temperature.device, self.features.n_types
        n_values = self.features.directions.shape[2]
        sums = SampleSums.empty(n_samples, n_leaves=n_leaves, n_types=n_types, n_values=n_values, device=device)
        if self.shape.head != ATTENTION:
            return StageState(sums, ())
        pool = empty_pool(n_samples, self.n_latent, n_types, device)
        return StageState(sums, tuple((pool,) * self.shape.n_folds for _ in OUTPUTS))

    def add(
        self,
        state: StageState,
        sample: Tensor,
        library_size: Tensor,
        hidden: Tensor,
        latent: Tensor,
        probabilities: Tensor,
    ) -> StageState:
        """Return the state after more cells, of which those called what the burden does not count are left out.

        Parameters
        ----------
        state
            State so far.
        sample, library_size
            int64 and float `[n_cells]`.
        hidden, latent, probabilities
            First hidden layer, latent vector and calibrated leaf probabilities, float `[n_cells, ...]`.
        """
        cell_type = self.features.called_type(probabilities)
        counted = self.features.counted_type[cell_type]
        parts = (sample, library_size, hidden, latent, probabilities, cell_type)
        sample, library_size, hidden, latent, probabilities, cell_type = (part[counted] for part in parts)
        values = self.features.values(hidden, cell_type)
        sums = state.sums.add(sample, library_size, probabilities, cell_type, values)
        pools = []
        for output, of_heads in zip(OUTPUTS, state.pools, strict=False):  # no pools but for attention
            kept = attended(self.features, cell_type, output)
            cells = (latent[kept], cell_type[kept], sample[kept])
            pairs = zip(self.heads(output), of_heads, strict=True)
            pools.append(tuple(head.pool(pool, *cells) for head, pool in pairs if isinstance(head, AttentionHead)))
        return StageState(sums, tuple(pools))

    @torch.inference_mode()
    def forward(self, state: StageState) -> dict[str, StageFound]:
        """Return what is said of the samples, by output."""
        found = {}
        for number, output in enumerate(OUTPUTS):
            composition, looks = feature_blocks(self.features, state.sums, output)
            logits, pulls = [], []
            for fold, head in enumerate(self.heads(output)):
                if isinstance(head, AttentionHead):
                    pool = state.pools[number][fold]
                    logits.append(head(pool, composition))
                    pulls.append(attention_by_type(pool))
                else:
                    of_name = {COMPOSITION: composition, LOOKS: looks}
                    features = torch.cat([of_name[name] for name in RIDGE_BLOCKS[self.shape.head]], dim=1)
                    logits.append(head(features))
                    pulls.append(self._pull(head.contributions(features), output))
            seen = torch.stack([(part / self.temperature[number]).sigmoid() for part in logits]).mean(dim=0)
            found[output] = StageFound(self._on_scale(seen), torch.stack(pulls).mean(dim=0))
        return found

    def _on_scale(self, seen: Tensor) -> Tensor:
        """Put P(level >= k) of the levels seen in training on the whole scale."""
        low, high = self.shape.seen
        below, above = seen.new_ones(len(seen), low), seen.new_zeros(len(seen), self.n_levels - 1 - high)
        return torch.cat([below, seen, above], dim=1)

    def _pull(self, contributions: Tensor, output: str) -> Tensor:
        """Add up what features contribute by the type that they are of, float `[n_samples, n_types]`."""
        features, without = self.features, output == WITHOUT
        of_leaf = features.of_type.argmax(dim=1)
        counted = features.counted & ~features.neutrophil if without else features.counted
        looked_at = torch.nonzero(features.looked_at(without_neutrophils=without))[:, 0]
        of_block = {
            COMPOSITION: of_leaf[counted],
            LOOKS: looked_at.repeat_interleave(features.directions.shape[2]),
        }
        place = torch.cat([of_block[name] for name in RIDGE_BLOCKS[self.shape.head]])
        pull = contributions.new_zeros(len(contributions), features.n_types)
        return pull.index_add_(1, place, contributions)


def attended(features: StageFeatures, cell_type: Tensor, output: str) -> Tensor:
    """Return which of the counted cells attention may look at, bool `[n_cells]`."""
    if output == WITHOUT:
        return ~features.neutrophil_type[cell_type]
    return torch.ones_like(cell_type, dtype=torch.bool)


def feature_blocks(features: StageFeatures, sums: SampleSums, output: str) -> tuple[Tensor, Tensor]:
    """Return composition and looks of samples for an output."""
    without = output == WITHOUT
    return (
        features.composition(sums, without_neutrophils=without),
        features.looks(sums, without_neutrophils=without),
    )
