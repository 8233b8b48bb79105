import logging

import h5py
import numcodecs
import numpy as np
import pytest
import zarr

from datamodules.arrays import PlainArray, open_arrays
from datamodules.direct import DirectArray

VALUES = np.arange(1000, 2000, dtype=np.float32)


DECODED = {"libhdf5": 300, "zarr 2": 300, "zarr 3": 300, "zarr shards": 100, "zarr >f8": 300}
"""Entries decoded together, where they are."""


@pytest.fixture(params=["direct", "memory", "numpy", *DECODED])
def array(request, tmp_path):
    kind = request.param
    if kind == "numpy":
        yield open_arrays(VALUES)[0]
    elif kind == "memory":
        with h5py.File("none", "w", driver="core", backing_store=False) as file:
            file["x"] = VALUES
            yield open_arrays(file["x"])[0]
    elif kind.startswith("zarr"):
        layout = {"shards": (300,), "chunks": (100,)} if kind == "zarr shards" else {"chunks": (300,)}
        values = VALUES.astype(kind.split()[1] if ">" in kind else "f4")
        zarr.create_array(tmp_path / "x", data=values, zarr_format=3 if kind[-1] in "3s" else 2, **layout)
        (opened,) = open_arrays(zarr.open_array(tmp_path / "x", mode="r"))
        yield opened
        opened.close()
    else:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("x", data=VALUES, chunks=(300,), compression="lzf" if kind == "libhdf5" else None)
        with h5py.File(tmp_path / "a.h5", "r") as file:
            (opened,) = open_arrays(file["x"])
            assert isinstance(opened, DirectArray if kind == "direct" else PlainArray)
            yield opened
            opened.close()


def test_all_arrays_slice_alike(array, request):
    kind = request.node.callspec.params["array"]
    assert (array.shape, array.chunk_rows) == ((1000,), DECODED.get(kind, 1))
    assert array[5:8].tolist() == [1005, 1006, 1007]
    assert array[250:700].tolist() == VALUES[250:700].tolist()
    assert array[990:2000].tolist() == VALUES[990:].tolist()
    assert array[7:7].tolist() == []
    array.will_need(5, 8)
    out = np.zeros(500, dtype=array.dtype)
    assert array.read_into(out, 450) is out
    assert out.tolist() == VALUES[450:950].tolist()
    assert array.read_into(out[:0], 450).tolist() == []


@pytest.mark.parametrize("shape", [(1000,), (100, 10)])
def test_zarr_decodes_no_chunk_twice_on_the_way_through(tmp_path, shape):
    zarr.create_array(tmp_path / "x", data=VALUES.reshape(shape), chunks=(30, 4)[: len(shape)])
    (array,) = open_arrays(zarr.open_array(tmp_path / "x", mode="r"))
    decoded, decode = [], array._decode
    array._chunks._decode = lambda first, stop: (decoded.extend(range(first, stop)), decode(first, stop))[1]
    for start in range(0, shape[0], 7):
        np.testing.assert_array_equal(array[start : start + 7], VALUES.reshape(shape)[start : start + 7])
    assert decoded == list(range(-(-shape[0] // 30)))
    array.close()


def test_codecs_that_zarrs_lacks_are_left_to_zarr(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    zarr.create_array(tmp_path / "x", data=VALUES, chunks=(300,), zarr_format=2, compressors=numcodecs.LZMA())
    (array,) = open_arrays(zarr.open_array(tmp_path / "x", mode="r"))
    np.testing.assert_array_equal(array[5:700], VALUES[5:700])
    assert "unsupported by ZarrsCodecPipeline" in caplog.text
    array.close()


def test_zarr_is_left_as_it_was(tmp_path):
    before = zarr.config.get("codec_pipeline.path")
    zarr.create_array(tmp_path / "x", data=VALUES)
    opened = zarr.open_array(tmp_path / "x", mode="r")
    (array,) = open_arrays(opened)
    assert type(array._element.async_array.codec_pipeline).__name__ == "ZarrsCodecPipeline"
    assert zarr.config.get("codec_pipeline.path") == before
    array.close()


def test_arrays_of_a_file_share_one_descriptor_and_close_together(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"] = VALUES, VALUES
        file.create_dataset("z", data=VALUES, chunks=(10,), compression="lzf")
    with h5py.File(tmp_path / "a.h5", "r") as file:
        x, y, z = open_arrays(file["x"], file["y"], file["z"])
        assert x._file is y._file
        x.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            y[0:3]
        assert z[0:3].tolist() == [1000, 1001, 1002]
        (z,) = open_arrays(file["z"])
        assert isinstance(z, PlainArray)
