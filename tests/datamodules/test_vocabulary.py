from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from datamodules.store import open_store
from datamodules.vocabulary import GeneStatistics, build_vocabulary, common_species, gene_statistics
from schema.errors import InputError


def fake_store(symbols, ids=None, name="file.h5ad"):
    return SimpleNamespace(gene_symbols=symbols, gene_ids=ids or [""] * len(symbols), name=name)


def test_statistics_count_the_chosen_cells_and_sum_normalised_expression(tmp_path):
    counts = np.array([[1, 3], [900, 0], [0, 5], [0, 0]], dtype=np.float32)
    ad.AnnData(sparse.csr_matrix(counts), var=pd.DataFrame(index=["Aaa", "Bbb"])).write_h5ad(tmp_path / "a.h5ad")
    with open_store(tmp_path / "a.h5ad") as store:
        counted = gene_statistics(store, np.array([0, 2, 3]))
    assert counted.n_detected.tolist() == [1, 2]
    np.testing.assert_allclose(counted.total, [np.log1p(2500), np.log1p(7500) + np.log1p(10000)])
    assert counted.n_cells == 3


def test_genes_seen_in_too_few_cells_stay_out_and_means_count_measuring_files_only():
    stores = [fake_store(["Aaa", "Bbb"], ["ENSMUSG00000000001.2", ""]), fake_store(["Ccc", "Aaa", "Ddd"])]
    statistics = [
        GeneStatistics(np.array([4, 1]), np.array([8.0, 1.0]), 10),
        GeneStatistics(np.array([3, 2, 2]), np.array([6.0, 4.0, 9.0]), 20),
    ]
    vocabulary, mean = build_vocabulary(stores, statistics, species="mouse", min_cells=3)
    assert vocabulary.symbols == ("Aaa", "Ccc")
    assert vocabulary.ids == ("ENSMUSG00000000001", "")
    np.testing.assert_allclose(mean, [12 / 30, 6 / 20])


def test_a_gene_that_a_file_names_twice_counts_its_cells_once():
    store = fake_store(["Aaa", "Aaa"])
    _, mean = build_vocabulary(
        [store], [GeneStatistics(np.array([2, 2]), np.array([3.0, 5.0]), 4)], species="mouse", min_cells=1
    )
    np.testing.assert_allclose(mean, [2.0])


def test_files_of_two_species_are_refused():
    stores = [fake_store(["Cxcr2", "Epcam"], name="m.h5ad"), fake_store(["CXCR2", "EPCAM"], name="h.h5ad")]
    with pytest.raises(InputError, match=r"m\.h5ad: mouse, h\.h5ad: human"):
        common_species(stores)
