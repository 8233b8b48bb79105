"""The heads that compete for the stage of a sample: ridge on composition, on looks or on both, and attention."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from model.pooling import PoolState, add_cells, empty_pool, pooled_latent
from model.proportional_odds import ProportionalOdds, ordinal_loss
from model.stage_features import RIDGE_BLOCKS, FeatureBlocks

PENALTIES = (3e-6, 3e-5, 3e-4, 3e-3, 3e-2)
"""Ridges among which cross-validation within the training donors chooses."""
N_ATTENTION, N_POOLED = 16, 4
"""Widths of the attention head: of what scores a cell, and of what is read from the pooled latent."""
ATTENTION_STEPS, ATTENTION_RATE, ATTENTION_DECAY = 100, 1e-2, 0.3

ATTENTION = "attention"
HEADS = (*RIDGE_BLOCKS, ATTENTION)


class StageBag(NamedTuple):
    """Some cells of each sample, for attention.

    Attributes
    ----------
    latent
        float `[n_cells, n_latent]`.
    cell_type, sample
        int64 `[n_cells]`: place of their called type; their sample.
    """

    latent: Tensor
    cell_type: Tensor
    sample: Tensor

    @classmethod
    def empty(cls) -> StageBag:
        """Return no cells."""
        nothing = torch.zeros(0, dtype=torch.int64)
        return cls(torch.zeros(0, 1), nothing, nothing)

    def where(self, kept: Tensor) -> StageBag:
        """Return some of the cells, bool `[n_cells]`."""
        return StageBag(self.latent[kept], self.cell_type[kept], self.sample[kept])

    def of(self, samples: Tensor, n_samples: int) -> StageBag:
        """Return the cells of some of so many samples, int64 `[n]`, numbered in that order."""
        place = torch.full((n_samples,), -1).index_put_((samples,), torch.arange(len(samples)))
        return self._replace(sample=place[self.sample]).where(place[self.sample] >= 0)


class StageInputs(NamedTuple):
    """Samples as the heads see them: features, and some of their cells."""

    blocks: FeatureBlocks
    bag: StageBag

    @classmethod
    def of_values(cls, values: Tensor) -> StageInputs:
        """Return samples of which nothing but some values is known, float `[n_samples, n]`, in place of composition."""
        return cls(FeatureBlocks(values, values[:, :0]), StageBag.empty())

    def of(self, samples: Tensor) -> StageInputs:
        """Return some samples, int64 `[n]`, in that order."""
        blocks = FeatureBlocks(*(block[samples] for block in self.blocks))
        return StageInputs(blocks, self.bag.of(samples, len(self.blocks.composition)))


class AttentionHead(nn.Module):
    """Gated attention over cells beside the composition, into a cumulative link (Ilse et al. 2018, arXiv:1802.04712).

    P(stage >= k) = sigmoid(score - threshold_k) with ordered thresholds.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, n_latent: int, n_composition: int, n_levels: int) -> None:
        super().__init__()
        self.attend, self.gate = nn.Linear(n_latent, N_ATTENTION), nn.Linear(n_latent, N_ATTENTION)
        self.attention = nn.Linear(N_ATTENTION, 1, bias=False)
        self.reduce = nn.Sequential(nn.LayerNorm(n_latent), nn.Linear(n_latent, N_POOLED), nn.Tanh())
        self.register_buffer("centre", torch.zeros(n_composition))
        self.register_buffer("spread", torch.ones(n_composition))
        self.score = nn.Linear(N_POOLED + n_composition, 1, bias=False)
        self.first_threshold = nn.Parameter(torch.tensor(-float(n_levels - 2) / 2))
        self.steps = nn.Parameter(torch.full((n_levels - 2,), math.log(math.e - 1)))  # softplus = 1
        nn.init.zeros_(self.score.weight)

    def attention_scores(self, latent: Tensor) -> Tensor:
        """Return the attention of cells before softmax, float `[n_cells]`, from float `[n_cells, n_latent]`."""
        gated = torch.tanh(self.attend(latent)) * torch.sigmoid(self.gate(latent))
        return self.attention(gated)[:, 0]  # type: ignore[no-any-return]

    def contributions(self, composition: Tensor) -> Tensor:
        """Return what each part of the composition adds to the score, float `[n_samples, n_composition]`."""
        return (composition - self.centre) / self.spread * self.score.weight[0, N_POOLED:]

    def forward(self, state: PoolState, composition: Tensor) -> Tensor:
        """Return logits of P(stage >= k), float `[n_samples, n_levels - 1]`, falling along k."""
        features = torch.cat([self.reduce(pooled_latent(state)), (composition - self.centre) / self.spread], dim=1)
        first = self.first_threshold[None]
        thresholds = torch.cat([first, first + softplus(self.steps).cumsum(0)])
        return self.score(features) - thresholds  # type: ignore[no-any-return]

    def of_inputs(self, inputs: StageInputs) -> Tensor:
        """Return the logits of samples from some of their cells."""
        composition, bag = inputs.blocks.composition, inputs.bag
        n_types = int(bag.cell_type.max()) + 1 if len(bag.cell_type) else 1
        state = empty_pool(len(composition), bag.latent.shape[1], n_types)
        return self(add_cells(state, self.attention_scores(bag.latent), *bag), composition)  # type: ignore[no-any-return]


def fit_attention(inputs: StageInputs, level: Tensor, n_levels: int, seed: int) -> AttentionHead:
    """Train an attention head on all samples at once, strongly decayed."""
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(seed)
        composition = inputs.blocks.composition
        head = AttentionHead(inputs.bag.latent.shape[1], composition.shape[1], n_levels)
        centred = composition - composition.mean(dim=0)
        head.centre.copy_(composition.mean(dim=0))
        head.spread.fill_(float(centred.square().sum(dim=1).mean().sqrt().clamp_min(1e-6)))
        optimiser = torch.optim.AdamW(head.parameters(), lr=ATTENTION_RATE, weight_decay=ATTENTION_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5 * ATTENTION_RATE, total_steps=ATTENTION_STEPS)
        for _ in range(ATTENTION_STEPS):
            optimiser.zero_grad()
            torch.autograd.backward(ordinal_loss(head.of_inputs(inputs), level).mean())
            optimiser.step()
            schedule.step()
    return head.eval().requires_grad_(requires_grad=False)


def logits_of(model: ProportionalOdds | AttentionHead, head: str, inputs: StageInputs) -> Tensor:
    """Return logits of P(level >= k), float `[n_samples, n_levels - 1]`."""
    if isinstance(model, AttentionHead):
        return model.of_inputs(inputs)
    return model(torch.cat(inputs.blocks.read_by(head), dim=1))  # type: ignore[no-any-return]
