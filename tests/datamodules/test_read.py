import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from datamodules.order import RowBlock, Share, Window, cut_into_blocks, sequential_windows, shuffled_windows
from datamodules.read import SourceFile, read_ahead, read_window, to_vocabulary
from datamodules.store import open_store
from model.preprocess import to_dense
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
        labels = np.arange(store.n_cells) + offset
        files.append(SourceFile(store, match, labels, labels % 2))
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


def dense_counts(batch):
    rows = torch.repeat_interleave(torch.arange(batch.n_cells), batch.indptr.diff())
    dense = torch.zeros(batch.n_cells, batch.n_genes)
    dense[rows, batch.indices.long()] = batch.counts
    return dense.numpy()


def test_every_cell_arrives_with_its_own_counts_and_labels(sources):
    files, counts = sources
    blocks = cut_into_blocks([np.arange(9), np.arange(5)], 2)
    windows = shuffled_windows(blocks, batch_size=4, window_rows=6, share=Share(seed=3))
    seen = []
    for batch in read_ahead(files, windows):
        for i, row in enumerate(dense_counts(batch)):
            file, at = int(batch.file[i]), int(batch.row[i])
            seen.append((file, at))
            assert row.tolist() == expected_row(counts, file, at)
            assert float(batch.library_size[i]) == counts[file][at].sum()
            assert int(batch.cell_type[i]) == at + 100 * file
            assert int(batch.sample[i]) == at % 2
    assert sorted(seen) == [(0, i) for i in range(9)] + [(1, i) for i in range(5)]


def test_genes_that_a_file_did_not_measure_are_marked(sources):
    files, _ = sources
    batch = read_window(files, Window((RowBlock(1, 0, 2),), (np.arange(2),)))[0]
    assert batch.present.tolist() == [[True, True, True, False], [True, False, False, True]]
    assert batch.file.tolist() == [1, 1]


def test_sequential_batches_equal_the_file(sources):
    files, counts = sources
    batches = list(read_ahead(files, sequential_windows([RowBlock(0, 0, 9)], batch_size=4)))
    assert [batch.n_cells for batch in batches] == [4, 4, 1]
    together = np.concatenate([dense_counts(batch) for batch in batches])
    assert together.tolist() == [expected_row(counts, 0, i) for i in range(9)]


def test_duplicates_are_summed_before_the_logarithm():
    match = GeneMatch(np.array([0, 0, -1]), np.array([True]), "symbol")
    moved, library_size = to_vocabulary(sparse.csr_matrix(np.array([[3.0, 4.0, 93.0]], dtype=np.float32)), match)
    assert moved.toarray().tolist() == [[7.0]]
    assert library_size.tolist() == [100.0]


def test_an_empty_plan_yields_nothing(sources):
    files, _ = sources
    assert list(read_ahead(files, [])) == []


def test_batches_feed_the_network_as_scanpy_would_normalise(sources):
    import scanpy as sc

    files, counts = sources
    batch = read_window(files, Window((RowBlock(1, 0, 5),), (np.arange(5),)))[0]
    adata = ad.AnnData(counts[1].copy())
    sc.pp.normalize_total(adata, target_sum=1e4)
    scaled = np.log1p(np.stack([adata.X[:, 2] + adata.X[:, 3], adata.X[:, 0]], axis=1))
    np.testing.assert_allclose(to_dense(batch).numpy()[:, [0, 3]], scaled, rtol=1e-5)
