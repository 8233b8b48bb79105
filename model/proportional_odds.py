"""Ridge proportional odds: an ordered level from features of few samples (McCullagh 1980)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

_STEP_PENALTY = 1e-4
"""On the distances of thresholds, so that a level without samples does not run away."""
_ITERATIONS = 200
_LEAST_SPREAD = 1e-12


class ProportionalOdds(nn.Module):
    """P(level >= k) = sigmoid(score - threshold_k), the score linear in the features and the thresholds ordered.

    Attributes
    ----------
    centre, spread
        float32 `[n_features]`: what features are centred on and divided by.
    weight
        float32 `[n_features]`.
    thresholds
        float32 `[n_levels - 1]`, rising.
    """

    centre: Tensor
    spread: Tensor
    weight: Tensor
    thresholds: Tensor

    def __init__(self, n_features: int, n_levels: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("spread", torch.ones(n_features))
        self.register_buffer("weight", torch.zeros(n_features))
        self.register_buffer("thresholds", torch.zeros(n_levels - 1))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits of P(level >= k), float `[n_samples, n_levels - 1]`, from float `[n_samples, n_features]`."""
        return ((features - self.centre) / self.spread @ self.weight)[:, None] - self.thresholds

    def contributions(self, features: Tensor) -> Tensor:
        """Return what each feature adds to the score, float `[n_samples, n_features]`."""
        return (features - self.centre) / self.spread * self.weight


def fit_proportional_odds(blocks: list[Tensor], level: Tensor, n_levels: int, penalty: float) -> ProportionalOdds:
    """Fit by maximum likelihood with a ridge on the weights.

    Parameters
    ----------
    blocks
        Features that are weighed against each other as wholes, float `[n_samples, n_features]` each: every block is
        centred and divided by one number, so that its mean squared length is 1.
    level
        int64 `[n_samples]`, from 0.
    n_levels
        Levels, >= 2; those without samples get little room between their thresholds.
    penalty
        Half of it times the squared length of the weights is added to the mean loss.
    """
    features = torch.cat(blocks, dim=1).double()
    model = ProportionalOdds(features.shape[1], n_levels)
    centre = features.mean(dim=0)
    lengths = [(block.double() - block.double().mean(dim=0)).square().sum(dim=1).mean().sqrt() for block in blocks]
    spread = torch.cat(
        [length.clamp_min(_LEAST_SPREAD).expand(block.shape[1]) for length, block in zip(lengths, blocks, strict=True)]
    )
    # the weights lie in the span of the samples, so that there is nothing to fit outside it
    left, size, right = torch.linalg.svd((features - centre) / spread, full_matrices=False)
    inside, cuts = _fit(left * size, level, n_levels, penalty)
    for name, value in {"centre": centre, "spread": spread, "weight": right.T @ inside, "thresholds": cuts}.items():
        getattr(model, name).copy_(value)
    return model


def _fit(inputs: Tensor, level: Tensor, n_levels: int, penalty: float) -> tuple[Tensor, Tensor]:
    weight = torch.zeros(inputs.shape[1], dtype=torch.float64, requires_grad=True)
    first = torch.tensor([-float(n_levels - 2) / 2], dtype=torch.float64, requires_grad=True)
    steps = torch.full((n_levels - 2,), math.log(math.e - 1), dtype=torch.float64, requires_grad=True)  # softplus = 1
    optimiser = torch.optim.LBFGS([weight, first, steps], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        logits = (inputs @ weight)[:, None] - _thresholds(first, steps)
        value = ordinal_loss(logits, level).mean()
        value = value + penalty / 2 * weight.square().sum() + _STEP_PENALTY / 2 * steps.square().sum()
        torch.autograd.backward(value)
        return value

    with torch.enable_grad():
        optimiser.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), _thresholds(first, steps).detach()


def _thresholds(first: Tensor, steps: Tensor) -> Tensor:
    return torch.cat([first, first + softplus(steps).cumsum(0)])


def ordinal_loss(logits: Tensor, level: Tensor) -> Tensor:
    """Return -log P(level) of each sample, float `[n_samples]`, from logits of P(level >= k) that fall along k.

    Parameters
    ----------
    logits
        float `[n_samples, n_levels - 1]`.
    level
        int64 `[n_samples]`, from 0.
    """
    upper = torch.cat([torch.full_like(logits[:, :1], torch.inf), logits], dim=1).gather(1, level[:, None])[:, 0]
    lower = torch.cat([logits, torch.full_like(logits[:, :1], -torch.inf)], dim=1).gather(1, level[:, None])[:, 0]
    # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a))
    gap = torch.log1p(-torch.exp((lower - upper).clamp_max(-1e-9)))
    return -(logsigmoid(upper) + logsigmoid(-lower) + gap)
