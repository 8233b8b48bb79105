import numpy as np
import pytest
import scanpy as sc
import torch
from anndata import AnnData

from model.preprocess import _positions, columns_of_entries, normalise, rows_of_entries, thin, to_dense, unpack
from schema.batch import LARGE


def scanpy_normalised(counts):
    adata = AnnData(counts.copy())
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    return adata.X


def test_dense_input_equals_scanpy(make_batch):
    counts = np.random.default_rng(0).poisson(2.0, size=(7, 11)).astype(np.float32)
    np.testing.assert_allclose(to_dense(make_batch(counts)).numpy(), scanpy_normalised(counts), rtol=1e-5)


def test_large_counts_are_exact_packed_or_not(make_batch):
    counts = np.array([[254, 255, 256, 0], [70_000, 1, 0, 255], [3, 0, 0, 16_777_216]], dtype=np.float32)
    packed, exact = make_batch(counts), make_batch(counts, exact=True)
    assert packed.counts.dtype == torch.uint8
    assert packed.counts.tolist() == [254, LARGE, LARGE, LARGE, 1, LARGE, 3, LARGE]
    assert unpack(packed).counts.tolist() == [254, 255, 256, 70_000, 1, 255, 3, 16_777_216]
    assert packed.counts.tolist() == [254, LARGE, LARGE, LARGE, 1, LARGE, 3, LARGE]
    assert len(unpack(packed).large_at) == len(unpack(packed).large_count) == 0
    assert unpack(exact) is exact
    np.testing.assert_allclose(to_dense(packed).numpy(), scanpy_normalised(counts), rtol=1e-5)
    assert torch.equal(to_dense(packed), to_dense(exact))


def test_genes_go_to_the_columns_of_their_own_file(make_batch):
    counts = np.array([[1, 2, 4, 8], [1, 2, 4, 8], [0, 0, 0, 0], [5, 0, 0, 7]], dtype=np.float32)
    batch = make_batch(counts, columns=[[2, -1, 0, 1], [-1, 0, -1, 2]], file=[0, 1, 0, 1])
    expected = np.zeros((4, 3), dtype=np.float32)
    expected[0, [2, 0, 1]] = np.log1p(np.array([1, 4, 8]) * 1e4 / 15)
    expected[1, [0, 2]] = np.log1p(np.array([2, 8]) * 1e4 / 15)
    expected[3, 2] = np.log1p(7 * 1e4 / 12)
    np.testing.assert_allclose(to_dense(batch).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("n_cells", [255, 256, 257, 700])
def test_a_batch_of_any_size_is_assembled_cell_by_cell_alike(make_batch, n_cells):
    """Values say their cell and gene, so that an entry in a wrong place is seen."""
    cell, gene = np.arange(n_cells)[:, None], np.arange(5)[None, :]
    counts = np.where((cell + gene) % 3 > 0, 1 + 5 * cell + gene, 0).astype(np.float32)
    columns = np.array([[3, -1, 0, 1, 2], [-1, 2, 1, 0, 3]])
    file = np.arange(n_cells) % 2
    dense = to_dense(make_batch(counts, columns=columns, file=file, library_size=np.full(n_cells, 1e4)))
    expected = np.zeros((n_cells, 5), dtype=np.float32)
    for row in range(n_cells):
        expected[row, columns[file[row]]] = np.log1p(counts[row])
    np.testing.assert_allclose(dense.numpy(), expected[:, :4], rtol=1e-6)


def test_files_of_more_genes_than_16_bits_can_number(make_batch):
    batch = make_batch([[1.0, 3.0]], columns=[[1, 0]], library_size=[1e4])
    wide = batch._replace(
        indices=torch.tensor([0, 69_999], dtype=torch.int32),
        columns=torch.tensor([[1] + 69_998 * [-1] + [0]], dtype=torch.int32),
    )
    assert torch.equal(to_dense(wide), to_dense(batch))


def test_positions_beyond_32_bits_are_right(make_batch):
    n_genes = 2**30
    batch = make_batch(
        [[1.0, 2.0, 3.0], [4.0, 0.0, 6.0], [0.0, 5.0, 0.0], [7.0, 0.0, 0.0]],
        columns=[[n_genes - 1, -1, 0]],
        present=[[True]],
    )
    wide = batch._replace(present=batch.present.expand(1, n_genes))
    spare = 4 * n_genes
    expected = [n_genes - 1, spare, 0, 2 * n_genes - 1, n_genes, spare, 4 * n_genes - 1]
    assert _positions(wide, rows_of_entries(wide), spare).tolist() == expected


def test_library_size_counts_genes_outside_the_vocabulary(make_batch):
    batch = make_batch([[1.0, 3.0]], library_size=[10_000.0])
    assert torch.allclose(to_dense(batch), torch.log1p(torch.tensor([[1.0, 3.0]])))


def test_a_cell_without_counts_stays_a_row_of_zeros(make_batch):
    batch = make_batch([[0.0, 0.0], [2.0, 0.0]])
    assert to_dense(batch)[0].tolist() == [0.0, 0.0]
    assert rows_of_entries(batch).tolist() == [1]
    assert torch.isfinite(normalise(unpack(batch), rows_of_entries(batch))).all()


def test_a_batch_without_any_entry_is_all_zero(make_batch):
    assert torch.equal(to_dense(make_batch(np.zeros((300, 4)))), torch.zeros(300, 4))


def all_of(batch):
    return torch.ones(batch.n_cells, dtype=torch.bool)


def test_thinning_keeps_a_log_uniform_share_and_whole_counts(make_batch):
    torch.manual_seed(0)
    batch = make_batch(np.full((2000, 10), 300.0))
    thinned = thin(batch, all_of(batch), least=0.04, floor=0.0)
    totals = torch.zeros(2000).index_add(0, rows_of_entries(batch), thinned.counts)
    kept = thinned.library_size / 3000
    assert thinned.counts.dtype == torch.float32
    assert len(thinned.large_at) == 0
    assert torch.equal(thinned.counts, thinned.counts.round())
    assert bool(((kept >= 0.04) & (kept <= 1.0)).all())
    assert float(kept.median()) == pytest.approx(0.2, abs=0.02)
    assert float((totals - thinned.library_size).abs().mean()) < 30
    assert float((totals / thinned.library_size).mean()) == pytest.approx(1.0, abs=0.01)
    assert batch.counts.tolist() == [LARGE] * 20_000


def test_thinning_touches_the_chosen_cells_alone(make_batch):
    torch.manual_seed(0)
    batch = make_batch(np.full((400, 10), 100.0))
    chosen = torch.arange(400) % 4 == 0
    thinned = thin(batch, chosen, least=0.2, floor=0.0)
    changed = (thinned.counts.view(400, 10) != 100).any(dim=1)
    assert not bool(changed[~chosen].any())
    assert int(changed.sum()) > 90
    assert torch.equal(thinned.library_size[~chosen], batch.library_size[~chosen])


def test_thinning_stops_at_the_floor(make_batch):
    torch.manual_seed(0)
    batch = make_batch([[3.0, 4.0], [0.0, 1.0], [500.0, 500.0]])
    thinned = thin(batch, all_of(batch), least=1e-6, floor=500.0)
    assert thinned.counts[:3].tolist() == [3.0, 4.0, 1.0]
    assert thinned.library_size[:2].tolist() == [7.0, 1.0]
    assert 500 <= float(thinned.library_size[2]) < 1000


def test_columns_of_entries_are_those_of_the_vocabulary(make_batch):
    batch = make_batch([[1, 2, 0], [0, 3, 4]], columns=[[2, -1, 0], [1, 0, -1]], present=[[True] * 3] * 2, file=[0, 1])
    assert columns_of_entries(batch, rows_of_entries(batch)).tolist() == [2, -1, 0, -1]


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_cuda_assembles_the_same_without_waiting(make_batch, dtype):
    counts = np.random.default_rng(0).poisson(60.0, size=(700, 11)).astype(np.float32) * 3
    batch = make_batch(counts, columns=[[3, -1, 0, 1, 2, 9, 8, 7, -1, 5, 6]])
    on_device = type(batch)(*(part.cuda() for part in batch))
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", dtype=dtype, enabled=dtype != torch.float32):
            dense = to_dense(on_device)
            thin(on_device, torch.ones(700, dtype=torch.bool, device="cuda"), least=0.5, floor=10.0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert dense.dtype == dtype
    torch.testing.assert_close(
        dense.cpu().float(), to_dense(batch), rtol=1e-2 if dtype != torch.float32 else 1e-6, atol=0
    )
