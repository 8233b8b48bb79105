"""SIGTERM, SIGUSR1 and Ctrl-C: they end a run at once, or at the next place where nothing is lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from schema.errors import EXIT_INTERRUPTED, EXIT_TERMINATED

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""What asks a run to end: a scheduler's kill, its warning beforehand, a person's Ctrl-C."""


class Stopped(BaseException):
    """A run was asked to end.

    Parameters
    ----------
    signum
        The signal that asked.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signum
        super().__init__(f"stopped by {signal.Signals(signum).name}")

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C, else 143."""
        return EXIT_INTERRUPTED if self.signum == signal.SIGINT else EXIT_TERMINATED


class StopRequests:
    """What signals asked of this process: the first one counts, later ones do no harm.

    Attributes
    ----------
    asked
        The first signal that came; None = none did.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._waits = 0

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Answer the signals inside the block; outside the main thread, which alone can, nothing changes."""
        self.asked = None
        before = {signum: signal.getsignal(signum) for signum in SIGNALS}
        self.listen()
        try:
            yield
        finally:
            self.asked = None
            if threading.current_thread() is threading.main_thread():
                for signum, handler in before.items():
                    signal.signal(signum, handler)

    def listen(self) -> None:
        """Answer the signals again, where a library has put an answer of its own in place."""
        if threading.current_thread() is threading.main_thread():
            for signum in SIGNALS:
                signal.signal(signum, self._answer)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Let signals wait inside the block, which may look at `asked`; at its end they count, unless it is nested.

        Masks do not do this: in a process of several threads the system gives a signal to any that takes it.

        Raises
        ------
        Stopped
            At the end of the block, if one came inside it; also where the block failed, maybe for that reason.
        """
        before = self.asked
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1
            if before is None and not self._waits:
                self.obey()

    def obey(self) -> None:
        """Raise what was asked for, if anything was."""
        if self.asked is not None:
            raise Stopped(self.asked)

    def _answer(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        first, self.asked = self.asked is None, self.asked or signum
        if first and not self._waits:
            raise Stopped(signum)


STOP = StopRequests()
"""Those of this process."""


def leave_at_once() -> None:
    """Let the signals end the process with its exit code while nothing is made yet, until they are heard."""
    for signum in SIGNALS:
        signal.signal(signum, lambda number, _: os._exit(Stopped(number).exit_code))
