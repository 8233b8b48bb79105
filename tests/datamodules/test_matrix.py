import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from anndata.io import write_elem

from datamodules.matrix import open_matrix
from schema.errors import InputError


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        yield file


LAYOUTS = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": np.asarray}


def as_dense(raw, n_genes):
    return sp.csr_matrix((raw.values, raw.indices, raw.indptr), shape=(len(raw.indptr) - 1, n_genes)).toarray()


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize(("start", "stop"), [(0, 7), (2, 5), (3, 4), (6, 7), (4, 4)])
def test_every_layout_gives_the_same_rows(file, coded, layout, start, stop):
    write_elem(file, "X", LAYOUTS[layout](coded))
    matrix = open_matrix(file["X"], "f, X")
    assert (matrix.n_rows, matrix.n_genes) == (7, 5)
    np.testing.assert_array_equal(as_dense(matrix.read(start, stop), 5), coded[start:stop])
    matrix.close()


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_sample_holds_the_first_and_the_last_values(file, coded, layout):
    write_elem(file, "X", LAYOUTS[layout](coded))
    values = np.concatenate([block.values for block in open_matrix(file["X"], "f, X").sample()])
    assert {10.0, coded.max()} <= set(values.tolist())


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_sample_looks_all_over_the_matrix(file, layout, monkeypatch):
    monkeypatch.setattr("datamodules.transposed._SAMPLE_ENTRIES", 8)
    rows = np.repeat(np.arange(2000), 2).reshape(2000, 2)
    write_elem(file, "X", LAYOUTS[layout](rows.astype(np.float32)))
    values = np.concatenate([block.values for block in open_matrix(file["X"], "f, X").sample()])
    assert set(values // 500) == {0, 1, 2, 3}
    assert values.max() == 1999


def test_a_sample_is_not_fooled_by_empty_cells(file):
    counts = np.zeros((5000, 3), dtype=np.float32)
    counts[4321, 1] = 7
    write_elem(file, "X", sp.csr_matrix(counts))
    assert {7.0} == {value for block in open_matrix(file["X"], "f, X").sample() for value in block.values}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_matrix_without_values_is_read(file, layout):
    write_elem(file, "X", LAYOUTS[layout](np.zeros((3, 2), dtype=np.float32)))
    matrix = open_matrix(file["X"], "f, X")
    assert as_dense(matrix.read(0, 3), 2).tolist() == [[0, 0]] * 3
    assert sum(len(block.values) for block in matrix.sample()) == 0
    matrix.close()


def test_dense_rows_are_read_a_few_at_a_time(file, coded, monkeypatch):
    monkeypatch.setattr("datamodules.dense._DENSE_BYTES", 2 * coded[0].nbytes)
    write_elem(file, "X", coded)
    np.testing.assert_array_equal(as_dense(open_matrix(file["X"], "f, X").read(0, 7), 5), coded)


def test_columns_are_transposed_a_few_entries_at_a_time(file, coded, monkeypatch):
    monkeypatch.setattr("datamodules.transposed._ENTRIES", 3)
    write_elem(file, "X", sp.csc_matrix(coded))
    matrix = open_matrix(file["X"], "f, X")
    np.testing.assert_array_equal(as_dense(matrix.read(0, 7), 5), coded)
    matrix.close()


def spoil(group, part, values):
    del group[part]
    group[part] = values


@pytest.mark.parametrize(
    ("part", "values", "text"),
    [
        ("indptr", np.array([0, 2, 1, 5, 6, 7, 8, 12]), "row pointers that fall at row 1"),
        ("indptr", np.array([0, 12]), "1 row pointers for shape"),
        ("data", np.ones(3), "3 values for 12 indices"),
        ("data", None, "no data"),
    ],
)
def test_parts_that_contradict_each_other_are_refused(file, coded, part, values, text):
    write_elem(file, "X", sp.csr_matrix(coded))
    if values is None:
        del file[f"X/{part}"]
    else:
        spoil(file["X"], part, values)
    with pytest.raises(InputError, match=text):
        open_matrix(file["X"], "f, X")


def test_a_layout_that_is_not_known_is_refused(file, coded):
    write_elem(file, "X", sp.csr_matrix(coded))
    file["X"].attrs["encoding-type"] = "coo_matrix"
    with pytest.raises(InputError, match=r"the layout 'coo_matrix'"):
        open_matrix(file["X"], "f, X")


def test_the_attributes_of_anndata_0_6_are_understood(file, coded):
    write_elem(file, "X", sp.csr_matrix(coded))
    for name in ("encoding-type", "encoding-version", "shape"):
        del file["X"].attrs[name]
    file["X"].attrs["h5sparse_format"], file["X"].attrs["h5sparse_shape"] = "csr", coded.shape
    np.testing.assert_array_equal(as_dense(open_matrix(file["X"], "f, X").read(0, 7), 5), coded)


def test_an_array_that_is_no_matrix_is_refused(file):
    file["X"] = np.ones(3)
    with pytest.raises(InputError, match=r"an array of shape"):
        open_matrix(file["X"], "f, X")
