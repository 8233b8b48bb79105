"""stdout and stderr as they are found: closed, full, cut off by `head`, or of a locale that knows ASCII alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from io import TextIOWrapper

from schema.disk import writing


def speak_utf8() -> None:
    """Let names in any script go out as the bytes that they are in the file system, whatever the locale."""
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)


def show(lines: Iterable[object]) -> None:
    """Write results to stdout; that nobody reads them is no fault, for they are in files.

    Raises
    ------
    OutputError
        If stdout goes to a disk that is full.
    """
    if sys.stdout is None:
        return
    try:
        with writing("stdout"):
            sys.stdout.writelines(f"{line}\n" for line in lines)
            sys.stdout.flush()
    except BrokenPipeError:
        pass
    finally:
        _let_go()


def say(line: str) -> None:
    """Write a line to stderr, if anybody listens."""
    with suppress(OSError, ValueError):
        if sys.stderr is not None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def _let_go() -> None:
    """Send what stdout can no longer deliver nowhere, so that the end of the process does not fail on it."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
