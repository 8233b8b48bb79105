"""The processes of a training: none waits for one that died."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from types import TracebackType
from typing import ClassVar

import pytorch_lightning as pl

from schema.errors import InsufficientMemoryError, NeutrostageError
from schema.streams import say

_LOOK_EVERY = 0.5
_PATIENCE = 5.0
"""Seconds that this process has to end by itself once another has died."""


class RankWatch:
    """Ends this process when one that Lightning started for it has died; a context manager around the training.

    Lightning's own watch kills this process with SIGKILL, which says nothing.

    Parameters
    ----------
    trainer
        Lightning's trainer.
    name
        Program name, as the line begins.
    """

    _processes: ClassVar[list[subprocess.Popen[bytes]]] = []
    """Those that Lightning started for the first training serve the second as well."""

    def __init__(self, trainer: pl.Trainer, name: str) -> None:
        self._trainer, self._name = trainer, name
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="rank-watch")

    def __enter__(self) -> RankWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        if isinstance(error, Exception) and not isinstance(error, NeutrostageError) and (fault := self._fault(2.0)):
            raise fault from error

    def _watch(self) -> None:
        while not self._done.wait(_LOOK_EVERY):
            self._take_over()
            fault = self._fault(0.0)
            if fault is None or self._done.wait(_PATIENCE):
                continue
            say(f"{self._name}: error: {fault}")
            for process in self._processes:
                process.kill()
            os._exit(fault.exit_code)  # the main thread waits for a process that does not answer

    def _fault(self, seconds: float) -> NeutrostageError | None:
        """Return what is to be said of a process that died, waiting a while for one that is about to."""
        until = time.monotonic() + seconds
        while True:
            for rank, process in enumerate(self._processes, start=1):
                if process.poll():
                    return lost_process(rank, process.returncode)
            if not self._processes or time.monotonic() >= until:
                return None
            time.sleep(0.1)

    def _take_over(self) -> None:
        started = getattr(self._trainer.strategy.launcher, "procs", [])
        self._processes.extend(process for process in started if process not in self._processes)
        for thread in threading.enumerate():
            if thread.name == "child-process-observer":
                thread._child_processes = []  # type: ignore[attr-defined] # it has none left to watch, and ends


def lost_process(rank: int, code: int) -> NeutrostageError:
    """Return the error of a training of which a process died; of one that was killed, most often for want of memory."""
    where, fix = "this training", "See its lines above; --resume true goes on from the last checkpoint."
    rule = "all processes of a training must live"
    if code == -signal.SIGKILL:
        return InsufficientMemoryError(rule, got=f"process {rank} killed by SIGKILL", where=where, fix=fix)
    error = NeutrostageError(rule, got=f"process {rank} ended with {code}", where=where, fix=fix)
    error.exit_code = code if code > 0 else error.exit_code
    return error
