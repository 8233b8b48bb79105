"""Errors that end a run: one line each (rule, got, where, what to do), each with its exit code."""

from __future__ import annotations

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
