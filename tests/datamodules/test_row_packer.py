"""Rows read through a store into a space, from every layout, against scipy and AnnData."""

import os
import threading
import warnings

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from datamodules.csr import CsrMatrix
from datamodules.direct import DirectArray
from datamodules.space import RowSpace
from datamodules.store import open_store
from schema.errors import InputError

N_CELLS, N_GENES = 300, 50


@pytest.fixture
def counts():
    """float32 [300, 50], a third of it > 0: 254, 255, 256, 70000 and 2**24 among small counts; row 7 is empty."""
    rng = np.random.default_rng(0)
    counts = rng.choice([1, 2, 3, 254, 255, 256, 70_000, 2**24], (N_CELLS, N_GENES)) * (rng.random((300, 50)) < 0.3)
    counts[7] = 0
    return counts.astype(np.float32)


@pytest.fixture
def short_samples(monkeypatch):
    """Let opening a file look at no row from 172 to 213."""
    monkeypatch.setattr("datamodules.csr._SAMPLE_ROWS", 1)


def unpacked(store, rows, merge=None, row=0, entry=0):
    """Return rows of a store as a dense array, and their library sizes, read into a space with room around."""
    rows = np.asarray(rows, dtype=np.int64)
    n_entries = store.max_entries(rows)
    space = RowSpace(
        np.zeros(entry + n_entries + 3, dtype=np.uint16),
        np.zeros(entry + n_entries + 3, dtype=np.uint8),
        row + len(rows) + 1,
    )
    space.counts[:entry], space.counts[entry + n_entries :] = 77, 77
    store.will_need(rows)
    large = store.read_packed(rows, space, row, entry, merge)
    assert set(space.counts[:entry]) | set(space.counts[entry + n_entries :]) == {77}
    dense = np.zeros((row + len(rows), len(store.gene_symbols)))
    at = entry
    for i in range(row, row + len(rows)):
        entries = slice(space.start[i], space.start[i] + space.length[i])
        assert space.start[i] == at
        at += space.length[i]
        assert (np.diff(space.indices[entries].astype(int)) > 0).all()
        dense[i, space.indices[entries]] = space.counts[entries]
    exact = space.indices[space.start[large.row] + large.offset]
    assert (np.diff(large.row) >= 0).all()
    assert (dense[large.row, exact] == 255).all()
    assert (dense == 255).sum() == len(large.row)
    dense[large.row, exact] = large.value
    assert space.length[row + len(rows)] == 0
    return dense[row:], space.library_size[row : row + len(rows)]


def assert_reads(store, expected, merge=None):
    for rows in (
        np.arange(len(expected)),
        np.arange(7, 8),
        np.array([0]),
        np.arange(5, 60),
        np.array([1, 2, 3, 90, 91, 150, 299]),
        np.arange(0, 300, 7),
        np.zeros(0),
    ):
        rows = rows.astype(np.int64)
        dense, library_size = unpacked(store, rows, merge, row=2, entry=5)
        np.testing.assert_array_equal(dense, expected[rows])
        np.testing.assert_array_equal(library_size, expected[rows].sum(axis=1, dtype=np.float64).astype(np.float32))


def rewrite(path, indices="i4", values="f4", indptr="i4", **layout):
    """Store the parts of X anew."""
    with h5py.File(path, "r+") as file:
        for part, dtype in (("indptr", indptr), ("indices", indices), ("data", values)):
            stored = file[f"X/{part}"][:]
            del file[f"X/{part}"]
            file.create_dataset(f"X/{part}", data=stored.astype(dtype), **layout)


def write(path, X, var=None, **kwargs):
    ad.AnnData(X, var=var).write_h5ad(path, **kwargs)
    return path


LAYOUTS = {
    "contiguous": {},
    "odd chunks": {"chunks": (97,)},
    "one chunk": {"chunks": (10**4,), "maxshape": (None,)},
    "gzip": {"chunks": (97,), "compression": "gzip"},
    "gzip and shuffle": {"chunks": (97,), "compression": "gzip", "shuffle": True},
    "lzf": {"chunks": (97,), "compression": "lzf"},
    "fletcher32": {"chunks": (97,), "fletcher32": True},
}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_layout_of_hdf5(tmp_path, counts, layout):
    path = write(tmp_path / "a.h5ad", sp.csr_matrix(counts))
    rewrite(path, **LAYOUTS[layout])
    with open_store(path) as store:
        direct = isinstance(store._source.matrix._values, DirectArray)
        assert direct is (layout not in ("lzf", "fletcher32"))
        assert (store.is_by_rows, store.is_exact) == (True, False)
        assert store.chunk_rows == (1 if layout in ("contiguous", "odd chunks", "one chunk") else 7)
        assert_reads(store, counts)


@pytest.mark.parametrize(
    ("indices", "values"),
    [
        ("i8", "f8"),
        ("u4", "i4"),
        ("u2", "i8"),
        ("i2", "u4"),
        ("u8", "u8"),
        (">i4", ">f4"),
        ("i4", ">f8"),
        (">i8", "i4"),
        ("i4", "f2"),
    ],
)
@pytest.mark.parametrize("layout", ["contiguous", "gzip and shuffle"])
def test_every_number_type(tmp_path, counts, indices, values, layout):
    counts = np.minimum(counts, 300) if values == "f2" else counts
    path = write(tmp_path / "a.h5ad", sp.csr_matrix(counts))
    rewrite(path, indices, values, indptr=">i8" if ">" in indices else "i8", **LAYOUTS[layout])
    with open_store(path) as store:
        assert_reads(store, counts)


@pytest.mark.parametrize("values", ["i1", "u1", "i2", "u2"])
def test_narrow_number_types(tmp_path, counts, values):
    counts = np.minimum(counts, np.iinfo(values).max)
    path = write(tmp_path / "a.h5ad", sp.csr_matrix(counts))
    rewrite(path, values=values)
    with open_store(path) as store:
        assert_reads(store, counts)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", ["f4", ">f4", "i8"])
@pytest.mark.parametrize("layout", [sp.csr_matrix, np.asarray])
def test_zarr(tmp_path, counts, write_zarr, zarr_format, dtype, layout):
    path = tmp_path / "a.zarr"
    write_zarr(ad.AnnData(layout(counts.astype("i8"))), path, zarr_format)
    group = zarr.open_group(path)
    values = group["X"] if isinstance(group["X"], zarr.Array) else group["X/data"]
    stored, chunks, attributes = values[:], (97, 20)[: values.ndim], dict(values.attrs)
    group.create_array(values.path, data=stored.astype(dtype), chunks=chunks, attributes=attributes, overwrite=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # format 3 has no word on consolidating
        zarr.consolidate_metadata(path)
    with open_store(path) as store:
        array = store._source.matrix._values
        decoder = type(array._element.async_array.codec_pipeline).__name__
        assert decoder == ("BatchedCodecPipeline" if dtype == ">f4" and zarr_format == 2 else "ZarrsCodecPipeline")
        assert store.chunk_rows == (97 if values.ndim == 2 else N_CELLS)  # all indices are one chunk
        assert_reads(store, counts)


@pytest.mark.parametrize("layout", [{}, {"chunks": (7, N_GENES)}, {"chunks": (7, 9), "compression": "gzip"}])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u4", ">f4", "f2"])
def test_dense(tmp_path, counts, layout, dtype, monkeypatch):
    monkeypatch.setattr("datamodules.dense._PART_BYTES", 10 * counts[0].nbytes)
    counts = np.minimum(counts, 300) if dtype == "f2" else counts
    path = write(tmp_path / "a.h5ad", np.zeros_like(counts))
    with h5py.File(path, "r+") as file:
        attributes = dict(file["X"].attrs)
        del file["X"]
        file.create_dataset("X", data=counts.astype(dtype), **layout).attrs.update(attributes)
    with open_store(path) as store:
        assert store.is_by_rows
        assert store.max_entries(np.arange(3)) == 150
        assert_reads(store, counts)


def test_columns_are_transposed(tmp_path, counts):
    with open_store(write(tmp_path / "a.h5ad", sp.csc_matrix(counts))) as store:
        assert not store.is_by_rows
        assert_reads(store, counts)


@pytest.mark.parametrize("layout", [sp.csr_matrix, np.asarray])
def test_antibodies_are_no_genes(tmp_path, counts, layout):
    counts = np.minimum(counts, 70_000)
    kind = np.where(np.arange(N_GENES) % 5 == 1, "Antibody Capture", "Gene Expression")
    with open_store(
        write(
            tmp_path / "a.h5ad",
            layout(counts),
            pd.DataFrame({"feature_types": kind}, index=[f"g{i}" for i in range(N_GENES)]),
        )
    ) as store:
        expected = counts[:, kind == "Gene Expression"]
        assert_reads(store, expected)
        merge = np.arange(expected.shape[1])
        merge[[3, 20]] = [0, 39]
        assert_merged(store, expected, merge)


def assert_merged(store, counts, merge):
    """Check against a product with the 0/1 matrix that maps each gene to the one it is counted as."""
    n_genes = counts.shape[1]
    moved = sp.csr_matrix((np.ones(n_genes), (np.arange(n_genes), merge)), (n_genes, n_genes))
    dense, library_size = unpacked(store, np.arange(len(counts)), merge)
    np.testing.assert_array_equal(dense, counts @ moved)
    assert dense.max() > counts.max()
    np.testing.assert_array_equal(library_size, counts.sum(axis=1, dtype=np.float64).astype(np.float32))


@pytest.mark.parametrize("dtype", ["f4", ">f4"])
@pytest.mark.parametrize("layout", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_duplicates_of_a_gene_are_summed(tmp_path, counts, layout, dtype):
    counts = np.minimum(counts, 70_000)
    path = write(tmp_path / "a.h5ad", layout(counts))
    if layout is sp.csr_matrix:
        rewrite(path, values=dtype)
    with open_store(path) as store:
        for seed in range(3):
            merge = np.arange(N_GENES)
            rng = np.random.default_rng(seed)
            merge[rng.choice(N_GENES, 4 + 20 * seed, replace=False)] = rng.integers(0, N_GENES, 4 + 20 * seed)
            assert_merged(store, counts, merge)
        assert_reads(store, counts)


def test_a_sum_of_duplicates_that_is_not_exact_is_refused(tmp_path):
    counts = np.full((4, 3), 2**24, dtype=np.float32)
    counts[:3, 2] = 0
    with open_store(write(tmp_path / "a.h5ad", sp.csr_matrix(counts))) as store:
        unpacked(store, [0, 1, 2], np.array([0, 1, 0]))
        with pytest.raises(InputError, match=r"got 3.35544e\+07 in a.h5ad, X, rows 3-3"):
            unpacked(store, [0, 1, 3], np.array([0, 1, 0]))


@pytest.mark.parametrize("dtype", ["f4", "i8", ">f4"])
def test_zeros_duplicates_and_disorder_are_put_right(tmp_path, dtype):
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 40, N_CELLS)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    indices, values = rng.integers(0, N_GENES, indptr[-1]), rng.choice([0, 1, 2, 255, 300], indptr[-1])
    with h5py.File(write(tmp_path / "a.h5ad", sp.csr_matrix((N_CELLS, N_GENES), dtype=np.float32)), "r+") as file:
        for part, stored in (("indptr", indptr), ("indices", indices), ("data", values.astype(dtype))):
            del file[f"X/{part}"]
            file[f"X/{part}"] = stored
    with open_store(tmp_path / "a.h5ad") as store:
        assert_reads(store, sp.csr_matrix((values, indices, indptr), (N_CELLS, N_GENES)).toarray().astype(np.float64))


@pytest.mark.usefixtures("short_samples")
@pytest.mark.parametrize("layout", ["contiguous", "gzip", "lzf"])
@pytest.mark.parametrize(("part", "wrong"), [("data", 0.5), ("data", np.nan), ("data", -3), ("indices", 50)])
def test_what_is_wrong_in_the_middle_is_named_as_by_reading_carefully(tmp_path, counts, layout, part, wrong):
    path = write(tmp_path / "a.h5ad", sp.csr_matrix(counts))
    rewrite(path, **LAYOUTS[layout])
    with h5py.File(path, "r+") as file:
        start = file["X/indptr"][201]
        file[f"X/{part}"][start + 1] = wrong
    with open_store(path) as store:
        np.testing.assert_array_equal(
            unpacked(store, [0, 1, 199, 200, 202, 203])[0], counts[[0, 1, 199, 200, 202, 203]]
        )
        with pytest.raises(InputError) as expected:
            store.read(190, 210)
        with pytest.raises(InputError) as caught:
            unpacked(store, np.arange(190, 210))
        assert str(caught.value) == str(expected.value)
        assert "a.h5ad, X, rows 190-209" in str(caught.value)
        with pytest.raises(InputError, match="rows 201-201"):
            unpacked(store, [0, 1, 199, 201, 203])


@pytest.mark.parametrize("wrong", [0.5, np.nan, -3])
def test_what_is_wrong_in_a_dense_matrix_is_refused(tmp_path, counts, wrong, monkeypatch):
    monkeypatch.setattr("datamodules.dense._SAMPLE_ROWS", 1)
    counts[201, 3] = wrong
    with open_store(write(tmp_path / "a.h5ad", counts)) as store:
        np.testing.assert_array_equal(unpacked(store, [200, 202])[0], counts[[200, 202]])
        with pytest.raises(InputError, match=rf"got {wrong} in a.h5ad, X, rows 190-209"):
            unpacked(store, np.arange(190, 210))


def damage(path, part, chunk):
    """Turn over one byte in the middle of a stored chunk."""
    with h5py.File(path) as file:
        info = file[f"X/{part}"].id.get_chunk_info(chunk)
    with path.open("r+b") as file:
        file.seek(info.byte_offset + info.size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0x10]))


@pytest.mark.usefixtures("short_samples")
@pytest.mark.parametrize("part", ["data", "indices"])
def test_a_damaged_chunk_is_refused(tmp_path, counts, part):
    path = write(tmp_path / "a.h5ad", sp.csr_matrix(counts))
    rewrite(path, **LAYOUTS["gzip"])
    damage(path, part, 28)
    with open_store(path) as store:
        assert unpacked(store, np.arange(50))[0].tolist() == counts[:50].tolist()
        with pytest.raises(InputError, match=r"readable to its end.*chunk.*in a.h5ad, X, rows 0-299"):
            unpacked(store, np.arange(N_CELLS))


@pytest.mark.parametrize("layout", ["contiguous", "odd chunks", "gzip"])
def test_a_file_cut_while_it_is_open_is_refused(tmp_path, counts, layout):
    path = write(tmp_path / "a.h5ad", sp.csr_matrix(counts))
    rewrite(path, **LAYOUTS[layout])
    with open_store(path) as store:
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(InputError, match=r"readable to its end.*bytes early.*in a.h5ad, X, rows 0-299"):
            unpacked(store, np.arange(N_CELLS))


@pytest.mark.parametrize("kind", ["contiguous", "gzip and shuffle", "lzf", "zarr", "dense", "csc"])
def test_four_threads_fill_one_space(tmp_path, counts, kind, write_zarr):
    path = tmp_path / ("a.zarr" if kind == "zarr" else "a.h5ad")
    X = {"dense": np.asarray, "csc": sp.csc_matrix}.get(kind, sp.csr_matrix)(counts)
    if kind == "zarr":
        write_zarr(ad.AnnData(X), path, 3)
    else:
        write(path, X)
    if kind in LAYOUTS:
        rewrite(path, **LAYOUTS[kind])
    with open_store(path) as store:
        blocks = np.array_split(np.random.default_rng(0).permutation(N_CELLS).reshape(30, 10), 4)
        order = np.concatenate(blocks)
        order.sort(axis=1)
        space = RowSpace(
            np.zeros(N_CELLS * N_GENES, dtype=np.uint16), np.zeros(N_CELLS * N_GENES, dtype=np.uint8), N_CELLS
        )
        found = [None] * 30

        def read(first):
            for at in range(first, 30, 4):
                found[at] = store.read_packed(order[at], space, 10 * at, 10 * N_GENES * at)

        threads = [threading.Thread(target=read, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    dense = np.zeros_like(counts)
    for row in range(N_CELLS):
        entries = slice(space.start[row], space.start[row] + space.length[row])
        dense[row, space.indices[entries]] = space.counts[entries]
    for large in found:
        dense[large.row, space.indices[space.start[large.row] + large.offset]] = large.value
    np.testing.assert_array_equal(dense, counts[order.ravel()])


def test_neighbours_and_rows_nearby_are_read_together(tmp_path, counts, monkeypatch):
    path = write(tmp_path / "a.h5ad", sp.csr_matrix(counts))
    rewrite(path, chunks=(97,), compression="gzip")
    reads, read_into = [], DirectArray.read_into
    with open_store(path) as store:
        monkeypatch.setattr(DirectArray, "read_into", lambda self, *to: (reads.append(to), read_into(self, *to))[1])
        unpacked(store, np.arange(N_CELLS))
        assert len(reads) == 2
        unpacked(store, np.arange(0, N_CELLS, 3))
        assert len(reads) == 4
        store._source.matrix._gap = 2 * N_GENES
        np.testing.assert_array_equal(unpacked(store, [0, 1, 3, 200, 201])[0], counts[[0, 1, 3, 200, 201]])
        assert len(reads) == 8


def test_many_rows_are_read_a_part_at_a_time(tmp_path, counts, monkeypatch):
    monkeypatch.setattr("datamodules.csr._PART_ENTRIES", 100)
    with open_store(write(tmp_path / "a.h5ad", sp.csr_matrix(counts))) as store:
        sizes = [len(part.values) for part in store._source.matrix.parts(np.arange(N_CELLS))]
        assert len(sizes) >= counts.astype(bool).sum() // 100
        assert max(sizes) <= 100 + N_GENES
        assert_reads(store, counts)


@pytest.mark.parametrize("pointers", [np.int32, np.int64])
def test_pointers_of_either_width(tmp_path, counts, pointers):
    path = write(tmp_path / "a.h5ad", sp.csr_matrix(counts))
    rewrite(path, indptr=pointers)
    with open_store(path) as store:
        assert_reads(store, counts)


def test_rows_beyond_two_billion_entries_are_read(tmp_path):
    n_entries, last = 2**31 + 1000, np.arange(1, 6)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((n_entries,))
        for name, kind in ((b"data", h5py.h5t.STD_U8LE), (b"indices", h5py.h5t.STD_U16LE)):
            h5py.h5d.create(file.id, name, kind, space, plan)
        file["data"][-5:], file["indices"][-5:] = 10 * last, last
    assert (tmp_path / "a.h5").stat().st_blocks * 512 < 2**24  # the rest is a hole
    indptr = np.array([0, 2**31, n_entries - 5, n_entries - 2, n_entries - 2, n_entries], dtype=np.int64)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        matrix = CsrMatrix(indptr, file["indices"], file["data"], 10, "a.h5, X")
        rows = np.array([2, 3, 4])
        assert matrix.max_entries(np.array([0, 4])) == 2**31 + 2
        (part,) = matrix.parts(rows)
        assert (part.begin.tolist(), part.end.tolist()) == ([0, 3, 3], [3, 3, 5])
        assert (part.indices.tolist(), part.values.tolist()) == ([1, 2, 3, 4, 5], [10, 20, 30, 40, 50])
        space = RowSpace(np.zeros(5, dtype=np.uint16), np.zeros(5, dtype=np.uint8), 3)
        assert matrix.pack(rows, 10, space, 0, 0) is not None
        assert (space.indices.tolist(), space.counts.tolist()) == ([1, 2, 3, 4, 5], [10, 20, 30, 40, 50])
        assert matrix.read(2, 5).values.tolist() == [10, 20, 30, 40, 50]
        matrix.close()
