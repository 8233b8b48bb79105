import os

import h5py
import numpy as np
import pytest
import zarr

from datamodules.reach import check_complete, check_hdf5_reach, check_zarr_reach
from schema.errors import InputError


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "f.h5ad", "w") as file:
        file.create_dataset("X", data=np.zeros((3000, 3000)), compression="gzip", chunks=(3000, 3000))
        file["obs/names"] = ["a", "b"]
        file["again"] = h5py.SoftLink("/obs/names")
        yield file


def test_a_plain_file_passes_zeros_packed_as_far_as_deflate_goes(file):
    assert file["X"].nbytes > 900 * file["X"].id.get_storage_size()
    check_hdf5_reach(file, "f.h5ad")


def test_an_external_link_is_refused(file):
    file["obs/evil"] = h5py.ExternalLink("/etc/other.h5", "/secret")
    with pytest.raises(InputError, match=r"an external link in f.h5ad, obs/evil"):
        check_hdf5_reach(file, "f.h5ad")


def test_external_storage_is_refused(file, tmp_path):
    (tmp_path / "secret").write_bytes(b"12345678")
    file.create_dataset("obs/evil", (8,), "u1", external=[(str(tmp_path / "secret"), 0, 8)])
    with pytest.raises(InputError, match=r"external storage in f.h5ad, obs/evil"):
        check_hdf5_reach(file, "f.h5ad")


def test_a_virtual_dataset_is_refused(file):
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("obs/evil", layout)
    with pytest.raises(InputError, match=r"a virtual dataset in f.h5ad, obs/evil"):
        check_hdf5_reach(file, "f.h5ad")


def test_a_dataset_that_declares_a_terabyte_is_refused(file):
    file.create_dataset("bomb", (10**6, 10**6), "u1", chunks=(1000, 1000), compression="gzip")
    with pytest.raises(InputError, match=r"1e\+12 bytes declared, 0 stored in f.h5ad, bomb"):
        check_hdf5_reach(file, "f.h5ad")


def test_an_hdf5_array_with_chunks_never_written_is_refused(file):
    part = file.create_dataset("part", (10,), "f4", chunks=(4,))
    part[:4] = 1
    with pytest.raises(InputError, match=r"1 of 3 chunks in f.h5ad, part"):
        check_complete(part, "f.h5ad, part")
    part[4:] = 1
    check_complete(part, "f.h5ad, part")
    check_complete(file["obs/names"], "f.h5ad, obs/names")


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_zarr_array_with_a_chunk_lost_is_refused(tmp_path, zarr_format):
    path = tmp_path / "a.zarr"
    array = zarr.create_array(path, shape=(10,), chunks=(4,), dtype="f4", zarr_format=zarr_format)
    array[:] = 1
    check_complete(array, "a.zarr")
    (path / ("1" if zarr_format == 2 else "c/1")).unlink()
    with pytest.raises(InputError, match=r"2 of 3 chunks in a.zarr"):
        check_complete(array, "a.zarr")


def test_a_zarr_link_that_leaves_the_folder_is_refused(tmp_path):
    folder = tmp_path / "a.zarr"
    (folder / "X").mkdir(parents=True)
    (folder / "X" / "0").write_bytes(b"1")
    (folder / "X" / "1").symlink_to(folder / "X" / "0")
    check_zarr_reach(folder)
    (folder / "X" / "2").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match=r"a link to another place in a.zarr, X/2"):
        check_zarr_reach(folder)


def test_a_zarr_array_decoded_by_pickle_is_refused_unread(tmp_path):
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    (folder / ".zarray").write_text('{"attributes": {"note": "pickle"}, "filters": [{"id": "vlen-utf8"}]}')
    check_zarr_reach(folder)
    (folder / ".zarray").write_text('{"filters": [{"id": "pickle", "protocol": 5}]}')
    with pytest.raises(InputError, match=r"runs code \(pickle\) in a.zarr, .zarray"):
        check_zarr_reach(folder)


def test_all_that_reaches_out_is_told_in_one_line(file):
    file["obs/evil"] = h5py.ExternalLink("/etc/other.h5", "/secret")
    file["uns/nowhere"] = h5py.SoftLink("/gone")
    with pytest.raises(InputError) as caught:
        check_hdf5_reach(file, "f.h5ad")
    assert str(caught.value).startswith("2 faults, ")
    assert "an external link in f.h5ad, obs/evil" in str(caught.value)
    assert "a link that leads nowhere in f.h5ad, uns/nowhere" in str(caught.value)


def test_a_group_that_holds_itself_is_walked_once(file):
    file["uns/loop"] = file["/"]
    check_hdf5_reach(file, "f.h5ad")


def test_groups_inside_each_other_without_end_are_refused(file):
    group = file
    for _ in range(100):
        group = group.create_group("g")
    check_hdf5_reach(file, "f.h5ad")
    group.create_group("g").create_group("g")
    with pytest.raises(InputError, match="nested like AnnData: got more than 100 groups"):
        check_hdf5_reach(file, "f.h5ad")


def test_a_zarr_chunk_that_declares_far_more_than_is_stored_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    array = zarr.create_array(path, shape=(10,), chunks=(10,), dtype="f4", zarr_format=2)
    array[:] = 1
    check_zarr_reach(path)
    text = (path / ".zarray").read_text()
    (path / ".zarray").write_text(text.replace("10", str(2**36)))
    with pytest.raises(InputError, match=r"2.75e\+11 bytes declared"):
        check_zarr_reach(path)


def test_pipes_and_folders_linked_into_a_zarr_are_refused(tmp_path):
    folder = tmp_path / "a.zarr"
    folder.mkdir()
    os.mkfifo(folder / ".zarray")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    with pytest.raises(InputError, match="2 faults") as caught:
        check_zarr_reach(folder)
    assert "a special file (pipe, socket or device) in a.zarr, .zarray" in str(caught.value)
    assert "a link to another place in a.zarr, loop" in str(caught.value)
