"""Output folders: claimed before anything is computed, filled aside, and shown whole: the old files or the new ones."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from schema.disk import Hold, exchange, keep, unwritable, writing
from schema.errors import OutputError
from schema.signals import STOP

DRAFT = ".neutrostage-draft"
"""Name of a draft inside an output folder; beside it the name of that folder stands before it (`.out` + this)."""

_ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_NAMES_SHOWN = 3
_ABANDONED_SECONDS = 60.0
"""Age from which a draft for another folder may be one of a run that was killed."""


def claim_empty(folder: Path) -> None:
    """Make sure that a run folder can be made, and refuse one that holds anything already.

    Raises
    ------
    OutputError
        If the folder is in use or cannot be written.
    """
    check_writable(folder)
    if folder.exists() and any(entry.name != DRAFT for entry in folder.iterdir()):
        raise OutputError(
            "a run folder is written once", got="one in use", where=_name(folder), fix="Choose a new --output folder."
        )


def claim_files(folder: Path, names: Sequence[str], *, overwrite: bool) -> None:
    """Make sure that named files can be written to a folder, and refuse to replace them unasked.

    Raises
    ------
    OutputError
        If one of them exists and may not be replaced, or the folder cannot be written.
    """
    check_writable(folder)
    there = [name for name in names if os.path.lexists(folder / name)]
    if folders := [name for name in there if (folder / name).is_dir() and not (folder / name).is_symlink()]:
        raise OutputError(
            "results are files", got=f"a folder named {folders[0]}", where=_name(folder), fix="Choose another --output."
        )
    if there and not overwrite:
        more = f", and {len(there) - _NAMES_SHOWN} more" if len(there) > _NAMES_SHOWN else ""
        raise OutputError(
            "results are not replaced unasked",
            got=", ".join(there[:_NAMES_SHOWN]) + more,
            where=_name(folder),
            fix="Give --overwrite true, or another folder.",
        )


def keep_apart(folder: Path, source: Path, *, beside_too: bool = False) -> None:
    """Refuse an output folder that is, or lies inside, what is read: that is never written to.

    Parameters
    ----------
    folder
        The output folder; need not exist.
    source
        File or folder that is read; one that does not exist is passed over.
    beside_too
        Whether the folder that directly holds the source is refused as well.

    Raises
    ------
    OutputError
        If they are not apart.
    """
    if not source.exists():
        return
    real, read = (Path(os.path.realpath(path)) for path in (folder, source))  # resolve() fails on links in a circle
    is_beside = beside_too and real == read.parent
    if real == read or read in real.parents or is_beside:
        raise OutputError(
            "results go to a folder of their own, apart from what is read",
            got=f"the folder of {source.name}" if is_beside else source.name,
            where="--output",
            fix="Choose another folder.",
        )


def check_writable(folder: Path) -> None:
    """Refuse a folder that is none, or that could not be made or written to; nothing is made yet.

    A folder that nobody may write to is refused to the superuser too: it was closed on purpose.

    Raises
    ------
    OutputError
        Saying what is in the way.
    """
    try:
        if folder.is_symlink() and not folder.exists():
            raise unwritable(_name(folder), FileNotFoundError(errno.ENOENT, "a link to nowhere"))
        nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "a file")
        if not nearest.stat().st_mode & _ANY_WRITE or not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "read-only")
    except OSError as error:
        raise unwritable(_name(folder), error) from error


class Draft:
    """Files in the making, beside the output folder or hidden in it; made by `drafting`.

    Attributes
    ----------
    path
        Folder to write to.
    """

    def __init__(self, path: Path, folder: Path, hold: Hold) -> None:
        self.path, self._folder, self._hold, self._is_there = path, folder, hold, True

    def publish(self, names: Sequence[str], replaced: Sequence[str] = ()) -> None:
        """Show the draft as the output folder.

        Where the folder is new, or holds nothing but earlier results, all names change in one step. Else the files are
        moved one by one; the last name is the mark of a whole set, gone before the first old file is touched and moved
        last.

        Parameters
        ----------
        names
            Files of the draft.
        replaced
            Other names of earlier results, which must not stay beside the new ones.
        """
        STOP.obey()  # should a library have swallowed what a signal raised
        with writing(_name(self._folder)), STOP.deferred():
            for file in (*self.path.rglob("*"), self.path):
                keep(file)
            there = {entry.name for entry in self._folder.iterdir()} if self._folder.exists() else set()
            is_beside = self.path.parent != self._folder
            if is_beside and not there:
                self._take_the_name()
            elif not (is_beside and there <= {*names, *replaced} and self._change_places()):
                self._move(names, [name for name in replaced if name not in names])
            keep(self._folder.parent)

    def discard(self) -> None:
        """Remove what was not published, and let others write to the folder."""
        with STOP.deferred():
            if self._is_there:
                shutil.rmtree(self.path, ignore_errors=True)
            self._hold.release()

    def _take_the_name(self) -> None:
        """Become the output folder, which is empty or not there."""
        if self._folder.exists():
            self._look_alike()
        os.replace(self.path, self._folder)  # noqa: PTH105 - one call that replaces atomically
        self._is_there = False  # whoever takes the name of the draft now is another run

    def _change_places(self) -> bool:
        """Become the output folder, and remove the one that was; return False where that cannot be done."""
        self._look_alike()
        old = Hold.on(self._folder)  # under the name of the draft, it must not be taken for one that nobody fills
        try:
            if not exchange(self.path, self._folder):
                return False
            self._is_there = False
            shutil.rmtree(self.path, ignore_errors=True)
        finally:
            if old is not None:
                old.release()
        return True

    def _look_alike(self) -> None:
        """Take group and mode of the folder that is replaced."""
        there = self._folder.stat()
        with suppress(PermissionError):
            os.chown(self.path, -1, there.st_gid)
        self.path.chmod(stat.S_IMODE(there.st_mode))

    def _move(self, names: Sequence[str], stale: Sequence[str]) -> None:
        for name in (names[-1], *stale):
            (self._folder / name).unlink(missing_ok=True)
        keep(self._folder)
        for name in names:
            os.replace(self.path / name, self._folder / name)  # noqa: PTH105 - as above
        keep(self._folder)


@contextmanager
def drafting(folder: Path, claim: Callable[[], None]) -> Iterator[Draft]:
    """Yield an empty draft of an output folder that this process alone fills; whatever is not published is removed.

    A draft that a killed run left is removed too; one that another process is filling is refused.

    Parameters
    ----------
    folder
        The output folder; missing parents are made, and removed again when nothing is published.
    claim
        Refuses a folder that must not be written to; called before anything is made, and again when no other run can
        come between.

    Raises
    ------
    OutputError
        If the folder is claimed or cannot be written, another process is writing there, or the disk is full.
    """
    claim()
    real = folder.resolve()
    missing = [place for place in real.parents if not place.exists()]
    try:
        draft = _begin(real)
        try:
            claim()
            with writing(_name(folder)):
                yield draft
        finally:
            draft.discard()
    finally:
        for parent in missing:
            with suppress(OSError):  # it is in use, or was never made
                parent.rmdir()


def _begin(folder: Path) -> Draft:
    """Make an empty draft that is locked."""
    try:
        with writing(_name(folder)):
            folder.parent.mkdir(parents=True, exist_ok=True)
            path = _place(folder)
            _remove_abandoned(path)
            return Draft(path, folder, _take(path, folder))
    except OSError as error:
        raise unwritable(_name(folder), error) from error


def _place(folder: Path) -> Path:
    """Return where a draft goes: beside the folder where it can take its place there, else in it."""
    parent = folder.parent
    beside = parent / f".{folder.name}{DRAFT}"
    if not folder.exists():
        return beside
    same_disk = parent.stat().st_dev == folder.stat().st_dev and not folder.is_mount() and folder != parent
    can = parent.stat().st_mode & _ANY_WRITE and os.access(parent, os.W_OK | os.X_OK)
    return beside if same_disk and can else folder / DRAFT


def _take(path: Path, folder: Path) -> Hold:
    """Make an empty folder, or empty that of a run that was killed, and return the lock on it."""
    try:
        path.mkdir()
        is_new = True
    except FileExistsError:
        is_new = False
    hold = Hold.on(path)
    if hold is None or not (is_new or hold.is_certain):
        raise OutputError(
            "one run at a time writes to a folder",
            got="another at work",
            where=_name(folder),
            fix=f"Wait for it, or choose another --output; if there is none, remove {path.name}.",
        )
    for entry in path.iterdir():
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    return hold


def _remove_abandoned(own: Path) -> None:
    """Remove the drafts that runs killed a while ago left for other folders; those that are being filled are locked."""
    for path in own.parent.glob(f".*{DRAFT}"):
        if path == own or path.is_symlink() or _age(path) < _ABANDONED_SECONDS:
            continue
        hold = Hold.on(path)
        if hold is not None:
            if hold.is_certain:
                shutil.rmtree(path, ignore_errors=True)
            hold.release()


def _age(path: Path) -> float:
    """Return the seconds since a folder was last written to; 0 where it went away."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _name(folder: Path) -> str:
    return folder.name or str(folder)
