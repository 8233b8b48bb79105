"""What a disk is asked for so that nothing is lost on it: whole files, one writer, names that change in one step."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schema.errors import NeutrostageError, OutputError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
"""Linux's numbers for "paths from here" and "swap both names"."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WORDS = ("No space left on device", "Disk quota exceeded", "File too large", "os error 28", "errno = 28", "errno = 27")
"""What libraries that hide the number say of a disk that is full."""

_RESERVE = 4 * 2**20
"""Bytes that are left free beside an estimate."""


def is_full(error: BaseException | None) -> bool:
    """Return whether an error, or one that led to it, says that a disk, a quota or a limit on files has no room."""
    if error is None:
        return False
    says_so = getattr(error, "errno", None) in _FULL or any(words in str(error) for words in _WORDS)
    return says_so or is_full(error.__cause__ or error.__context__)


@contextmanager
def writing(where: str) -> Iterator[None]:
    """Say in one line what a disk cannot do while something is written.

    Parameters
    ----------
    where
        Name of the file or folder, for the message.

    Raises
    ------
    OutputError
        If the disk is full or read-only. Other errors pass.
    """
    try:
        yield
    except NeutrostageError:
        raise
    except Exception as error:  # of libraries that have an error of their own for it
        if is_full(error):
            raise full_disk(where) from error
        if getattr(error, "errno", None) == errno.EROFS:
            raise unwritable(where, error) from error
        raise


def full_disk(where: str) -> OutputError:
    """Return the error of a disk that has no room."""
    fix = "Free some, or choose another --output; what was there before is as it was."
    return OutputError("the disk must have room for the results", got="no space left", where=where, fix=fix)


def unwritable(where: str, error: BaseException) -> OutputError:
    """Return the error of a place that cannot be written."""
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
    return OutputError("the output folder must be writable", got=reason, where=where, fix="Choose another --output.")


def check_space(folder: Path, n_bytes: int) -> None:
    """Refuse to begin what the disk has no room for.

    Parameters
    ----------
    folder
        Where it is to be written; need not exist.
    n_bytes
        What is expected to be written.

    Raises
    ------
    OutputError
        If less is free.
    """
    nearest = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(nearest).free
    if free < n_bytes + _RESERVE:
        raise OutputError(
            "the disk must have room for the results",
            got=f"{free / 2**20:,.0f} MiB free where about {(n_bytes + _RESERVE) / 2**20:,.0f} MiB are needed",
            where=folder.name or str(folder),
            fix="Free some, or choose another --output.",
        )


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; what is written there takes the name when it is whole and on disk.

    Whatever ends the block early leaves the old file as it was.

    Raises
    ------
    OutputError
        If the disk is full or not writable.
    """
    draft = path.with_name(f".{path.name}.part")
    with writing(path.name):
        try:
            yield draft
            keep(draft)
            os.replace(draft, path)  # noqa: PTH105 - one call that replaces atomically
            keep(path.parent)
        finally:
            draft.unlink(missing_ok=True)


def keep(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk, not only in memory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a folder
            raise
    finally:
        os.close(handle)


def exchange(one: Path, other: Path) -> bool:
    """Swap two names of one file system in one step; return False, and change nothing, where that cannot be done."""
    if sys.platform != "linux":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "renameat2"):
        return False
    names = (os.fsencode(one), os.fsencode(other))
    return bool(library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)


class Hold:
    """A lock on a folder that ends with the process, however that ends.

    Attributes
    ----------
    is_certain
        Whether the file system has locks; without them, whoever made a folder holds it.
    """

    def __init__(self, handle: int, *, is_certain: bool) -> None:
        self._handle, self.is_certain = handle, is_certain

    @classmethod
    def on(cls, folder: Path) -> Hold | None:
        """Return the lock on a folder; None where another process has it, or the folder went away."""
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            return cls(handle, is_certain=False)
        if _is_still(handle, folder):
            return cls(handle, is_certain=True)
        os.close(handle)
        return None

    def release(self) -> None:
        """Let the folder go."""
        os.close(self._handle)


def _is_still(handle: int, folder: Path) -> bool:
    """Return whether a folder is the one that was opened, and not another of the same name."""
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False
