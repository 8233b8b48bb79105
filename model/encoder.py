"""The encoder: normalised expression to a latent vector per cell, by one or several residual MLPs side by side."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from schema.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Shape of the encoder."""

    n_members: int = 1
    """Networks trained side by side on the same cells, whose logits are averaged; compute and memory grow with it."""
    n_hidden: int = 512
    """Width of the hidden layers of a member."""
    n_blocks: int = 2
    """Number of residual blocks of a member."""
    n_latent: int = 64
    """Length of a member's latent vector; a cell's is those of all members."""
    dropout: float = 0.2
    """Share of hidden units dropped in training, 0 to below 1."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if min(self.n_members, self.n_hidden, self.n_latent) < 1 or self.n_blocks < 0 or not 0 <= self.dropout < 1:
            raise UsageError(
                "the encoder needs members and widths >= 1, blocks >= 0 and 0 <= dropout < 1",
                got=str(self),
                where="network.encoder",
                fix="Correct the value.",
            )


class ResidualBlock(nn.Module):
    """Pre-norm residual block: x + W2 gelu(W1 norm(x))."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, width)
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Map float `[n_cells, width]` to the same shape."""
        return hidden + self.layers(hidden)  # type: ignore[no-any-return]


class Member(nn.Module):
    """What one member makes of its part of the first layer: residual blocks, then its latent vector."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width, dropout = config.n_hidden, config.dropout
        self.layers = nn.Sequential(
            *(ResidualBlock(width, dropout) for _ in range(config.n_blocks)),
            *(nn.LayerNorm(width), nn.GELU(), nn.Dropout(dropout), nn.Linear(width, config.n_latent)),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Map float `[n_cells, n_hidden]` to float `[n_cells, n_latent]` of the member."""
        return self.layers(hidden)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Residual MLPs over all genes of the vocabulary; the members share nothing but their input.

    A gene that the cell's file never measured is unknown, not zero: it enters as its mean over the training cells.
    Inputs are centred on that mean, so "unknown" is the zero of the first layer. Centring is linear and the same for
    all cells of a file, so it is subtracted after the first product, once per file. The first layers of all members are
    one product.

    Attributes
    ----------
    n_latent
        Length of a cell's latent vector, over all members.
    gene_mean
        float32 `[n_genes]`, mean normalised expression of the training cells.
    """

    gene_mean: Tensor

    def __init__(self, n_genes: int, config: EncoderConfig) -> None:
        super().__init__()
        self.n_latent = config.n_members * config.n_latent
        self.register_buffer("gene_mean", nn.Parameter(requires_grad=False).new_zeros(n_genes))
        self.first = nn.Linear(n_genes, config.n_members * config.n_hidden)
        self.members = nn.ModuleList(Member(config) for _ in range(config.n_members))

    def forward(self, expression: Tensor, present: Tensor, file: Tensor) -> Tensor:
        """Encode cells.

        Parameters
        ----------
        expression
            float `[n_cells, n_genes]`, log1p of counts per ten thousand, zero where not measured.
        present
            bool `[n_files, n_genes]`, genes each file measured.
        file
            int64 `[n_cells]`, row of `present` for each cell.

        Returns
        -------
        Tensor
            Latent, float `[n_cells, n_latent]`.
        """
        return self.after_first(self.hidden(expression, present, file))

    def hidden(self, expression: Tensor, present: Tensor, file: Tensor) -> Tensor:
        """Return what the first layer makes of cells, float `[n_cells, n_members * n_hidden]`; see `forward`."""
        centre = nn.functional.linear(self.gene_mean * present, self.first.weight)
        return self.first(expression) - centre[file]  # type: ignore[no-any-return]

    def after_first(self, hidden: Tensor) -> Tensor:
        """Return the latent of cells, float `[n_cells, n_latent]`, from what the first layer made of them."""
        parts = hidden.chunk(len(self.members), dim=1)
        return torch.cat([member(part) for member, part in zip(self.members, parts, strict=True)], dim=1)
