from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from datamodules.store import open_store
from datamodules.vocabulary import GeneStatistics, build_vocabulary, gene_statistics, species_of
from schema.errors import InputError
from schema.orthologs import OrthologMap, load_orthologs

RULE = load_orthologs()


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
    vocabulary, mean = build_vocabulary(stores, statistics, species=["mouse", "mouse"], orthologs=RULE, min_cells=3)
    assert vocabulary.symbols == ("Aaa", "Ccc")
    assert vocabulary.ids == ("ENSMUSG00000000001", "")
    np.testing.assert_allclose(mean, [12 / 30, 6 / 20])


def test_a_gene_that_a_file_names_twice_counts_its_cells_once():
    store = fake_store(["Aaa", "Aaa"])
    _, mean = build_vocabulary(
        [store],
        [GeneStatistics(np.array([2, 2]), np.array([3.0, 5.0]), 4)],
        species=["mouse"],
        orthologs=RULE,
        min_cells=1,
    )
    np.testing.assert_allclose(mean, [2.0])


MOUSE = ["Cxcr2", "S100a8", "Ly6g", "Tnfrsf23", "Car4", "Il8rb"]
HUMAN = ["FCGR3B", "S100A8", "CXCR2", "CXCL8", "S100A12", "TNFRSF10C", "TNFRSF10D", "CA4", "LY6G"]


def shown(store, n_cells=5):
    n_genes = len(store.gene_symbols)
    return GeneStatistics(np.full(n_genes, 4), np.arange(1.0, n_genes + 1), n_cells)


def of_two(orthologs=RULE, human=HUMAN):
    stores = [fake_store(human, name="h.h5ad"), fake_store(MOUSE, name="m.h5ad")]
    statistics = [shown(store) for store in stores]
    return build_vocabulary(stores, statistics, species=["human", "mouse"], orthologs=orthologs, min_cells=3)


def test_orthologs_are_one_gene_and_what_has_no_counterpart_stays_its_own_species():
    vocabulary, _ = of_two()
    assert vocabulary.all_species == "mouse and human"
    names = set(zip(vocabulary.symbols, vocabulary.other.symbols, strict=True))
    assert names == {
        *(("Cxcr2", "CXCR2"), ("S100a8", "S100A8"), ("Car4", "CA4")),
        *(("Ly6g", ""), ("Tnfrsf23", ""), ("Il8rb", "")),
        *(("", "FCGR3B"), ("", "CXCL8"), ("", "S100A12"), ("", "TNFRSF10C"), ("", "TNFRSF10D"), ("", "LY6G")),
    }


def test_the_mean_of_a_shared_gene_is_over_the_cells_of_both_species_and_of_others_over_their_own():
    vocabulary, mean = of_two()
    of_gene = dict(zip(zip(vocabulary.symbols, vocabulary.other.symbols, strict=True), mean.tolist(), strict=True))
    assert of_gene["Cxcr2", "CXCR2"] == pytest.approx((1 + 3) / 10)
    assert of_gene["", "CXCL8"] == pytest.approx(4 / 5)
    assert of_gene["Ly6g", ""] == pytest.approx(3 / 5)


def test_a_users_table_decides_and_namesakes_outside_it_stay_apart():
    vocabulary, _ = of_two(OrthologMap((("Cxcr2", "CXCR2"), ("Tnfrsf23", "CXCL8"))))
    assert set(zip(vocabulary.symbols, vocabulary.other.symbols, strict=True)) >= {
        *(("Cxcr2", "CXCR2"), ("Tnfrsf23", "CXCL8"), ("S100a8", ""), ("", "S100A8")),
    }


def test_two_names_of_one_gene_meet_its_counterpart_once():
    stores = [fake_store(["H2afz", "Cxcr2"]), fake_store(["H2AZ1", "H2AFZ", "CXCR2"])]
    vocabulary, _ = build_vocabulary(
        stores, [shown(store) for store in stores], species=["mouse", "human"], orthologs=RULE, min_cells=3
    )
    assert set(zip(vocabulary.symbols, vocabulary.other.symbols, strict=True)) == {
        *(("H2afz", "H2AZ1"), ("", "H2AFZ"), ("Cxcr2", "CXCR2")),
    }


def test_genes_without_a_name_are_nobodys_counterpart():
    stores = [fake_store(["Cxcr2", "", "Epcam"]), fake_store(["", "CXCL8", "CXCR2"])]
    vocabulary, _ = build_vocabulary(
        stores, [shown(store) for store in stores], species=["mouse", "human"], orthologs=RULE, min_cells=1
    )
    assert set(zip(vocabulary.symbols, vocabulary.other.symbols, strict=True)) == {
        *(("Cxcr2", "CXCR2"), ("Epcam", ""), ("", "CXCL8")),
    }


def test_species_that_hardly_share_a_gene_are_refused():
    human = [f"ENSG{i:011d}" for i in range(20)]
    with pytest.raises(InputError, match=r"0 shared of 6 genes.*data\.orthologs"):
        of_two(human=human)


def test_a_file_of_two_genomes_is_refused():
    names = [f"mm10___Gene{i}" for i in range(70)] + [f"GRCh38_GENE{i}" for i in range(30)]
    with pytest.raises(InputError, match=r"70 mouse and 30 human genes.*barnyard\.h5ad"):
        species_of(fake_store(names, name="barnyard.h5ad"))
    ids = [f"ENSMUSG{i:011d}" for i in range(60)] + [f"ENSG{i:011d}" for i in range(40)]
    with pytest.raises(InputError, match="60 mouse and 40 human genes"):
        species_of(fake_store([""] * 100, ids))


def test_a_few_names_in_the_style_of_the_other_species_are_no_second_genome():
    assert species_of(fake_store([f"Gene{i}" for i in range(90)] + [f"BC{i:06d}X" for i in range(10)])) == "mouse"


@pytest.mark.real
def test_neutrophil_genes_of_real_mice_and_people_meet_or_stay_apart(real_data):
    stores = [
        open_store(real_data / "single_cell" / f"{name}.h5ad")
        for name in ("zilionis2019_mouse_lung_kp_subset", "zilionis2019_human_nsclc_subset")
    ]
    statistics = [gene_statistics(store, np.arange(min(store.n_cells, 300))) for store in stores]
    species = [species_of(store) for store in stores]
    assert species == ["mouse", "human"]
    vocabulary, _ = build_vocabulary(stores, statistics, species=species, orthologs=RULE, min_cells=1)
    for store in stores:
        store.close()
    pairs = dict(zip(vocabulary.symbols, vocabulary.other.symbols, strict=True))
    assert {name: pairs[name] for name in ("Csf3r", "Cxcr2", "S100a8", "Ly6g", "Retnlg")} == {
        "Csf3r": "CSF3R",
        "Cxcr2": "CXCR2",
        "S100a8": "S100A8",
        "Ly6g": "",
        "Retnlg": "",
    }
    alone = {human for mouse, human in zip(vocabulary.symbols, vocabulary.other.symbols, strict=True) if not mouse}
    assert {"FCGR3B", "CXCL8", "S100A12"} <= alone
    assert vocabulary.n_shared > 8_000
