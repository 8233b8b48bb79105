import os
import threading

import h5py
import numpy as np
import pytest

from datamodules.chunks import RECENT
from datamodules.direct import DirectArray, RawFile, open_direct, open_raw

VALUES = np.arange(1000, 2003)


def write(path, values, **layout):
    with h5py.File(path, "w") as file:
        file.create_dataset("before", data=np.arange(17))
        file.create_dataset("x", data=values, **layout)
    return path


@pytest.fixture
def opened(tmp_path):
    """Return a function that writes an array and opens it past libhdf5; None where it cannot be."""
    files = []

    def open_(values, **layout):
        path = write(tmp_path / f"{len(files)}.h5", values, **layout)
        file = h5py.File(path, "r")
        files.append(file)
        array = open_direct(file["x"], open_raw(file["x"]))
        if array is not None:
            files.append(array)
        return array

    yield open_
    for file in files:
        file.close()


LAYOUTS = {
    "contiguous": {},
    "one chunk": {"chunks": (1003,)},
    "odd chunks": {"chunks": (7,)},
    "deflate": {"chunks": (61,), "compression": "gzip"},
    "deflate and shuffle": {"chunks": (61,), "compression": "gzip", "shuffle": True},
    "resizable": {"chunks": (100,), "maxshape": (None,)},
}


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("dtype", ["i1", "u2", "i4", "u4", "i8", "f4", "f8", ">i4", ">f8", "f2"])
def test_slices_are_those_of_the_array(opened, layout, dtype):
    values = (VALUES % 120).astype(dtype)
    array = opened(values, **LAYOUTS[layout])
    assert isinstance(array, DirectArray)
    assert (array.shape, array.dtype) == ((1003,), np.dtype(dtype))
    for start, stop in [(0, 1003), (0, 1), (1002, 1003), (60, 62), (61, 122), (5, 700), (13, 13), (990, 5000)]:
        part = array[start:stop]
        assert part.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(part, values[start:stop])


def test_rows_of_a_table_are_read_where_chunks_hold_whole_rows(opened):
    table = np.arange(70).reshape(10, 7)
    for layout in ({}, {"chunks": (3, 7)}, {"chunks": (3, 7), "compression": "gzip", "shuffle": True}):
        np.testing.assert_array_equal(opened(table, **layout)[2:8], table[2:8])
    assert opened(table, chunks=(3, 4)) is None


@pytest.mark.parametrize(
    ("values", "layout"),
    [
        (VALUES, {"chunks": (50,), "compression": "lzf"}),
        (VALUES, {"chunks": (50,), "fletcher32": True}),
        (VALUES, {"chunks": (50,), "compression": "gzip", "fletcher32": True}),
        (VALUES, {"chunks": (50,), "scaleoffset": 0}),
        (VALUES, {"chunks": (50,), "shuffle": True}),
        (VALUES > 1500, {}),
        (np.array([b"a", b"b"]), {}),
        (VALUES[:0], {"chunks": (50,), "maxshape": (None,)}),
        (np.float64(1), {}),
    ],
)
def test_what_only_libhdf5_can_read_is_left_to_it(opened, values, layout):
    assert opened(values, **layout) is None


def test_numbers_that_numpy_does_not_have_are_left_to_libhdf5(tmp_path):
    odd = h5py.h5t.IEEE_F32LE.copy()
    odd.set_ebias(120)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        space, plan = h5py.h5s.create_simple((5,)), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_chunk((5,))
        plan.set_deflate()
        h5py.h5d.create(file.id, b"x", odd, space, plan).write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(5, dtype="f4"))
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert open_direct(file["x"], open_raw(file["x"])) is None
        assert file["x"][:].tolist() == [0, 1, 2, 3, 4]


def test_chunks_stored_past_their_filters_are_left_to_libhdf5(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        x = file.create_dataset("x", (4,), "u1", chunks=(2,), compression="gzip")
        x[:2] = 1
        x.id.write_direct_chunk((2,), b"\x07\x08", filter_mask=1)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert open_direct(file["x"], open_raw(file["x"])) is None
        assert file["x"][2:].tolist() == [7, 8]


@pytest.mark.parametrize("layout", [{}, {"chunks": (4,)}])
def test_entries_never_written_are_left_to_libhdf5(tmp_path, layout):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        x = file.create_dataset("x", (10,), "f4", fillvalue=3, **layout)
        if layout:
            x[:4] = 1
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert open_direct(file["x"], open_raw(file["x"])) is None


def test_a_file_that_may_be_changed_or_lies_elsewhere_is_left_to_libhdf5(tmp_path):
    path = write(tmp_path / "a.h5", VALUES)
    with h5py.File(path, "r+") as file:
        assert open_raw(file["x"]) is None
    with path.open("rb") as handle, h5py.File(handle, "r") as file:
        assert open_raw(file["x"]) is None
    with h5py.File(path, "r", driver="core") as file:
        assert open_raw(file["x"]) is None
    with h5py.File(tmp_path / "b.h5", "w", userblock_size=512) as file:
        file["x"] = VALUES
    with h5py.File(tmp_path / "b.h5", "r") as file:
        assert open_raw(file["x"]) is None


def test_neighbouring_chunks_come_in_one_read(opened, monkeypatch):
    array = opened(VALUES, chunks=(10,))
    reads = []
    read_into = RawFile.read_into
    monkeypatch.setattr(RawFile, "read_into", lambda self, out, at: (reads.append(out.size), read_into(self, out, at)))
    array[15:995]
    assert sum(reads) == 980 * 8
    assert len(reads) <= 4  # libhdf5 puts its own blocks between some chunks


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_chunks_written_in_any_order_are_found(tmp_path, compression):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        x = file.create_dataset("x", (40,), "i4", chunks=(10,), compression=compression)
        for start in (20, 0, 30, 10):
            x[start : start + 10] = np.arange(start, start + 10)
            file.flush()
    with h5py.File(tmp_path / "a.h5", "r") as file:
        array = open_direct(file["x"], open_raw(file["x"]))
        assert array[3:38].tolist() == list(range(3, 38))


def test_what_was_read_stays_as_it_is(opened):
    array = opened(VALUES, chunks=(61,), compression="gzip")
    first = array[0:100]
    array[500:600]
    assert first.tolist() == VALUES[:100].tolist()
    first[:] = 0
    assert array[0:3].tolist() == [1000, 1001, 1002]


def test_entries_past_the_end_are_not_read_into_memory(opened):
    with pytest.raises(ValueError, match="within the array"):
        opened(VALUES).read_into(np.zeros(2, dtype=VALUES.dtype), 1002)


def test_a_file_that_was_cut_is_an_error(tmp_path):
    path = write(tmp_path / "a.h5", VALUES)
    with h5py.File(path, "r") as file:
        array = open_direct(file["x"], open_raw(file["x"]))
        os.truncate(path, path.stat().st_size - 16)
        assert array[0:10].tolist() == VALUES[:10].tolist()
        with pytest.raises(OSError, match="16 bytes early"):
            array[0:1003]


def test_a_chunk_beyond_the_end_of_the_file_is_left_to_libhdf5(tmp_path):
    path = write(tmp_path / "a.h5", VALUES, chunks=(100,))
    with h5py.File(path, "r") as file:
        raw = open_raw(file["x"])
        raw.n_bytes -= 1
        assert open_direct(file["x"], raw) is None


def test_a_closed_file_is_an_error_and_forgets_its_chunks(opened):
    plain, packed = opened(VALUES), opened(VALUES, chunks=(100,), compression="gzip")
    packed[10:20]
    kept = len(RECENT)
    plain.close()
    packed.close()
    assert len(RECENT) == kept - 1
    for array in (plain, packed):
        with pytest.raises(OSError, match="Bad file descriptor"):
            array[10:20]
        array.close()


def test_a_file_nobody_holds_is_closed(tmp_path):
    (tmp_path / "a").write_bytes(b"12")
    raw = RawFile(tmp_path / "a")
    descriptor = raw._descriptor
    del raw
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("layout", ["contiguous", "odd chunks", "deflate"])
def test_the_system_is_told_of_the_bytes_that_are_read(opened, layout, monkeypatch):
    array, told, read = opened(VALUES, **LAYOUTS[layout]), set(), set()
    monkeypatch.setattr(RawFile, "will_need", lambda _, at, n: told.update(range(at, at + n)))
    read_into = RawFile.read_into

    def note(self, out, at):
        read.update(range(at, at + out.size))
        read_into(self, out, at)

    monkeypatch.setattr(RawFile, "read_into", note)
    array.will_need(200, 300)
    array.will_need(300, 300)
    array[200:300]
    assert read <= told
    assert len(told) <= len(read) + 7 * 8  # to the end of the last chunk at most, where they are not packed
    monkeypatch.undo()
    array.will_need(200, 300)


def test_many_threads_read_at_once(opened):
    arrays = [opened(VALUES, **LAYOUTS[layout]) for layout in ("odd chunks", "deflate and shuffle")]
    wrong = []

    def read(seed):
        rng = np.random.default_rng(seed)
        for start, size in zip(rng.integers(0, 900, 100), rng.integers(0, 103, 100), strict=True):
            wrong.extend(a for a in arrays if not np.array_equal(a[start : start + size], VALUES[start : start + size]))

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
