"""A bad input: how it is made and what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

Make = Callable[[Path, Path], Path]
"""Makes a bad thing out of a good .h5ad (the first path, its bundle beside it) in a folder; returns its path."""


class Expected(NamedTuple):
    """What must come of a fault.

    Attributes
    ----------
    code
        Exit code.
    words
        What the line on stderr must hold; of an answer, what a line of the log must hold.
    same
        Whether cells must be called as those of the good file, row by row.
    otherwise
        Exit code that will do as well, with any words; None = no other.
    """

    code: int
    words: tuple[str, ...] = ()
    same: bool = False
    otherwise: int | None = None

    def __str__(self) -> str:
        if self.code:
            return f"exit {self.code}: {', '.join(self.words)}"
        said = f" and says: {', '.join(self.words)}" if self.words else ""
        other = "" if self.otherwise is None else f", or exit {self.otherwise}"
        return ("the same answer" if self.same else "an answer") + said + other


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A bad input.

    Attributes
    ----------
    row
        Class of the table of faults: "structure of a file", "values", ...
    name
        What was done, in a few words.
    make
        Makes it.
    expected
        What must come of it.
    role
        What the path made is: the input, or the bundle.
    options
        More of the command line.
    """

    row: str
    name: str
    make: Make
    expected: Expected
    role: Literal["input", "bundle"] = "input"
    options: tuple[str, ...] = field(default=())


def same(*words: str) -> Expected:
    """Expect the answer of the good file; words are of the log."""
    return Expected(0, words, same=True)


def answers(*words: str) -> Expected:
    """Expect an answer, not that of the good file; words are of the log."""
    return Expected(0, words)


def refused(*words: str) -> Expected:
    """Expect an error of the input."""
    return Expected(3, words)


def refused_bundle(*words: str) -> Expected:
    """Expect an error of the bundle."""
    return Expected(4, words)


def answers_or(code: int) -> Expected:
    """Expect an answer, or one line and an exit code."""
    return Expected(0, otherwise=code)
