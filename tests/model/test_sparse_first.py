"""The sparse first layer against the dense one."""

import numpy as np
import pytest
import torch

from model.encoder import Encoder, EncoderConfig
from model.preprocess import to_dense
from model.sparse_first import SparseFirstLayer


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    made = Encoder(5, EncoderConfig(n_hidden=16, n_blocks=1, n_latent=3)).eval()
    made.gene_mean.copy_(torch.tensor([0.5, 0.0, 1.0, 2.0, 0.1]))
    return made


@torch.no_grad()
def test_it_is_the_dense_layer_to_half_precision(encoder, make_batch):
    counts = np.array([[3, 0, 400, 0, 70_000], [0, 0, 0, 0, 0], [1, 2, 0, 9, 1]])
    batch = make_batch(counts)
    dense = encoder.hidden(to_dense(batch), batch.present, batch.file)
    sparse = SparseFirstLayer(encoder)(batch)
    assert sparse.dtype == torch.float32
    assert torch.allclose(sparse, dense, atol=5e-3)
    assert not torch.equal(sparse, dense)  # half precision was at work


@torch.no_grad()
def test_genes_without_a_column_add_nothing(encoder, make_batch):
    batch = make_batch(np.array([[3, 1, 4, 1, 5]]))
    known = batch._replace(columns=torch.where(batch.columns == 2, -1, batch.columns))
    expected = encoder.hidden(to_dense(known), known.present, known.file)
    assert torch.allclose(SparseFirstLayer(encoder)(known), expected, atol=5e-3)


def test_weights_beyond_half_precision_take_the_dense_way(encoder):
    assert SparseFirstLayer.suits(encoder)
    with torch.no_grad():
        encoder.first.weight[0, 0] = 1e5
    assert not SparseFirstLayer.suits(encoder)
