import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from datamodules.store import open_store
from schema.errors import InputError


def write(adata, path, **options):
    adata.write_h5ad(path, **options)
    return path


def genes_of(adata, path):
    with open_store(write(adata, path)) as store:
        return list(store.gene_symbols), list(store.gene_ids)


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (("layers/counts", "raw/X", "X"), "layers/counts"),
        (("raw/X", "X"), "raw/X"),
        (("X",), "X"),
        (("layers/counts",), "layers/counts"),
    ],
)
def test_counts_are_searched_in_layers_then_raw_then_x(tmp_path, coded, make_adata, dense, places, expected):
    norm = np.log1p(coded)
    adata = make_adata(sp.csr_matrix(coded if "raw/X" in places else norm))
    adata.raw = adata
    adata.X = sp.csr_matrix(coded if "X" in places else norm)
    adata.layers["counts"] = sp.csr_matrix(coded if "layers/counts" in places else norm)
    with open_store(write(adata, tmp_path / "a.h5ad")) as store:
        assert store.counts_location == expected
        np.testing.assert_array_equal(dense(store.read(0, 7), 5), coded)


@pytest.mark.parametrize(
    ("layer", "place", "factor"),
    [("X", "X", 1), ("raw", "raw/X", 2), ("counts", "layers/counts", 3), ("umi", "layers/umi", 4)],
)
def test_a_named_matrix_is_taken(tmp_path, coded, make_adata, dense, layer, place, factor):
    adata = make_adata(sp.csr_matrix(2 * coded))
    adata.raw = adata
    adata.X = coded
    adata.layers["counts"], adata.layers["umi"] = 3 * coded, sp.csc_matrix(4 * coded)
    with open_store(write(adata, tmp_path / "a.h5ad"), layer=layer) as store:
        assert store.counts_location == place
        np.testing.assert_array_equal(dense(store.read(1, 6), 5), factor * coded[1:6])


def test_a_named_matrix_that_is_missing_or_holds_no_counts_is_refused(tmp_path, coded, make_adata):
    adata = make_adata(sp.csr_matrix(coded), layers={"scaled": coded - 1.5})
    path = write(adata, tmp_path / "a.h5ad")
    with pytest.raises(InputError, match=r"got 'umi' in a.h5ad. Matrices there: layers/scaled, X"):
        open_store(path, layer="umi")
    with pytest.raises(InputError, match=r"got 'raw' in"):
        open_store(path, layer="raw")
    with pytest.raises(InputError, match=r"layers/scaled: negative values"):
        open_store(path, layer="scaled")


def test_raw_has_its_own_genes(tmp_path, coded, make_adata, dense):
    whole = make_adata(sp.csr_matrix(coded))
    part = whole[:, [3, 1]].copy()
    part.X = np.log1p(part.X.toarray())
    part.raw = whole
    with open_store(write(part, tmp_path / "a.h5ad")) as store:
        assert store.gene_symbols == ("Cxcr2", "S100a8", "Cd3e", "Epcam", "Pecam1")
        np.testing.assert_array_equal(dense(store.read(0, 7), 5), coded)


def test_symbols_stand_in_the_index_and_ids_in_a_column(tmp_path, make_adata):
    symbols, ids = genes_of(make_adata(), tmp_path / "a.h5ad")
    assert symbols == ["Cxcr2", "S100a8", "Cd3e", "Epcam", "Pecam1"]
    assert ids == [f"ENSMUSG0000000000{column}.1" for column in range(5)]


def test_a_cellxgene_file_has_ids_in_the_index_and_feature_names(tmp_path, make_adata):
    adata = make_adata()
    adata.var = pd.DataFrame(
        {"feature_name": pd.Categorical(list(adata.var_names)), "feature_type": ["protein_coding"] * 5},
        index=[f"ENSMUSG0000000000{column}" for column in range(5)],
    )
    symbols, ids = genes_of(adata, tmp_path / "a.h5ad")
    assert symbols == ["Cxcr2", "S100a8", "Cd3e", "Epcam", "Pecam1"]
    assert ids == [f"ENSMUSG0000000000{column}" for column in range(5)]


def test_numbered_genes_take_their_symbols_from_a_column(tmp_path, make_adata):
    adata = make_adata()
    adata.var = pd.DataFrame({"Gene Symbol": adata.var_names}, index=list("01234"))
    symbols, ids = genes_of(adata, tmp_path / "a.h5ad")
    assert (symbols[0], ids) == ("Cxcr2", [""] * 5)


def test_ids_alone_stand_for_symbols_too(tmp_path, make_adata):
    adata = make_adata()
    adata.var = pd.DataFrame(index=[f"ENSMUSG0000000000{column}" for column in range(5)])
    symbols, ids = genes_of(adata, tmp_path / "a.h5ad")
    assert symbols == ids == [f"ENSMUSG0000000000{column}" for column in range(5)]


def test_missing_ids_are_empty(tmp_path, make_adata):
    adata = make_adata()
    adata.var["gene_id"] = pd.Categorical(["ENSMUSG00000000000", None, None, None, None])
    assert genes_of(adata, tmp_path / "a.h5ad")[1] == ["ENSMUSG00000000000", "", "", "", ""]


def test_antibodies_are_not_genes(tmp_path, coded, make_adata, dense):
    adata = make_adata()
    adata.var["feature_types"] = ["Gene Expression", "Antibody Capture"] * 2 + ["Gene Expression"]
    with open_store(write(adata, tmp_path / "a.h5ad")) as store:
        assert store.gene_symbols == ("Cxcr2", "Cd3e", "Pecam1")
        np.testing.assert_array_equal(dense(store.read(0, 7), 3), coded[:, [0, 2, 4]])


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_zarr_reads_like_h5ad(tmp_path, coded, make_adata, write_zarr, dense, zarr_format, layout):
    adata = make_adata(layout(coded))
    write_zarr(adata, tmp_path / "a.zarr", zarr_format)
    with open_store(write(adata, tmp_path / "a.h5ad")) as plain, open_store(tmp_path / "a.zarr") as store:
        assert store.kind == "zarr"
        assert (store.gene_symbols, store.gene_ids) == (plain.gene_symbols, plain.gene_ids)
        assert store.obs_columns == plain.obs_columns == ("sample_id", "donor", "weight")
        for column in store.obs_columns:
            pd.testing.assert_extension_array_equal(store.obs(column), plain.obs(column))
        assert store.cell_ids(1, 3) == ["cell1", "cell2"]
        np.testing.assert_array_equal(dense(store.read(0, 7), 5), coded)


def test_a_zarr_that_lost_a_chunk_is_refused(tmp_path, make_adata, write_zarr):
    write_zarr(make_adata(), tmp_path / "a.zarr", 2)
    (tmp_path / "a.zarr" / "X" / "data" / "0").unlink()
    with pytest.raises(InputError, match=r"0 of 1 chunks in a.zarr, X/data"):
        open_store(tmp_path / "a.zarr")


def test_a_zarr_that_leaves_its_folder_is_refused_unread(tmp_path, make_adata, write_zarr):
    write_zarr(make_adata(), tmp_path / "a.zarr", 2)
    (tmp_path / "a.zarr" / "X" / "data" / "0").unlink()
    (tmp_path / "a.zarr" / "X" / "data" / "0").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"a link to another place in a.zarr, X/data/0"):
        open_store(tmp_path / "a.zarr")


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"compression": "lzf"}, {}])
@pytest.mark.parametrize("dtype", ["u1", "i4", "i8", "f8", ">f4"])
def test_any_packing_and_number_type_gives_the_same_counts(tmp_path, coded, make_adata, dense, options, dtype):
    path = write(make_adata(sp.csr_matrix(coded)), tmp_path / "a.h5ad", **options)
    with h5py.File(path, "r+") as file:
        values = file["X/data"][:].astype(dtype)
        del file["X/data"]
        file["X/data"] = values
    with open_store(path) as store:
        np.testing.assert_array_equal(dense(store.read(0, 7), 5), coded)


@pytest.mark.parametrize("part", ["obs", "var", "X"])
def test_a_missing_part_is_named(tmp_path, make_adata, part):
    path = write(make_adata(), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        del file[part]
    with pytest.raises(InputError, match=r"no matrix in a.h5ad" if part == "X" else f"no {part} in a.h5ad"):
        open_store(path)


def test_lengths_that_disagree_are_refused(tmp_path, make_adata):
    path = write(make_adata(), tmp_path / "a.h5ad")
    with h5py.File(path, "r+") as file:
        names = file["var/_index"][:3]
        del file["var/_index"], file["var/gene_id"]
        file["var/_index"] = names
        file["var"].attrs["column-order"] = np.array([], dtype="S1")
    with pytest.raises(InputError, match=r"3 names of genes for 5 in the matrix in a.h5ad, X"):
        open_store(path)
