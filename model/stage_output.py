"""The heads of one output at work: cells stream in, probabilities and what they rest on come out."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from model.pooling import PoolState, add_cells, attention_by_type, empty_pool
from model.proportional_odds import ProportionalOdds
from model.sample_sums import SampleSums
from model.stage_features import COMPOSITION, N_DIRECTIONS, RIDGE_BLOCKS, SHRINKAGE, FeatureBlocks, StageFeatures
from model.stage_heads import ATTENTION, AttentionHead
from model.top_cells import N_TOP, TopCells
from schema.predictions import ATTENTION_SHARE, LOG_ODDS


class SeenCells(NamedTuple):
    """Counted cells of some samples.

    Attributes
    ----------
    sample, row, cell_type
        int64 `[n_cells]`: sample, row in the file, place of the called type.
    latent, values
        float `[n_cells, n_latent]` and `[n_cells, n_directions]` (see `StageFeatures.values`).
    """

    sample: Tensor
    row: Tensor
    cell_type: Tensor
    latent: Tensor
    values: Tensor

    def where(self, kept: Tensor) -> SeenCells:
        """Return some of them, bool `[n_cells]`."""
        return SeenCells(*(part[kept] for part in self))


class CellWeights(NamedTuple):
    """The cells of most weight of each sample, by sample, heaviest first, whatever the sign.

    Attributes
    ----------
    sample, row, cell_type
        int64 `[n]`.
    weight
        float `[n]`: log odds that the look of the cell adds to a later stage, over the mean training cell of its type;
        or its share of attention.
    mean
        float `[n]`, what mean pooling gives: log odds of the mean cell of its type in the sample, or one over cells.
    """

    sample: Tensor
    row: Tensor
    cell_type: Tensor
    weight: Tensor
    mean: Tensor


class StageFound(NamedTuple):
    """What is said of samples, for one output.

    Attributes
    ----------
    at_least
        float `[n_samples, n_levels - 1]`, P(stage >= k), k = 1, 2, ...
    log_odds
        float `[n_samples, n_types]`: what each type adds to the stage's score, over what it adds on average; of
        attention, by its share of the cells alone.
    attention
        float `[n_samples, n_types]`, the share of attention of each type; all zero of heads without attention.
    cells
        The cells of most weight.
    n_cells
        float `[n_samples]`, cells that it rests on.
    """

    at_least: Tensor
    log_odds: Tensor
    attention: Tensor
    cells: CellWeights
    n_cells: Tensor


class OutputState(NamedTuple):
    """What one output knows after some cells beside sums: a pool by fold (attention), and the cells of most weight."""

    pools: tuple[PoolState, ...]
    top: TopCells


class StageOutput(nn.Module):
    """Heads of one kind, one of each donor fold, for one output of `schema.predictions.STAGE_OUTPUTS`."""

    temperature: Tensor
    cell_kind: str
    """Kind of weight of cells."""

    def __init__(self, output: str, heads: list[nn.Module]) -> None:
        super().__init__()
        self.output = output
        self.models = nn.ModuleList(heads)
        self.register_buffer("temperature", torch.tensor(1.0))

    @abstractmethod
    def empty(self, n_samples: int, n_types: int) -> OutputState:
        """Return the state before the first cell."""

    @abstractmethod
    def add(self, state: OutputState, cells: SeenCells, features: StageFeatures) -> OutputState:
        """Return the state after more counted cells, of which those that this output does not see are left out."""

    @abstractmethod
    def forward(self, state: OutputState, sums: SampleSums, features: StageFeatures) -> StageFound:
        """Return what is said of samples; levels are those seen in training."""

    def _probabilities(self, logits: list[Tensor]) -> Tensor:
        return torch.stack([(part / self.temperature).sigmoid() for part in logits]).mean(dim=0)

    def _n_cells(self, sums: SampleSums, features: StageFeatures) -> Tensor:
        return sums.n_of_type[:, features.seen_types(self.output)].sum(dim=1)


class RidgeOutput(StageOutput):
    """Ridge proportional odds on blocks of features; cells weigh by their look, where looks are read."""

    cell_kind = LOG_ODDS

    def __init__(self, output: str, head: str, sizes: tuple[int, int], n_folds: int, n_levels: int) -> None:
        of_block = FeatureBlocks(*(torch.zeros(size) for size in sizes))
        n_features = sum(len(block) for block in of_block.read_by(head))
        super().__init__(output, [ProportionalOdds(n_features, n_levels) for _ in range(n_folds)])
        self.head, self._n_looks = head, sizes[1] if head != COMPOSITION else 0

    @property
    def heads(self) -> list[ProportionalOdds]:
        """The heads, by fold."""
        return cast(list[ProportionalOdds], list(self.models))

    def empty(self, n_samples: int, n_types: int) -> OutputState:
        """Return the state before the first cell."""
        n_groups = n_samples * n_types if self._n_looks else 0
        return OutputState((), TopCells.empty(n_groups, 1, self.temperature.device))

    def add(self, state: OutputState, cells: SeenCells, features: StageFeatures) -> OutputState:
        """Return the state after more counted cells."""
        if not self._n_looks:
            return state
        cells = cells.where(features.looked_at(self.output)[cells.cell_type])
        speaks = (cells.values * self._along(features)[cells.cell_type]).sum(dim=1)
        group = cells.sample * features.n_types + cells.cell_type
        state.top.add(group, speaks.abs(), cells.row, cells.cell_type, speaks[:, None])
        return state

    def forward(self, state: OutputState, sums: SampleSums, features: StageFeatures) -> StageFound:
        """Return what is said of samples."""
        read = torch.cat(features.blocks(sums, self.output).read_by(self.head), dim=1)
        logits, added = zip(*((head(read), head.contributions(read)) for head in self.heads), strict=True)
        type_of = torch.cat(features.types_of_features(self.output).read_by(self.head))
        nothing = read.new_zeros(len(read), features.n_types)
        return StageFound(
            self._probabilities(list(logits)),
            nothing.index_add(1, type_of, torch.stack(added).mean(dim=0)),
            nothing,
            self._cells(state.top, sums, features),
            self._n_cells(sums, features),
        )

    def _along(self, features: StageFeatures) -> Tensor:
        """Return the log odds along each direction of each type, float `[n_types, n_directions]`, mean over folds."""
        along = self.temperature.new_zeros(features.n_types, N_DIRECTIONS)
        slopes = torch.stack([(head.weight / head.spread)[-self._n_looks :] for head in self.heads]).mean(dim=0)
        along[features.looked_at(self.output)] = slopes.view(-1, N_DIRECTIONS)  # looks are the last block
        return along

    def _cells(self, top: TopCells, sums: SampleSums, features: StageFeatures) -> CellWeights:
        """Return the cells whose look weighs most: what each says by itself, shrunk as the mean of its type is."""
        if not self._n_looks:
            return _heaviest(len(sums.n_cells), top, top.key, top.key)
        n_of_type = sums.n_of_type.flatten()[:, None]
        weight = top.parts[:, :, 0] / (n_of_type + SHRINKAGE)
        said = (sums.values * self._along(features)).sum(dim=2).flatten()[:, None]
        mean = said / (n_of_type + SHRINKAGE) / n_of_type.clamp_min(1)
        return _heaviest(len(sums.n_cells), top, weight, mean.expand_as(weight))


class AttentionOutput(StageOutput):
    """Gated attention over cells beside the composition; cells weigh by their share of attention."""

    cell_kind = ATTENTION_SHARE

    def __init__(self, output: str, n_composition: int, n_folds: int, n_latent: int, n_levels: int) -> None:
        super().__init__(output, [AttentionHead(n_latent, n_composition, n_levels) for _ in range(n_folds)])
        self._n_latent = n_latent

    @property
    def heads(self) -> list[AttentionHead]:
        """The heads, by fold."""
        return cast(list[AttentionHead], list(self.models))

    def empty(self, n_samples: int, n_types: int) -> OutputState:
        """Return the state before the first cell."""
        device, n_folds = self.temperature.device, len(self.models)
        pool = empty_pool(n_samples, self._n_latent, n_types, device)
        return OutputState((pool,) * n_folds, TopCells.empty(n_samples, n_folds, device))

    def add(self, state: OutputState, cells: SeenCells, features: StageFeatures) -> OutputState:
        """Return the state after more counted cells; those of most weight are those of the largest mean score."""
        cells = cells.where(features.seen_types(self.output)[cells.cell_type])
        scores = torch.stack([head.attention_scores(cells.latent) for head in self.heads], dim=1)
        pools = tuple(
            add_cells(pool, score, cells.latent, cells.cell_type, cells.sample)
            for pool, score in zip(state.pools, scores.T, strict=True)
        )
        state.top.add(cells.sample, scores.mean(dim=1), cells.row, cells.cell_type, scores)
        return OutputState(pools, state.top)

    def forward(self, state: OutputState, sums: SampleSums, features: StageFeatures) -> StageFound:
        """Return what is said of samples."""
        composition = features.blocks(sums, self.output).composition
        logits = [head(pool, composition) for head, pool in zip(self.heads, state.pools, strict=True)]
        added = torch.stack([head.contributions(composition) for head in self.heads]).mean(dim=0)
        type_of = features.types_of_features(self.output).composition
        log_odds = composition.new_zeros(len(composition), features.n_types).index_add(1, type_of, added)
        n_cells = self._n_cells(sums, features)
        share = torch.stack(
            [
                (top - pool.top[:, None]).exp() / pool.weight[:, None]
                for pool, top in zip(state.pools, state.top.parts.unbind(dim=2), strict=True)
            ]
        ).mean(dim=0)
        mean = (1 / n_cells.clamp_min(1))[:, None].expand_as(share)
        return StageFound(
            self._probabilities(logits),
            log_odds,
            torch.stack([attention_by_type(pool) for pool in state.pools]).mean(dim=0),
            _heaviest(len(composition), state.top, share, mean),
            n_cells,
        )


def new_output(
    output: str, head: str, sizes: tuple[int, int], *, n_folds: int, n_latent: int, n_levels: int
) -> RidgeOutput | AttentionOutput:
    """Return the heads of an output, all zero.

    Parameters
    ----------
    output, head
        One of `schema.predictions.STAGE_OUTPUTS`, one of `model.stage_heads.HEADS`.
    sizes
        Features of the composition and of the looks.
    n_folds, n_latent, n_levels
        Donor folds, width of the latent vector, levels seen in training.
    """
    if head == ATTENTION:
        return AttentionOutput(output, sizes[0], n_folds, n_latent, n_levels)
    if head not in RIDGE_BLOCKS:
        raise ValueError(f"Expected a known head but got {head!r}.")
    return RidgeOutput(output, head, sizes, n_folds, n_levels)


def _heaviest(n_samples: int, top: TopCells, weight: Tensor, mean: Tensor) -> CellWeights:
    """Return the heaviest of the cells that were kept of the groups of each sample."""
    per_sample = len(weight) // max(1, n_samples) * N_TOP

    def by_sample(values: Tensor) -> Tensor:
        return values.reshape(n_samples, per_sample)

    known = by_sample(top.key > -torch.inf)
    size = torch.where(known, by_sample(weight).abs(), -torch.inf)
    place = size.argsort(dim=1, descending=True, stable=True)[:, :N_TOP]
    sample = torch.arange(n_samples, device=place.device)[:, None].expand_as(place)
    found = (by_sample(values).gather(1, place) for values in (top.row, top.cell_type, weight, mean))
    kept = known.gather(1, place)
    return CellWeights(*(values[kept] for values in (sample, *found)))
