"""Rows of an uncompressed file packed in one call: same rows as in parts, and None where that cannot be."""

import os

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from datamodules.bulk_read import spans
from datamodules.csr import CsrMatrix
from datamodules.pack import RawPart, pack
from datamodules.space import RowSpace

N_GENES = 40
INDPTR = np.array([0, 3, 3, 8, 10, 14], dtype=np.int64)
COLUMNS = np.array([1, 5, 9, 0, 2, 4, 6, 39, 3, 4, 10, 20, 30, 31], dtype=np.int32)
COUNTS = np.array([1, 300, 2, 4, 255, 1, 1, 7, 254, 70_000, 5, 1, 1, 2], dtype=np.float32)


def write(path, columns=COLUMNS, counts=COUNTS, **layout):
    with h5py.File(path, "w") as file:
        for name, values in (("indptr", INDPTR), ("indices", columns), ("data", counts)):
            file.create_dataset(name, data=values, **(layout if name != "indptr" else {}))
    return path


def opened(path):
    file = h5py.File(path, "r")
    return CsrMatrix(file["indptr"], file["indices"], file["data"], N_GENES, "a.h5")


def packed(matrix, rows, row=1, entry=2):
    """Return the space and the large counts of rows packed in one call; None if they were not."""
    rows = np.asarray(rows, dtype=np.int64)
    space = RowSpace(np.zeros(40, dtype=np.uint16), np.zeros(40, dtype=np.uint8), row + len(rows))
    large = matrix.pack(rows, N_GENES, space, row, entry)
    return large and [column.tolist() for column in (*space.arrays, *large)]


def packed_from_memory(rows, row=1, entry=2):
    rows = np.asarray(rows, dtype=np.int64)
    space = RowSpace(np.zeros(40, dtype=np.uint16), np.zeros(40, dtype=np.uint8), row + len(rows))
    large = pack(RawPart(INDPTR[rows], INDPTR[rows + 1], COLUMNS, COUNTS), N_GENES, space, row, entry)
    return [column.tolist() for column in (*space.arrays, *large)]


@pytest.mark.parametrize("layout", [{}, {"chunks": (3,)}, {"chunks": (100,), "maxshape": (None,)}])
@pytest.mark.parametrize("rows", [[0, 1, 2, 3, 4], [2], [1], [0, 4], [3, 4], []])
@pytest.mark.parametrize("gap", [0, 2, 100])
def test_rows_are_those_packed_from_memory(tmp_path, layout, rows, gap):
    matrix = opened(write(tmp_path / "a.h5", **layout))
    matrix._gap = gap
    assert packed(matrix, rows) == packed_from_memory(rows)


def test_large_counts_are_noted_row_by_row(tmp_path):
    *_, row, offset, value = packed(opened(write(tmp_path / "a.h5")), [0, 2, 3])
    assert (row, offset, value) == ([1, 2, 3], [1, 1, 1], [300, 255, 70_000])


def test_more_large_counts_than_one_call_has_room_for(tmp_path, monkeypatch):
    monkeypatch.setattr("datamodules.bulk_rows._LARGE_ROOM", 0)
    monkeypatch.setattr("datamodules.csr._PART_ENTRIES", 1)
    matrix = opened(write(tmp_path / "a.h5"))
    assert packed(matrix, [0, 1, 2, 3, 4]) == packed_from_memory([0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("columns", "counts"),
    [
        (np.where(COLUMNS == 31, 30, COLUMNS), COUNTS),
        (np.where(COLUMNS == 39, 40, COLUMNS), COUNTS),
        (COLUMNS, np.where(COUNTS == 70_000, 0.5, COUNTS).astype(np.float32)),
        (COLUMNS, np.where(COUNTS == 7, 0, COUNTS).astype(np.float32)),
    ],
    ids=["twice the same gene", "no such gene", "a fraction", "a zero"],
)
def test_rows_that_are_not_canonical_are_left_to_who_reads_in_parts(tmp_path, columns, counts):
    matrix = opened(write(tmp_path / "a.h5", columns, counts))
    assert packed(matrix, [0, 1, 2, 3, 4]) is None
    assert packed(matrix, [0]) == packed_from_memory([0])


def test_a_file_that_was_cut_is_left_to_who_names_it(tmp_path):
    path = write(tmp_path / "a.h5")
    matrix = opened(path)
    os.truncate(path, path.stat().st_size - 4)
    assert packed(matrix, [4]) is None
    assert packed(matrix, [0]) == packed_from_memory([0])


def test_a_closed_file_is_not_read(tmp_path):
    matrix = opened(write(tmp_path / "a.h5"))
    matrix.close()
    with (tmp_path / "a.h5").open("rb"):  # may get the number that the file had
        assert packed(matrix, [0]) is None


@pytest.mark.parametrize("layout", [{"compression": "gzip"}, {"chunks": (3,), "fletcher32": True}])
def test_encoded_files_are_not_read_so(tmp_path, layout):
    assert packed(opened(write(tmp_path / "a.h5", **layout)), [0]) is None


def test_what_anndata_writes_is_read_so(tmp_path):
    counts = sp.csr_matrix(np.random.default_rng(0).poisson(1, (50, N_GENES)).astype(np.float32))
    ad.AnnData(counts).write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r") as file:
        X = file["X"]
        matrix = CsrMatrix(X["indptr"], X["indices"], X["data"], N_GENES, "a.h5ad")
        space = RowSpace(np.zeros(counts.nnz, dtype=np.uint16), np.zeros(counts.nnz, dtype=np.uint8), 50)
        assert len(matrix.pack(np.arange(50), N_GENES, space, 0, 0).row) == 0
    assert space.indices.tolist() == counts.indices.tolist()
    assert space.counts.tolist() == counts.data.tolist()


@pytest.mark.parametrize(("n_rows", "n_entries", "n_genes"), [(4, 14, 40), (5, 13, 40), (5, 14, 70_000)])
def test_nothing_is_written_past_the_end_of_a_space(tmp_path, n_rows, n_entries, n_genes):
    space = RowSpace(np.zeros(n_entries, dtype=np.uint16), np.zeros(n_entries, dtype=np.uint8), n_rows)
    with pytest.raises(IndexError, match="the space must hold"):
        opened(write(tmp_path / "a.h5")).pack(np.arange(5), n_genes, space, 0, 0)


def test_stretches_split_where_the_file_has_something_else_in_between():
    first, offset = np.array([0, 10, 25, 30]), np.array([100, 500, 200])
    begin, end = np.array([2, 9, 12, 24, 0, 10]), np.array([5, 11, 12, 30, 30, 25])
    at, n_bytes = spans(first, offset, 4, begin, end)
    assert at.tolist() == [108, 136, 500, 556, 200, 100, 500, 200, 500]
    assert n_bytes.tolist() == [12, 4, 4, 4, 20, 40, 60, 20, 60]
