"""What is said of an error that nobody foresaw: one line, and the whole trace only where it is asked for."""

from __future__ import annotations

import traceback
from pathlib import Path

from schema.disk import full_disk, is_full
from schema.errors import InsufficientMemoryError, NeutrostageError
from schema.secrets import without_folders

DEBUG = "--debug"
"""Flag of every command: shows where an error came from, and warnings of libraries."""

_PROJECT = Path(__file__).resolve().parents[1]
_SHORTAGES = ("can't allocate memory", "Unable to allocate", "out of memory", "Cannot allocate memory")
"""What libraries write where memory is short and they do not raise MemoryError."""


class BugError(NeutrostageError):
    """An error that is none of the user's."""


def as_our_error(error: BaseException) -> NeutrostageError:
    """Return an error as one of ours: itself, a full disk, a shortage of memory, or a bug that says where it came up.

    Parameters
    ----------
    error
        What a command raised.
    """
    if isinstance(error, NeutrostageError):
        return error
    if is_full(error):
        return full_disk("the output folder")
    text = without_folders(" ".join(str(error).split()))
    if isinstance(error, MemoryError) or any(words in text for words in _SHORTAGES):
        return InsufficientMemoryError(
            "the machine must have enough memory", got="too little", where="this run", fix="Lower --batch_size."
        )
    return BugError(
        "this is a bug of the program",
        got=f"{type(error).__name__} ({text[:200]})",
        where=_place(error),
        fix=f"Run it again with {DEBUG} and report what it writes.",
    )


def _place(error: BaseException) -> str:
    """Return the file and line of the project where an error came up, "the program" where there is none."""
    ours = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(_PROJECT) and "site-packages" not in frame.filename
    ]
    return f"{Path(ours[-1].filename).relative_to(_PROJECT)}, line {ours[-1].lineno}" if ours else "the program"
