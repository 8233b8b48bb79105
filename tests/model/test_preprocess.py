import numpy as np
import scanpy as sc
import torch
from anndata import AnnData

from model.preprocess import normalise, rows_of_nonzeros, thin, to_dense


def test_dense_input_equals_scanpy(make_batch):
    counts = np.random.default_rng(0).poisson(2.0, size=(7, 11)).astype(np.float32)
    adata = AnnData(counts.copy())
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    np.testing.assert_allclose(to_dense(make_batch(counts)).numpy(), adata.X, rtol=1e-5)


def test_library_size_counts_genes_outside_the_vocabulary(make_batch):
    batch = make_batch([[1.0, 3.0]], library_size=[10_000.0])
    assert torch.allclose(to_dense(batch), torch.log1p(torch.tensor([[1.0, 3.0]])))


def test_a_cell_without_counts_stays_a_row_of_zeros(make_batch):
    batch = make_batch([[0.0, 0.0], [2.0, 0.0]])
    assert to_dense(batch)[0].tolist() == [0.0, 0.0]
    assert rows_of_nonzeros(batch).tolist() == [1]
    assert torch.isfinite(normalise(batch, rows_of_nonzeros(batch))).all()


def test_thinning_reaches_the_target_depth_and_keeps_whole_counts(make_batch):
    torch.manual_seed(0)
    batch = make_batch(np.full((200, 50), 100.0))
    thinned = thin(batch, share=1.0, min_counts=250.0, max_counts=250.0)
    totals = torch.zeros(200).index_add(0, rows_of_nonzeros(batch), thinned.counts)
    assert abs(float(totals.mean()) - 250) < 5
    assert torch.equal(thinned.counts, thinned.counts.round())
    assert torch.allclose(thinned.library_size, torch.full((200,), 250.0))


def test_thinning_leaves_poor_cells_and_share_zero_alone(make_batch):
    batch = make_batch([[3.0, 4.0], [0.0, 1.0]])
    for share, target in ((1.0, 500.0), (0.0, 1.0)):
        thinned = thin(batch, share=share, min_counts=target, max_counts=target)
        assert torch.equal(thinned.counts, batch.counts)
        assert torch.equal(thinned.library_size, batch.library_size)
