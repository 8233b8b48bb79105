"""Output folders: claimed, filled aside, and shown whole; whoever comes second is refused."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from schema.disk import Hold
from schema.errors import OutputError
from schema.outputs import DRAFT, claim_empty, claim_files, drafting, keep_apart
from schema.signals import STOP, Stopped

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("a", "b", "mark")


def write(folder, text, names=NAMES, *, overwrite=False, replaced=()):
    claim = partial(claim_files, folder, (*names, *replaced), overwrite=overwrite)
    with drafting(folder, claim) as draft:
        for name in names:
            (draft.path / name).write_text(text)
        draft.publish(names, replaced)


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def whole(text, names=NAMES):
    return dict.fromkeys(names, text)


def test_claiming_makes_nothing(tmp_path):
    claim_empty(tmp_path / "a/b")
    claim_files(tmp_path / "a/b", ["x"], overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(OutputError, match="written once"):
        claim_empty(tmp_path)
    with pytest.raises(OutputError, match="got x in"):
        claim_files(tmp_path, ["x", "y"], overwrite=False)
    claim_files(tmp_path, ["x", "y"], overwrite=True)
    claim_files(tmp_path, ["y"], overwrite=False)


def test_of_many_files_in_the_way_three_are_named(tmp_path):
    for number in range(7):
        (tmp_path / f"x{number}").write_text("")
    with pytest.raises(OutputError, match=r"got x0, x1, x2, and 4 more in"):
        claim_files(tmp_path, [f"x{number}" for number in range(9)], overwrite=False)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_text(""), "Not a directory"),
        (lambda path: path.symlink_to(path.parent / "nowhere"), "No such file"),
        (lambda path: path.mkdir(mode=0o555), "Permission denied"),
        (lambda path: (path.mkdir(), (path / "a").mkdir()), "a folder named a"),
    ],
    ids=["file", "dangling", "read-only", "folder for a file"],
)
def test_what_cannot_be_written_is_refused_and_stays_as_it_was(tmp_path, make, words):
    make(tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=words) as caught:
        write(tmp_path / "out", "new", overwrite=True)
    assert caught.value.exit_code == 5
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_among_the_parents_is_refused(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(OutputError, match="Not a directory"):
        write(tmp_path / "x/y/out", "new")


def test_files_appear_in_new_empty_and_used_folders(tmp_path):
    (tmp_path / "empty").mkdir(mode=0o750)
    (tmp_path / "used").mkdir()
    (tmp_path / "used/notes.txt").write_text("mine")
    for name in ("new/deep", "empty", "used"):
        write(tmp_path / name, "new")
    assert content(tmp_path / "new/deep") == content(tmp_path / "empty") == whole("new")
    assert content(tmp_path / "used") == {**whole("new"), "notes.txt": "mine"}
    assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o750
    assert {path.name for path in tmp_path.rglob(".*")} == set()


def test_earlier_results_are_replaced_only_when_asked_and_nothing_stays_beside(tmp_path):
    out = tmp_path / "out"
    write(out, "old", (*NAMES, "comparison"))
    with pytest.raises(OutputError, match="not replaced unasked"):
        write(out, "new")
    assert content(out) == whole("old", (*NAMES, "comparison"))
    write(out, "new", overwrite=True, replaced=("comparison",))
    assert content(out) == whole("new")
    (out / "notes.txt").write_text("mine")
    (out / "comparison").write_text("old")
    write(out, "newer", overwrite=True, replaced=("comparison",))
    assert content(out) == {**whole("newer"), "notes.txt": "mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_old_results_and_no_trace(tmp_path):
    write(tmp_path / "out", "old")
    claim = partial(claim_files, tmp_path / "out", NAMES, overwrite=True)
    for folder, of in ((tmp_path / "out", claim), (tmp_path / "x/y", lambda: None)):
        with pytest.raises(ZeroDivisionError), drafting(folder, of) as draft:  # noqa: PT012
            (draft.path / "a").write_text("new")
            raise ZeroDivisionError
    assert content(tmp_path / "out") == whole("old")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_links_are_followed_to_folders_and_never_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "secret").write_text("kept")
    (tmp_path / "out").symlink_to(tmp_path / "real")
    (tmp_path / "real/a").symlink_to(tmp_path / "secret")
    write(tmp_path / "out", "new", overwrite=True)
    assert content(tmp_path / "real") == whole("new")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "secret").read_text() == "kept"


def test_a_full_disk_is_one_line_and_the_old_results_stay(tmp_path):
    write(tmp_path / "out", "old")
    claim = partial(claim_files, tmp_path / "out", NAMES, overwrite=True)
    with pytest.raises(OutputError, match="must have room"), drafting(tmp_path / "out", claim):
        raise OSError(28, "No space left on device")
    assert content(tmp_path / "out") == whole("old")


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path):
    with drafting(tmp_path / "out", lambda: None) as draft:
        (draft.path / "a").write_text("first")
        with pytest.raises(OutputError, match="got another at work in out"):
            write(tmp_path / "out", "second")
        draft.publish(("a",))
    assert content(tmp_path / "out") == {"a": "first"}


def test_results_that_came_in_between_are_not_replaced(tmp_path):
    claim = partial(claim_files, tmp_path / "out", NAMES, overwrite=False)
    with pytest.raises(OutputError, match="not replaced unasked"), drafting(tmp_path / "out", claim):  # noqa: PT012
        (tmp_path / "out").mkdir()
        (tmp_path / "out/a").write_text("theirs")
        claim()
    assert content(tmp_path / "out") == {"a": "theirs"}


def test_drafts_of_killed_runs_are_taken_over_or_removed(tmp_path):
    for name in ("out", "other", "young"):
        (tmp_path / f".{name}{DRAFT}/deep").mkdir(parents=True)
    os.utime(tmp_path / f".other{DRAFT}", (0, 0))
    held = tmp_path / f".held{DRAFT}"
    held.mkdir()
    os.utime(held, (0, 0))
    hold = Hold.on(held)
    write(tmp_path / "out", "new")
    hold.release()
    assert content(tmp_path / "out") == whole("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".held{DRAFT}", f".young{DRAFT}", "out"]


@pytest.mark.parametrize(
    ("output", "source", "words"),
    [
        (".", "in.h5ad", "the folder of in.h5ad"),
        ("link", "in.h5ad", "the folder of in.h5ad"),
        ("tenx", "tenx", "got tenx"),
        ("link/tenx/deep/out", "tenx", "got tenx"),
        ("tenx", "link/tenx", "got tenx"),
    ],
)
def test_what_is_read_is_kept_apart(tmp_path, output, source, words):
    (tmp_path / "in.h5ad").write_text("")
    (tmp_path / "tenx").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OutputError, match=words):
        keep_apart(tmp_path / output, tmp_path / source, beside_too=True)
    keep_apart(tmp_path / "tenx_out", tmp_path / source, beside_too=True)
    keep_apart(tmp_path / "out", tmp_path / source, beside_too=True)
    keep_apart(tmp_path, tmp_path / source)


KILLED = """
import os, signal, sys
from functools import partial
from pathlib import Path
from schema import disk, outputs

folder, moment = Path(sys.argv[1]), int(sys.argv[2])
names = ("a", "b", "mark")
n_calls = 0

def dying(call):
    def wrapped(*arguments, **options):
        global n_calls
        n_calls += 1
        if n_calls == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return wrapped

os.replace, os.fsync, os.open = dying(os.replace), dying(os.fsync), dying(os.open)
outputs.exchange = dying(outputs.exchange)
with outputs.drafting(folder, partial(outputs.claim_files, folder, names, overwrite=True)) as draft:
    for name in names:
        (draft.path / name).write_text("new")
    draft.publish(names, replaced=("old",))
"""


@pytest.mark.parametrize("foreign", [False, True], ids=["own folder", "with a file of theirs"])
def test_killed_at_any_call_the_old_or_the_new_is_there(tmp_path, foreign):
    """Where a file of somebody else's stands in the folder, an unfinished set shows by its missing mark."""
    seen = set()
    for moment in range(1, 40):
        out = tmp_path / str(moment)
        out.mkdir()
        for name in (*NAMES, "old"):
            (out / name).write_text("old")
        if foreign:
            (out / "notes.txt").write_text("mine")
        command = [sys.executable, "-c", KILLED, str(out), str(moment)]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        found = content(out)
        assert not foreign or found.pop("notes.txt") == "mine"
        if foreign and "mark" not in found:
            seen.add("unfinished")
        else:
            assert found in (whole("old", (*NAMES, "old")), whole("new"))
            seen.add(found["mark"])
        write(out, "later", overwrite=True, replaced=("old",))
        found = content(out)
        assert {name: found[name] for name in NAMES} == whole("later")
        if code == 0:
            break
        assert code == -9
    assert code == 0
    assert seen == {"old", "new"} | ({"unfinished"} if foreign else set())


def test_a_request_to_stop_that_was_swallowed_is_obeyed_before_anything_is_shown(tmp_path):
    def publish():
        with drafting(tmp_path / "out", lambda: None) as draft:
            with suppress(Stopped):
                os.kill(os.getpid(), signal.SIGTERM)
            (draft.path / "a").write_text("new")
            draft.publish(("a",))

    with STOP.heard(), pytest.raises(Stopped):
        publish()
    assert list(tmp_path.iterdir()) == []
