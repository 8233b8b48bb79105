"""The network: a batch of raw counts to latent vectors and cell type logits. Torch alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn

from model.encoder import Encoder, EncoderConfig
from model.heads import CellTypeHead
from model.preprocess import to_dense
from schema.batch import CellBatch


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Shape of the network."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """The encoder."""


class CellOutput(NamedTuple):
    """What the network says of each cell: latent float `[n_cells, n_latent]`, logits float `[n_cells, n_leaves]`."""

    latent: Tensor
    logits: Tensor


class Network(nn.Module):
    """Encoder with a cell type head; the stage of a sample is read from what they say (`model.staging`).

    Parameters
    ----------
    n_genes
        Genes in the vocabulary.
    n_leaves
        Leaves of the label tree.
    config
        Shape.
    """

    def __init__(self, *, n_genes: int, n_leaves: int, config: NetworkConfig) -> None:
        super().__init__()
        self.encoder = Encoder(n_genes, config.encoder)
        self.cell_type_head = CellTypeHead(self.encoder.n_latent, n_leaves, config.encoder.n_members)

    def forward(self, batch: CellBatch) -> CellOutput:
        """Encode and classify the cells of a batch of raw counts."""
        return self.classify(to_dense(batch), batch.present, batch.file)

    def classify(self, expression: Tensor, present: Tensor, file: Tensor) -> CellOutput:
        """Encode and classify cells that are dense already; see `Encoder.forward`."""
        latent = self.encoder(expression, present, file)
        return CellOutput(latent, self.cell_type_head(latent))
