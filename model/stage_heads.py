"""The heads that compete for the stage of a sample: ridge on composition, on looks or on both, and attention."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from model.pooling import PoolState, add_cells, empty_pool, pooled_latent
from model.proportional_odds import ProportionalOdds, ordinal_loss

PENALTIES = (3e-6, 3e-5, 3e-4, 3e-3, 3e-2)
"""Ridges among which cross-validation within the training donors chooses."""
N_ATTENTION, N_POOLED = 16, 4
"""Widths of the attention head: of what scores a cell, and of what is read from the pooled latent."""
ATTENTION_STEPS, ATTENTION_RATE, ATTENTION_DECAY = 100, 1e-2, 0.3

COMPOSITION, LOOKS, BOTH, ATTENTION = "composition", "looks", "composition and looks", "attention"
RIDGE_BLOCKS = {COMPOSITION: (COMPOSITION,), LOOKS: (LOOKS,), BOTH: (COMPOSITION, LOOKS)}
"""Blocks that a ridge head reads."""
HEADS = (*RIDGE_BLOCKS, ATTENTION)


class StageInputs(NamedTuple):
    """Samples as the heads see them.

    Attributes
    ----------
    composition, looks
        float `[n_samples, n]`, from `model.stage_features`.
    latent
        float `[n_cells, n_latent]`: some cells of each sample, for attention.
    cell_type, sample
        int64 `[n_cells]`: place of their called type; their sample, 0 to n_samples - 1.
    """

    composition: Tensor
    looks: Tensor
    latent: Tensor
    cell_type: Tensor
    sample: Tensor

    def of(self, samples: Tensor) -> StageInputs:
        """Return some samples, int64 `[n]`, in that order."""
        place = torch.full((len(self.composition),), -1).index_put_((samples,), torch.arange(len(samples)))
        kept = place[self.sample] >= 0
        cells = (self.latent[kept], self.cell_type[kept], place[self.sample[kept]])
        return StageInputs(self.composition[samples], self.looks[samples], *cells)

    def blocks(self, head: str) -> list[Tensor]:
        """Return the blocks of a ridge head."""
        of_name = {COMPOSITION: self.composition, LOOKS: self.looks}
        return [of_name[name] for name in RIDGE_BLOCKS[head]]


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

    def pool(self, state: PoolState, latent: Tensor, cell_type: Tensor, sample: Tensor) -> PoolState:
        """Return the state of samples after more cells (see `model.pooling.add_cells`)."""
        gated = torch.tanh(self.attend(latent)) * torch.sigmoid(self.gate(latent))
        return add_cells(state, self.attention(gated)[:, 0], latent, cell_type, sample)

    def forward(self, state: PoolState, composition: Tensor) -> Tensor:
        """Return logits of P(stage >= k), float `[n_samples, n_levels - 1]`, falling along k."""
        features = torch.cat([self.reduce(pooled_latent(state)), (composition - self.centre) / self.spread], dim=1)
        first = self.first_threshold[None]
        thresholds = torch.cat([first, first + softplus(self.steps).cumsum(0)])
        return self.score(features) - thresholds  # type: ignore[no-any-return]

    def of_inputs(self, inputs: StageInputs) -> Tensor:
        """Return the logits of samples from some of their cells."""
        n_types = int(inputs.cell_type.max()) + 1 if len(inputs.cell_type) else 1
        state = empty_pool(len(inputs.composition), inputs.latent.shape[1], n_types)
        return self(self.pool(state, inputs.latent, inputs.cell_type, inputs.sample), inputs.composition)  # type: ignore[no-any-return]


def fit_attention(inputs: StageInputs, level: Tensor, n_levels: int, seed: int) -> AttentionHead:
    """Train an attention head on all samples at once, strongly decayed."""
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(seed)
        head = AttentionHead(inputs.latent.shape[1], inputs.composition.shape[1], n_levels)
        centred = inputs.composition - inputs.composition.mean(dim=0)
        head.centre.copy_(inputs.composition.mean(dim=0))
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
    return model(torch.cat(inputs.blocks(head), dim=1))  # type: ignore[no-any-return]
