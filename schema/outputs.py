"""Output folders: claimed before anything is computed, filled in one step when all is ready."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from schema.errors import OutputError


def claim_empty(folder: Path) -> None:
    """Make sure that a run folder can be made, and refuse one that holds anything already.

    Raises
    ------
    OutputError
        If the folder is in use or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(
            "a run folder is written once", got="one in use", where=folder.name, fix="Choose a new --output folder."
        )
    check_writable(folder)


def claim_files(folder: Path, names: Sequence[str], *, overwrite: bool) -> None:
    """Make sure that named files can be written to a folder, and refuse to replace them unasked.

    Raises
    ------
    OutputError
        If one of them exists and may not be replaced, or the folder cannot be written.
    """
    there = [name for name in names if (folder / name).exists()]
    if there and not overwrite:
        raise OutputError(
            "results are not replaced unasked",
            got=", ".join(there),
            where=folder.name,
            fix="Give --overwrite true, or another folder.",
        )
    check_writable(folder)


def check_writable(folder: Path) -> None:
    """Refuse a folder that is none, or that could not be made; nothing is made yet."""
    try:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(folder.name)
        nearest = next(parent for parent in folder.absolute().parents if parent.exists())
        with tempfile.TemporaryDirectory(dir=nearest):
            pass
    except OSError as error:
        raise OutputError(
            "the output folder must be writable",
            got=type(error).__name__,
            where=folder.name,
            fix="Choose another --output.",
        ) from error


def move_into_place(draft: Path, folder: Path, names: Sequence[str]) -> list[Path]:
    """Move finished files from a draft folder on the same disk, each by one atomic step; return their new paths."""
    folder.mkdir(exist_ok=True)
    for name in names:
        os.replace(draft / name, folder / name)  # noqa: PTH105 - one call that replaces atomically
    return [folder / name for name in names]
