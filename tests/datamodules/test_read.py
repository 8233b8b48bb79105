import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from datamodules.buffers import ReadMemory
from datamodules.order import ReadSizes, SequentialPlan, Share, ShuffledPlan
from datamodules.read import WindowReader, padded, read_batches
from datamodules.sources import GeneTables, SourceFile
from datamodules.store import open_store
from model.preprocess import to_dense
from schema.batch import LARGE, PADDING
from schema.errors import InputError
from schema.genes import GeneMatch, GeneVocabulary, match_genes

VOCABULARY = GeneVocabulary(("Aaa", "Bbb", "Ccc", "Ddd"), ("", "", "", ""), "mouse")


def coded(n_cells, n_genes, first):
    """Counts that name their row and column; every third is zero."""
    rows, columns = np.mgrid[:n_cells, :n_genes]
    values = first + 10 * rows + columns
    return np.where((rows + columns) % 3 == 0, 0, values).astype(np.float32)


@pytest.fixture
def sources(tmp_path):
    """Two files with other genes in another order; the second has a duplicate and a gene outside the vocabulary."""
    layout = [("a", ["Bbb", "Aaa", "Ccc"], coded(9, 3, 1)), ("b", ["Ddd", "Zzz", "Aaa", "Aaa"], coded(5, 4, 1000))]
    files = []
    for name, genes, counts in layout:
        with pytest.warns(UserWarning, match="not unique") if len(set(genes)) < len(genes) else _nothing():
            adata = ad.AnnData(sparse.csr_matrix(counts), var=pd.DataFrame(index=genes))
        adata.obs_names = [f"{name}{i}" for i in range(len(counts))]
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
        store = open_store(tmp_path / f"{name}.h5ad")
        match = match_genes(VOCABULARY, store.gene_symbols, store.gene_ids)
        offset = 0 if name == "a" else 100
        labels = (np.arange(store.n_cells) + offset).astype(np.int16)
        files.append(SourceFile(store, match, labels, (labels % 2).astype(np.int32)))
    yield files, [counts for _, _, counts in layout]
    for file in files:
        file.store.close()


def _nothing():
    from contextlib import nullcontext

    return nullcontext()


def expected_row(counts, file, row):
    values = counts[file][row]
    if file == 0:
        return [values[1], values[0], values[2], 0]
    return [values[2] + values[3], 0, 0, values[0]]


ROWS = [np.arange(9), np.arange(5)]


def exact_counts(batch):
    """Return counts float32 `[n_cells, n_genes]` of a packed batch in vocabulary order, entry by entry."""
    dense = np.zeros((batch.n_cells, batch.n_genes), dtype=np.float32)
    large = dict(zip(batch.large_at.tolist(), batch.large_count.tolist(), strict=True))
    for cell in range(batch.n_cells):
        for entry in range(int(batch.indptr[cell]), int(batch.indptr[cell + 1])):
            packed = int(batch.counts[entry])
            assert (packed == LARGE) == (entry in large)
            column = int(batch.columns[int(batch.file[cell]), int(batch.indices[entry])])
            if column >= 0:
                assert dense[cell, column] == 0
                dense[cell, column] = large.get(entry, packed)
    return dense


def shuffled(share, block_rows=2, window_rows=6, sizes=(9, 5)):
    return ShuffledPlan(sizes, ReadSizes(batch_size=4, block_rows=block_rows, window_rows=window_rows), share)


@pytest.mark.parametrize("window_rows", [6, 4])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_every_cell_arrives_with_its_own_counts_and_labels(sources, n_threads, window_rows):
    files, counts = sources
    seen = []
    for batch in read_batches(files, ROWS, shuffled(Share(seed=3), window_rows=window_rows), n_threads=n_threads):
        for i, row in enumerate(exact_counts(batch)):
            file, at = int(batch.file[i]), int(batch.row[i])
            seen.append((file, at))
            assert row.tolist() == expected_row(counts, file, at)
            assert float(batch.library_size[i]) == counts[file][at].sum()
            assert int(batch.cell_type[i]) == at + 100 * file
            assert int(batch.sample[i]) == at % 2
    assert sorted(seen) == [(0, i) for i in range(9)] + [(1, i) for i in range(5)]


def order_read(files, epoch, n_threads, first_batch=0):
    plan = shuffled(Share(seed=0, epoch=epoch))
    batches = read_batches(files, ROWS, plan, n_threads=n_threads, first_batch=first_batch)
    return [list(zip(b.file.tolist(), b.row.tolist(), strict=True)) for b in batches]


def test_the_order_is_new_in_each_epoch_and_the_same_with_any_number_of_threads(sources):
    files, _ = sources
    assert order_read(files, 0, 1) == order_read(files, 0, 2)
    assert order_read(files, 0, 2) != order_read(files, 1, 2)


def test_a_stream_can_begin_at_any_batch(sources):
    files, _ = sources
    assert order_read(files, 1, 2, first_batch=2) == order_read(files, 1, 2)[2:]


def test_only_chosen_rows_are_read(sources):
    files, counts = sources
    rows = [np.array([1, 2, 7]), np.array([4])]
    batches = list(read_batches(files, rows, SequentialPlan([3, 1], 4)))
    assert [b.row.tolist() for b in batches] == [[1, 2, 7], [4]]
    assert exact_counts(batches[0]).tolist() == [expected_row(counts, 0, i) for i in (1, 2, 7)]
    assert exact_counts(batches[1]).tolist() == [expected_row(counts, 1, 4)]


def test_genes_that_a_file_did_not_measure_are_marked(sources):
    files, _ = sources
    (batch,) = read_batches(files, [np.arange(0), np.arange(2)], SequentialPlan([0, 2], 4))
    assert batch.present.tolist() == [[True, True, True, False], [True, False, False, True]]
    assert batch.columns.tolist() == [[1, 0, 2, -1], [3, -1, 0, 0]]
    assert batch.file.tolist() == [1, 1]


def test_genes_that_mean_the_same_are_counted_as_the_first(sources):
    files, _ = sources
    assert files[0].merge is None
    assert files[1].merge.tolist() == [0, 1, 2, 2]


def test_all_batches_share_the_gene_tables(sources):
    files, _ = sources
    first, second, *_ = read_batches(files, ROWS, SequentialPlan([9, 5], 4))
    assert first.columns.data_ptr() == second.columns.data_ptr()
    assert first.present.data_ptr() == second.present.data_ptr()


def test_sequential_batches_equal_the_file(sources):
    files, counts = sources
    batches = list(read_batches(files, ROWS, SequentialPlan([9, 0], 4)))
    assert [batch.n_cells for batch in batches] == [4, 4, 1]
    together = np.concatenate([exact_counts(batch) for batch in batches])
    assert together.tolist() == [expected_row(counts, 0, i) for i in range(9)]


def test_batches_that_are_kept_are_not_overwritten(sources):
    files, counts = sources
    kept = [batch for epoch in range(5) for batch in read_batches(files, ROWS, shuffled(Share(seed=0, epoch=epoch)))]
    for batch in kept:
        for i, row in enumerate(exact_counts(batch)):
            assert row.tolist() == expected_row(counts, int(batch.file[i]), int(batch.row[i]))


def test_a_stream_can_be_left_before_its_end(sources):
    files, _ = sources
    batches = read_batches(files, ROWS, shuffled(Share(seed=0)))
    next(batches)
    batches.close()
    assert len(list(read_batches(files, ROWS, shuffled(Share(seed=0))))) == shuffled(Share(seed=0)).n_batches


def test_padding_is_marked_and_has_no_counts(sources):
    files, _ = sources
    batches = list(read_batches(files, [np.arange(2), np.arange(0)], SequentialPlan([2, 0], 4, rank=1, world=2)))
    assert [batch.n_cells for batch in batches] == [1]
    (batch,) = batches
    assert batch.row.tolist() == [PADDING]
    assert batch.indptr.tolist() == [0, 0]
    assert (batch.cell_type.item(), batch.sample.item(), batch.library_size.item()) == (-1, 0, 0.0)


def test_padding_goes_behind_the_cells(sources):
    files, _ = sources
    (batch,) = read_batches(files, ROWS, SequentialPlan([2, 0], 4))
    longer = padded(batch, 3)
    assert longer.row.tolist() == [0, 1, PADDING, PADDING, PADDING]
    assert exact_counts(longer)[2:].sum() == 0
    assert exact_counts(longer)[:2].tolist() == exact_counts(batch).tolist()


def test_a_window_without_rows_is_a_batch_without_cells(sources):
    files, _ = sources
    plan = ShuffledPlan([3], ReadSizes(batch_size=1, block_rows=1, window_rows=1), Share(seed=0, rank=1, world=2))
    batches = list(read_batches(files[:1], [np.arange(3)], plan))
    assert sorted(batch.n_cells for batch in batches) == [0, 1]


def test_damage_met_while_reading_ahead_reaches_the_reader(tmp_path):
    counts = coded(900, 3, 1)
    counts[890, 1] = 0.5
    ad.AnnData(sparse.csr_matrix(counts), var=pd.DataFrame(index=["Aaa", "Bbb", "Ccc"])).write_h5ad(tmp_path / "a.h5ad")
    with open_store(tmp_path / "a.h5ad", layer="X") as store:
        match = GeneMatch(np.arange(3), np.ones(4, dtype=bool), "symbol")
        file = SourceFile.unlabelled(store, match, np.zeros(900, dtype=np.int64))
        batches = read_batches([file], [np.arange(900)], SequentialPlan([900], 100))
        assert [next(batches).n_cells for _ in range(8)] == [100] * 8
        with pytest.raises(InputError, match="whole numbers"):
            next(batches)


def test_an_empty_plan_yields_nothing(sources):
    files, _ = sources
    assert list(read_batches(files, [np.arange(0)] * 2, SequentialPlan([0, 0], 4))) == []


def test_tables_are_as_wide_as_the_longest_file(sources):
    files, _ = sources
    tables = GeneTables.of(files)
    assert tables.columns.shape == (2, 4)
    assert tables.columns.dtype == torch.int32
    assert WindowReader(files, ROWS, ReadMemory())._index_dtype is np.uint16


def test_batches_feed_the_network_as_scanpy_would_normalise(sources):
    import scanpy as sc

    files, counts = sources
    (batch,) = read_batches(files, ROWS, SequentialPlan([0, 5], 5))
    adata = ad.AnnData(counts[1].copy())
    sc.pp.normalize_total(adata, target_sum=1e4)
    linear = np.expm1(np.log1p(adata.X))
    scaled = np.log1p(np.stack([linear[:, 2] + linear[:, 3], linear[:, 0]], axis=1))
    np.testing.assert_allclose(to_dense(batch).numpy()[:, [0, 3]], scaled, rtol=1e-5)


@pytest.mark.gpu
def test_batches_come_on_the_device_as_on_the_host(sources):
    files, _ = sources
    plan = shuffled(Share(seed=0))
    there = read_batches(files, ROWS, plan, device=torch.device("cuda"))
    for here, moved in zip(read_batches(files, ROWS, plan), there, strict=True):
        assert all(part.is_cuda for part in moved)
        assert exact_counts(type(moved)(*(part.cpu() for part in moved))).tolist() == exact_counts(here).tolist()
        assert moved.row.tolist() == here.row.tolist()
