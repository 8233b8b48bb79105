"""The heads: cell type of a cell over the label tree, tumour stage of a sample on an ordinal scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.pooling import PoolState, add_cells, empty_pool, pooled_latent
from schema.errors import UsageError

_CERTAIN = 30.0
"""Logit of what is certain: beyond float32's resolution of a probability."""


@dataclass(frozen=True, kw_only=True)
class StageHeadConfig:
    """Shape of the tumour stage head."""

    n_attention: int = 32
    """Width of the layer that scores a cell's attention."""
    n_pooled: int = 8
    """Number of directions of the pooled latent that may speak for the stage."""
    prior_share: float = 0.005
    """Share of each type added to the composition before its log-ratio, so that rare types stay finite; a share, not a
    number of cells, so that a bag of 100 cells and a sample of 10,000 are read alike."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if min(self.n_attention, self.n_pooled) < 1 or self.prior_share <= 0:
            raise UsageError(
                "the stage head needs widths >= 1 and a positive prior",
                got=str(self),
                where="network.stage",
                fix="Correct the value.",
            )


class CellTypeHead(nn.Module):
    """Linear maps from latent to the logits of the leaves of the label tree, with the training prior put in.

    Each member of the encoder has a map of its own, and the logits are the mean over members: an ensemble
    (Lakshminarayanan et al. 2017, arXiv:1612.01474). The maps learn how a leaf stands out from its prior; `strength`
    times the log prior is added to what they say, in training and ever after (logit adjustment, Menon et al. 2021,
    arXiv:2007.07314). The logits thus mean probabilities under the training prior at any strength; `balanced` takes
    the prior out.

    Attributes
    ----------
    log_prior
        float32 `[n_leaves]`, log prior of the leaves (see `model.prior.log_adjustment`); all equal before it is set.
    strength
        float32 scalar; 0 leaves the prior to the layers, as plain cross-entropy does. Calibration lowers it (see
        `model.calibration.fit_excess_prior`).
    """

    log_prior: Tensor
    strength: Tensor

    def __init__(self, n_latent: int, n_leaves: int, n_members: int = 1) -> None:
        super().__init__()
        self.n_leaves, width = n_leaves, n_latent // n_members
        self.members = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.GELU(), nn.Linear(width, n_leaves)) for _ in range(n_members)
        )
        self.register_buffer("log_prior", torch.full((n_leaves,), -math.log(n_leaves)))
        self.register_buffer("strength", torch.tensor(0.0))

    def adjust(self, log_prior: Tensor, strength: float) -> None:
        """Set the prior and how much of it is added, before training."""
        self.log_prior.copy_(log_prior)
        self.strength.fill_(strength)

    def forward(self, latent: Tensor) -> Tensor:
        """Return logits, float `[n_cells, n_leaves]`, from latent float `[n_cells, n_latent]`."""
        return self.of_members(latent).mean(dim=0)

    def of_members(self, latent: Tensor) -> Tensor:
        """Return the logits of each member, float `[n_members, n_cells, n_leaves]`; training asks each by itself."""
        parts = latent.chunk(len(self.members), dim=1)
        logits = torch.stack([member(part) for member, part in zip(self.members, parts, strict=True)])
        return logits + self.strength * self.log_prior

    def balanced(self, logits: Tensor) -> Tensor:
        """Return logits as if all leaves were equally common, float `[n_cells, n_leaves]`, from those of `forward`."""
        return logits - self.log_prior


class StageHead(nn.Module):
    """Ordinal head on a sample: attention-pooled latent beside the composition, into a cumulative link.

    P(stage >= k) = sigmoid(score - threshold_k) with ordered thresholds (McCullagh 1980, proportional odds). The
    attention is the gated one of Ilse et al. 2018 (arXiv:1802.04712).

    Attributes
    ----------
    seen
        int64 `[2]`, lowest and highest level among the training samples: levels beyond them get no probability.
    """

    seen: Tensor

    def __init__(self, n_latent: int, n_leaves: int, n_levels: int, config: StageHeadConfig) -> None:
        super().__init__()
        self.register_buffer("seen", torch.tensor([0, n_levels - 1]))
        self.prior_share = config.prior_share
        self.attend = nn.Linear(n_latent, config.n_attention)
        self.gate = nn.Linear(n_latent, config.n_attention)
        self.attention = nn.Linear(config.n_attention, 1, bias=False)
        self.reduce = nn.Sequential(nn.LayerNorm(n_latent), nn.Linear(n_latent, config.n_pooled), nn.Tanh())
        self.composition_norm = nn.BatchNorm1d(n_leaves, affine=False)
        self.score = nn.Linear(config.n_pooled + n_leaves, 1, bias=False)
        self.first_threshold = nn.Parameter(torch.tensor(-float(n_levels - 2) / 2))
        self.steps = nn.Parameter(torch.full((n_levels - 2,), 0.5413))  # softplus(0.5413) = 1
        nn.init.zeros_(self.score.weight)

    def thresholds(self) -> Tensor:
        """Return the ordered thresholds, float `[n_levels - 1]`."""
        rises = nn.functional.softplus(self.steps).cumsum(0)
        return torch.cat([self.first_threshold[None], self.first_threshold + rises])

    def pool(self, state: PoolState, latent: Tensor, probabilities: Tensor, sample: Tensor) -> PoolState:
        """Return the state of the samples after more cells (see `model.pooling.add_cells`)."""
        gated = torch.tanh(self.attend(latent)) * torch.sigmoid(self.gate(latent))
        return add_cells(state, self.attention(gated)[:, 0], latent, probabilities, sample)

    def empty(self, n_samples: int) -> PoolState:
        """Return the state of samples before their first cell."""
        return empty_pool(n_samples, self.attend.in_features, self._n_leaves, self.first_threshold.device)

    def forward(self, state: PoolState) -> Tensor:
        """Return logits of P(stage >= k), float `[n_samples, n_levels - 1]`, falling along k."""
        log_share = torch.log(state.composition / state.n_cells.clamp_min(1.0)[:, None] + self.prior_share)
        log_ratio = log_share - log_share.mean(dim=1, keepdim=True)
        features = torch.cat([self.reduce(pooled_latent(state)), self.composition_norm(log_ratio)], dim=1)
        logits: Tensor = self.score(features) - self.thresholds()
        level = torch.arange(1, logits.shape[1] + 1, device=logits.device)
        return logits.masked_fill(level > self.seen[1], -_CERTAIN).masked_fill(level <= self.seen[0], _CERTAIN)

    @property
    def _n_leaves(self) -> int:
        return self.composition_norm.num_features


def level_probabilities(logits: Tensor) -> Tensor:
    """Return the probability of each level, float `[n_samples, n_levels]`, from logits of P(stage >= k)."""
    at_least = torch.sigmoid(logits)
    ones, zeros = torch.ones_like(at_least[:, :1]), torch.zeros_like(at_least[:, :1])
    return torch.cat([ones, at_least], dim=1) - torch.cat([at_least, zeros], dim=1)
