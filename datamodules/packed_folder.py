"""The folder of a packed store: whose it is, and that one process at a time writes it."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from datamodules.journal import draft_of, write_whole
from datamodules.packed_part import STORE, is_part, part_name
from schema.errors import OutputError

logger = logging.getLogger(__name__)


@contextmanager
def claimed_store(folder: Path, command: Mapping[str, object], n_parts: int, *, overwrite: bool) -> Iterator[None]:
    """Make a folder the store of a command while no other process writes it; what the same command began is kept.

    Parameters
    ----------
    folder
        The store.
    command
        What makes it this store and no other.
    n_parts
        Parts it has when it is finished.
    overwrite
        Whether a finished store, or one of another command, is replaced.

    Raises
    ------
    OutputError
        If it is in use, or holds something else.
    """
    inside = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    if STORE not in inside and inside - {draft_of(folder / STORE).name}:
        raise _in_use("a folder that is no store", folder, "Choose a new --output folder.")
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        _claim(folder, command, n_parts, overwrite=overwrite)
        yield


def _claim(folder: Path, command: Mapping[str, object], n_parts: int, *, overwrite: bool) -> None:
    known = folder / STORE
    if known.exists():
        same = _read(known) == command
        finished = same and all(is_part(folder / part_name(number)) for number in range(n_parts))
        if same and not (finished and overwrite):
            return
        if not overwrite:
            got = "a store of other files or options, or of a file that has changed"
            raise _in_use(got, folder, "Give --overwrite true, or another --output.")
        _clear(folder)
    write_whole(known, json.dumps(command, indent=1) + "\n")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _in_use("one that another process is writing", folder, "Wait for it to end.") from error
        except OSError:
            logger.info("%s: this file system has no locks", folder.name)
        yield
    finally:
        os.close(descriptor)


def _read(known: Path) -> object:
    try:
        return json.loads(known.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _clear(folder: Path) -> None:
    """Remove a store, and nothing else; its description goes last."""
    for entry in [*folder.glob("part-*"), *folder.glob(".part-*")]:
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    (folder / STORE).unlink()


def _in_use(got: str, folder: Path, fix: str) -> OutputError:
    return OutputError("a store is written once", got=got, where=folder.name, fix=fix)
