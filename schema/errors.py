"""Errors that end a run: one line each (rule, got, where, what to do), each with its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

EXIT_DONE = 0
EXIT_BUG = 1
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class NeutrostageError(Exception):
    """A fault that the user can mend.

    Parameters
    ----------
    rule
        What must hold, as a short statement ("counts must be whole numbers").
    got
        What was found instead.
    where
        File, dataset, column or option in which it was found; never an absolute path.
    fix
        What to do next.
    """

    exit_code = EXIT_BUG

    def __init__(self, rule: str, *, got: str, where: str, fix: str) -> None:
        self.rule, self.got, self.where, self.fix = rule, got, where, fix
        super().__init__(" ".join(f"{rule}: got {got} in {where}. {fix}".split()))


class UsageError(NeutrostageError):
    """An option or a config value is wrong."""

    exit_code = 2


class InputError(NeutrostageError):
    """The input data cannot give a right answer."""

    exit_code = 3


class BundleError(NeutrostageError):
    """The bundle is damaged, foreign or does not fit."""

    exit_code = 4


class OutputError(NeutrostageError):
    """The result cannot be written where it was asked for."""

    exit_code = 5


class InsufficientMemoryError(NeutrostageError):
    """The machine has too little memory for the job."""

    exit_code = 6


_MOST_TOLD = 5
"""Faults of one thing that are told in full; a hostile file may have thousands."""


class FaultList:
    """Faults of one thing that are found one after the other and told together.

    A context manager that may be entered again and again: it notes a fault that is raised inside and goes on behind.

    Parameters
    ----------
    kind
        What they are; other errors end the search.
    """

    def __init__(self, kind: type[NeutrostageError]) -> None:
        self._kind, self._found = kind, list[NeutrostageError]()

    def __enter__(self) -> FaultList:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, self._kind):
            return False
        self.note(error)
        return True

    def note(self, fault: NeutrostageError) -> None:
        """Note a fault."""
        self._found.append(fault)

    def check(self) -> None:
        """Raise what was found, if anything was: one fault as it is, several as one line.

        Raises
        ------
        NeutrostageError
            Of the kind of the faults.
        """
        if self._found:
            raise together(self._found)


def together(faults: Sequence[NeutrostageError]) -> NeutrostageError:
    """Return several faults of one kind as one error whose line tells them all, at most five of them in full."""
    first = faults[0]
    if len(faults) == 1:
        return first
    told = [f"({number}) {fault.rule}: {fault.got} in {fault.where}" for number, fault in enumerate(faults[1:], 2)]
    more = [f"and {len(told) - _MOST_TOLD + 1} more"] if len(told) >= _MOST_TOLD else []
    fixes = dict.fromkeys(fault.fix for fault in faults[:_MOST_TOLD])
    return type(first)(
        f"{len(faults)} faults, (1) {first.rule}",
        got=first.got,
        where="; ".join([first.where, *told[: _MOST_TOLD - 1], *more]),
        fix=" ".join(fixes),
    )
