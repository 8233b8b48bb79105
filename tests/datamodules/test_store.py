import os

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from datamodules.store import open_store
from schema.errors import InputError

SINGLE_CELL = (
    "kang2018_human_pbmc_ifn_subset",
    "mca_mouse_stomach_intestine_subset",
    "pal2017_mouse_mammary_epithelium_subset",
    "paul2015_mouse_bm_myeloid",
    "tabula_muris_mammary_cytotalk_subset",
    "weinreb2020_larry_subset",
    "wu2021_human_breast_CID4465",
    "zilionis2019_human_nsclc_subset",
    "zilionis2019_mouse_lung_kp_subset",
)


@pytest.fixture
def path(tmp_path, make_adata):
    make_adata().write_h5ad(tmp_path / "lung.h5ad")
    return tmp_path / "lung.h5ad"


def test_a_store_says_what_it_is(path):
    with open_store(path) as store:
        assert (store.name, store.kind, store.n_cells) == ("lung.h5ad", "h5ad", 7)
        assert store.obs_columns == ("sample_id", "donor", "weight")
        assert store.cell_ids(5, 7) == ["cell5", "cell6"]
        assert store.obs("sample_id").codes.tolist() == [0, 0, 1, 1, 1, 2, -1]
        assert list(store.obs("weight").categories) == ["1", "2.5", "4", "5", "6", "7"]


def test_blocks_of_rows_join_to_the_whole(path, coded, dense):
    with open_store(path) as store:
        parts = [dense(store.read(start, min(start + 2, 7)), 5) for start in range(0, 7, 2)]
    np.testing.assert_array_equal(np.concatenate(parts), coded)


def test_a_value_that_the_sample_missed_is_found_by_reading(tmp_path):
    counts = np.tile(np.arange(5, dtype=np.float32), (4000, 1))
    counts[333, 2] = 0.5
    ad.AnnData(sp.csr_matrix(counts)).write_h5ad(tmp_path / "a.h5ad")
    with open_store(tmp_path / "a.h5ad") as store:
        assert store.read(0, 333).counts.max() == 4
        with pytest.raises(InputError, match=r"got 0.5 in a.h5ad, X, rows 300-399") as caught:
            store.read(300, 400)
    assert caught.value.exit_code == 3


def test_a_column_that_is_not_there_is_refused_with_the_nearest(path):
    with (
        open_store(path) as store,
        pytest.raises(InputError, match=r"no 'donor_id' \(nearest: donor\) in obs of lung.h5ad"),
    ):
        store.obs("donor_id")


def test_the_fingerprint_follows_content_not_place(tmp_path, path):
    with open_store(path) as store:
        first = store.fingerprint()
    assert {key: first[key] for key in ("name", "n_cells", "n_genes", "counts_location")} == {
        "name": "lung.h5ad",
        "n_cells": 7,
        "n_genes": 5,
        "counts_location": "X",
    }
    assert first["bytes"] == path.stat().st_size
    copy = tmp_path / "elsewhere" / "lung.h5ad"
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes())
    os.utime(copy, (1, 1))
    with open_store(copy) as store:
        assert store.fingerprint() == first
    with h5py.File(copy, "r+") as file:
        file["X/data"][0] = 99
    with open_store(copy) as store:
        assert store.fingerprint()["sha256"] != first["sha256"]


def test_a_closed_store_holds_no_file(path):
    with open_store(path) as store:
        pass
    with pytest.raises(InputError):
        store.read(0, 1)
    with h5py.File(path, "r+") as file:  # would be locked
        file["X/data"][0] = 99


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "an empty file"),
        (b"row,col\n1,2\n", "not HDF5"),
        (b"\x89HDF\r\n\x1a\n" + bytes(200), "must be readable to its end"),
    ],
)
def test_files_that_are_none_of_ours_are_refused(tmp_path, content, text):
    (tmp_path / "a.h5ad").write_bytes(content)
    with pytest.raises(InputError, match=text) as caught:
        open_store(tmp_path / "a.h5ad")
    assert "in a.h5ad" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused(path, share):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"readable to its end.*in lung.h5ad"):
        open_store(path)


def test_a_chunk_that_cannot_be_inflated_is_refused_on_reading(tmp_path):
    counts = np.random.default_rng(0).integers(1, 9, (2000, 50)).astype(np.float32)
    ad.AnnData(sp.csr_matrix(counts)).write_h5ad(tmp_path / "a.h5ad", compression="gzip")
    with h5py.File(tmp_path / "a.h5ad") as file:
        chunk = file["X/data"].id.get_chunk_info(3)
    with (tmp_path / "a.h5ad").open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * 64)
    with pytest.raises(InputError, match=r"readable to its end.*in a.h5ad"), open_store(tmp_path / "a.h5ad") as store:
        store.read(0, 2000)


def test_a_path_without_a_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nothing there in missing.h5ad"):
        open_store(tmp_path / "missing.h5ad")


def test_a_pipe_is_refused_unopened(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5ad")
    with pytest.raises(InputError, match=r"neither a file nor a folder in pipe.h5ad"):
        open_store(tmp_path / "pipe.h5ad")


def test_a_folder_of_anything_else_is_refused(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(InputError, match=r"neither zarr nor 10x in notes"):
        open_store(tmp_path / "notes")


def test_a_link_out_of_the_file_is_refused_before_it_is_followed(path):
    with h5py.File(path, "r+") as file:
        file["matrix"] = h5py.ExternalLink("other.h5", "/")
    with pytest.raises(InputError, match=r"an external link in lung.h5ad, matrix"):
        open_store(path)


@pytest.mark.real
@pytest.mark.parametrize("name", SINGLE_CELL)
def test_real_files_read_as_anndata_reads_them(real_data, name, dense):
    path = real_data / "single_cell" / f"{name}.h5ad"
    expected = ad.read_h5ad(path)
    with open_store(path) as store:
        assert (store.counts_location, store.gene_symbols) == ("X", tuple(expected.var_names))
        start = store.n_cells // 2
        block = store.read(start, min(start + 200, store.n_cells))
        np.testing.assert_array_equal(dense(block, expected.n_vars), expected.X[start : start + 200].toarray())
        for column in ("sample", "donor", "cell_type"):
            assert list(store.obs(column).astype(object)) == list(expected.obs[column].astype(object))


@pytest.mark.real
def test_real_log_normalised_data_are_refused(real_data):
    with pytest.raises(InputError, match=r"X: fractions up to 18.3 \(log-normalised\)"):
        open_store(real_data / "single_cell" / "tabula_muris_kidney_endothelial_subset.h5ad")


def test_faults_of_counts_and_tables_are_told_together(path):
    with h5py.File(path, "r+") as file:
        del file["X/indptr"], file["obs/_index"], file["var/gene_id"]
    with pytest.raises(InputError) as caught:
        open_store(path)
    text = str(caught.value)
    assert text.startswith("3 faults, (1) a matrix must hold together: got no indptr in lung.h5ad, X; (2)")
    assert "no 'gene_id' in lung.h5ad, var" in text
    assert "no '_index' in lung.h5ad, obs" in text


def test_a_file_of_antibodies_alone_has_no_genes(tmp_path, make_adata):
    adata = make_adata()
    adata.var["feature_types"] = "Antibody Capture"
    adata.write_h5ad(tmp_path / "tags.h5ad")
    with pytest.raises(InputError, match=r"there must be genes: got Antibody Capture alone in tags.h5ad"):
        open_store(tmp_path / "tags.h5ad")


def test_what_a_library_says_of_a_file_keeps_the_folder_to_itself(tmp_path):
    folder = tmp_path / "sample"
    folder.mkdir()
    (folder / "matrix.mtx").write_text("%%MatrixMarket matrix coordinate integer general\n1 1 0\n")
    (folder / "features.tsv").write_text("Cxcr2\n")
    (folder / "barcodes.tsv").write_text("A\n")
    (folder / "barcodes.tsv").chmod(0)
    if os.access(folder / "barcodes.tsv", os.R_OK):
        (folder / "barcodes.tsv").unlink()
        (folder / "barcodes.tsv").mkdir()
    with pytest.raises(InputError) as caught:
        open_store(folder)
    assert str(tmp_path) not in str(caught.value)
    assert "barcodes.tsv" in str(caught.value)
