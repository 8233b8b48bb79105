"""The first layer on a CPU: only the genes that a cell shows are multiplied, and no dense matrix is made."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, linear

from model.encoder import Encoder
from model.preprocess import columns_of_entries, normalise, rows_of_entries, unpack
from schema.batch import CellBatch


class SparseFirstLayer:
    """The first layer of an encoder, from packed counts.

    A cell shows a tenth of the genes at most, so that adding up the weights of those beats a product with all of them;
    weights and expression are rounded to half precision, which halves what is read (sums are taken in single
    precision). See docs/log.md of 2026-11-30. Training and CUDA take the dense product.

    Parameters
    ----------
    encoder
        A trained encoder on a CPU; its weights are copied.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._weight = encoder.first.weight.detach().T.to(torch.float16).contiguous()

    @staticmethod
    def suits(encoder: Encoder) -> bool:
        """Return whether the weights are on a CPU and within the range of half precision."""
        weight = encoder.first.weight
        return weight.device.type == "cpu" and bool(weight.detach().abs().max() < torch.finfo(torch.float16).max)

    def __call__(self, batch: CellBatch) -> Tensor:
        """Return the hidden layer before the blocks, float32 `[n_cells, n_hidden]`, as `Encoder.hidden` does."""
        batch = unpack(batch)
        rows = rows_of_entries(batch)
        columns = columns_of_entries(batch, rows)
        values = normalise(batch, rows).masked_fill_(columns < 0, 0.0)
        summed = embedding_bag(
            columns.clamp_min(0).long(),
            self._weight,
            batch.indptr,
            mode="sum",
            per_sample_weights=values.to(torch.float16),
            include_last_offset=True,
        )
        encoder = self._encoder
        centre = linear(encoder.gene_mean * batch.present, encoder.first.weight)
        return summed.float() + encoder.first.bias - centre[batch.file]
