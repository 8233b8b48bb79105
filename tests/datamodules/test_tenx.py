import h5py
import numpy as np
import pytest
import scanpy as sc
import scipy.sparse as sp

from datamodules.store import open_store
from schema.errors import InputError

IDS = [f"ENSMUSG0000000000{column}" for column in range(5)]
SYMBOLS = ["Cxcr2", "S100a8", "Cd3e", "Epcam", "CD45-TotalSeq"]
BARCODES = [f"AAAC{row}-1" for row in range(7)]


def write_v3(path, counts, **changed):
    matrix = sp.csc_matrix(counts.T.astype(np.int32))
    parts = {
        "barcodes": np.array(BARCODES, dtype="S"),
        "data": matrix.data,
        "indices": matrix.indices.astype(np.int64),
        "indptr": matrix.indptr.astype(np.int64),
        "shape": np.array(matrix.shape, dtype=np.int32),
        "features/id": np.array(IDS, dtype="S"),
        "features/name": np.array(SYMBOLS, dtype="S"),
        "features/feature_type": np.array(["Gene Expression"] * 4 + ["Antibody Capture"], dtype="S"),
        "features/genome": np.array(["mm10"] * 5, dtype="S"),
    }
    with h5py.File(path, "w") as file:
        for name, values in (parts | changed).items():
            if values is not None:
                file[f"matrix/{name}"] = values
    return path


def write_v2(path, counts, genome="mm10"):
    matrix = sp.csc_matrix(counts.T.astype(np.int32))
    with h5py.File(path, "a") as file:
        group = file.create_group(genome)
        group["barcodes"], group["genes"], group["gene_names"] = (
            np.array(names, dtype="S") for names in (BARCODES, IDS, SYMBOLS)
        )
        group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        group["shape"] = np.array(matrix.shape)
    return path


def test_v3_gives_genes_alone_and_agrees_with_scanpy(tmp_path, coded, dense):
    path = write_v3(tmp_path / "filtered.h5", coded)
    expected = sc.read_10x_h5(path)
    with open_store(path) as store:
        assert (store.kind, store.counts_location, store.obs_columns) == ("10x h5", "matrix", ())
        assert store.gene_symbols == tuple(SYMBOLS[:4]) == tuple(expected.var_names)
        assert store.gene_ids == tuple(IDS[:4]) == tuple(expected.var["gene_ids"])
        assert store.cell_ids(0, 7) == BARCODES == list(expected.obs_names)
        np.testing.assert_array_equal(dense(store.read(0, 7), 4), coded[:, :4])
        np.testing.assert_array_equal(dense(store.read(0, 7), 4), expected.X.toarray())
        np.testing.assert_array_equal(dense(store.read(4, 6), 4), coded[4:6, :4])


def test_v2_agrees_with_scanpy(tmp_path, coded, dense):
    path = write_v2(tmp_path / "old.h5", coded)
    expected = sc.read_10x_h5(path)
    with open_store(path) as store:
        assert (store.counts_location, store.gene_symbols) == ("mm10", tuple(expected.var_names))
        assert store.gene_ids == tuple(expected.var["gene_ids"])
        np.testing.assert_array_equal(dense(store.read(0, 7), 5), expected.X.toarray())


def test_two_genomes_are_refused_by_name(tmp_path, coded):
    write_v2(tmp_path / "old.h5", coded, "GRCh38")
    write_v2(tmp_path / "old.h5", coded, "mm10")
    with pytest.raises(InputError, match=r"one genome: got GRCh38, mm10 in old.h5"):
        open_store(tmp_path / "old.h5")


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"features/name": None}, "no name in f.h5, matrix"),
        ({"features/name": np.array(SYMBOLS[:3], dtype="S")}, "3 names of genes for 5 in the matrix"),
        ({"features/id": np.array(IDS[:3], dtype="S"), "features/feature_type": None}, "3 names of gene ids for 5"),
        ({"barcodes": np.array(BARCODES[:5], dtype="S")}, "5 names of cells for 7 in the matrix"),
        ({"shape": np.array([5, 9])}, r"7 columns for shape \(5, 9\)"),
        ({"indptr": np.array([0, 12])}, r"1 columns for shape \(5, 7\)"),
        ({"data": np.ones(3)}, "3 values for 12 indices in f.h5, matrix"),
    ],
)
def test_parts_that_disagree_are_refused_by_name(tmp_path, coded, changed, text):
    with pytest.raises(InputError, match=text) as caught:
        open_store(write_v3(tmp_path / "f.h5", coded, **changed))
    assert caught.value.exit_code == 3


def test_an_index_out_of_range_is_refused_on_reading(tmp_path, coded):
    path = write_v3(tmp_path / "f.h5", coded, indices=np.full(12, 5))
    with open_store(path) as store, pytest.raises(InputError, match=r"index 5 for 5 genes in f.h5, matrix, rows 0-2"):
        store.read(0, 3)
