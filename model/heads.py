"""The cell type head: latent vectors to the leaves of the label tree."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


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
