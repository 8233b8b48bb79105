"""Whole files, room on the disk, and locks that end with their process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from schema.disk import Hold, check_space, is_full, whole_file, writing
from schema.errors import OutputError

ROOT = Path(__file__).resolve().parents[2]


def test_a_file_is_replaced_when_it_is_whole(tmp_path):
    path = tmp_path / "x.ckpt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), whole_file(path) as draft:  # noqa: PT012
        draft.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    with pytest.raises(OutputError, match="no space left"), whole_file(path) as draft:  # noqa: PT012
        draft.write_text("half")
        raise OSError(28, "No space left on device")
    os.link(path, tmp_path / "other")
    with whole_file(path) as draft:
        draft.write_text("new")
    assert path.read_text() == "new"
    assert (tmp_path / "other").read_text() == "old"  # the old file was not written to
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["other", "x.ckpt"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(28, "x"), True),
        (OSError(27, "x"), True),
        (OSError(122, "x"), True),
        (OSError(13, "x"), False),
        (RuntimeError("file write failed, errno = 28, error message"), True),
        (RuntimeError("shapes differ"), False),
    ],
)
def test_a_full_disk_is_known_by_number_or_words(error, expected):
    assert is_full(error) is expected


def test_other_errors_pass():
    with pytest.raises(PermissionError), writing("x"):
        raise PermissionError(13, "no")
    with pytest.raises(OutputError, match="Read-only file system in x"), writing("x"):
        raise OSError(30, "Read-only file system")


def test_what_does_not_fit_is_refused_before_it_is_begun(tmp_path):
    check_space(tmp_path / "new/deep", 1000)
    with pytest.raises(OutputError, match=r"MiB free where about 1,048,580 MiB are needed in deep"):
        check_space(tmp_path / "new/deep", 2**40)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_of_one_process_and_ends_with_it(tmp_path):
    program = f"from pathlib import Path; from schema.disk import Hold; print(Hold.on(Path({str(tmp_path)!r})))"
    hold = Hold.on(tmp_path)
    assert Hold.on(tmp_path) is None
    assert subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True) == "None\n"
    hold.release()
    assert subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True) != "None\n"
    Hold.on(tmp_path).release()
    assert Hold.on(tmp_path / "none") is None


def test_a_folder_that_took_the_name_of_another_is_not_held(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    open_folder = os.open

    def renamed(path, *options):
        handle = open_folder(path, *options)
        (tmp_path / "a").rename(tmp_path / "c")
        (tmp_path / "b").rename(tmp_path / "a")
        return handle

    monkeypatch.setattr("os.open", renamed)
    assert Hold.on(tmp_path / "a") is None
