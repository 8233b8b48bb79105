"""Ridge proportional odds: an ordered level from features of few samples (McCullagh 1980)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit, log_expit
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

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
    left, size, right = np.linalg.svd(((features - centre) / spread).numpy(), full_matrices=False)
    inside, cuts = _fit(left * size, level.numpy(), n_levels, penalty)
    fitted = {"weight": torch.from_numpy(right.T @ inside), "thresholds": torch.from_numpy(cuts)}
    for name, value in {"centre": centre, "spread": spread, **fitted}.items():
        getattr(model, name).copy_(value)
    return model


def _fit(inputs: Doubles, level: Ints, n_levels: int, penalty: float) -> tuple[Doubles, Doubles]:
    """Return weights and thresholds, by quasi-Newton with the gradient written out: hundreds of fits are needed."""
    from scipy.optimize import minimize  # here, because prediction does without it

    n_samples, n_weights = inputs.shape
    first, last = level > 0, level < n_levels - 1

    def loss(parameters: Doubles) -> tuple[float, Doubles]:
        weight, lowest, steps = np.split(parameters, [n_weights, n_weights + 1])
        cuts = _thresholds(lowest, steps)
        score = inputs @ weight
        upper = np.where(first, score - cuts[level - 1], np.inf)  # where it is the lowest level, this is not used
        lower = np.where(last, score - cuts[np.minimum(level, n_levels - 2)], -np.inf)
        share = -np.expm1(np.minimum(lower - upper, -1e-9))  # P(level) = sigmoid(upper) sigmoid(-lower) share
        value = -(log_expit(upper) + log_expit(-lower) + np.log(share)).mean()
        of_upper = -expit(-upper) / (expit(-lower) * share) / n_samples
        of_lower = expit(lower) / (expit(upper) * share) / n_samples
        of_cuts = np.zeros(n_levels - 1)
        np.add.at(of_cuts, level[first] - 1, -of_upper[first])
        np.add.at(of_cuts, level[last], -of_lower[last])
        beyond = of_cuts[::-1].cumsum()[::-1]
        value += penalty / 2 * (weight @ weight) + _STEP_PENALTY / 2 * (steps @ steps)
        of_weight = inputs.T @ (of_upper + of_lower) + penalty * weight
        return value, np.concatenate([of_weight, beyond[:1], expit(steps) * beyond[1:] + _STEP_PENALTY * steps])

    begin = np.zeros(n_weights + n_levels - 1)
    begin[n_weights] = -(n_levels - 2) / 2
    begin[n_weights + 1 :] = math.log(math.e - 1)  # softplus = 1
    found = minimize(loss, begin, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS}).x
    weight, lowest, steps = np.split(found, [n_weights, n_weights + 1])
    return weight, _thresholds(lowest, steps)


def _thresholds(first: Doubles, steps: Doubles) -> Doubles:
    return np.concatenate([first, first + np.logaddexp(0, steps).cumsum()])


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
