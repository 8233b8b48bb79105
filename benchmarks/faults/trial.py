"""Runs a script on a bad thing in a process of its own, forked from one that has imported everything already."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

MEMORY_BYTES = 4 * 2**30
"""Address space that a run may take beside what the imports take."""

_WARM_UP = "NEUTROSTAGE_WARM_UP"  # benchmarks.faults.warm has the same name, and takes seconds to import

TIMEOUT = 60.0
"""Seconds after which a run is said to hang."""


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes
    ----------
    code
        Exit code; -n after signal n, None where it hung and was killed.
    log, out
        What it wrote to stderr and stdout.
    seconds
        How long it ran, without imports.
    """

    code: int | None
    log: str
    out: str
    seconds: float

    @property
    def error(self) -> str:
        """The last line of the log, where the run failed."""
        lines = self.log.rstrip().splitlines()
        return lines[-1] if self.code and lines else ""

    def faults(self, path: Path) -> list[str]:
        """Return what no run may do, whatever it was given at `path`."""
        found = []
        if self.code is None:
            found.append("hung")
        elif self.code < 0:
            found.append(f"died of signal {-self.code}")
        if "Traceback" in self.log:
            found.append("a traceback")
        errors = [line for line in self.log.splitlines() if ".py: error: " in line]
        if self.code and self.code > 0 and (len(errors) != 1 or errors[0] != self.error):
            found.append(f"{len(errors)} lines of error")
        if self.code and self.out:
            found.append("results named on stdout")
        if "Warning: " in self.log or str(path.parent) in self.log:
            found.append("noise of a library" if "Warning: " in self.log else "an absolute path")
        return found


class Trials:
    """Runs scripts, each in a fresh process with limits; the imports are paid for once.

    Parameters
    ----------
    script
        "predict" or "train".
    memory_bytes, timeout
        Limits of a run.
    warm_up
        Command line of predict.py, without output, that is run once before all others; only the first of a process
        counts.
    """

    def __init__(
        self,
        script: str = "predict",
        *,
        memory_bytes: int = MEMORY_BYTES,
        timeout: float = TIMEOUT,
        warm_up: Sequence[str] = (),
    ) -> None:
        self._script, self._memory, self._timeout = script, memory_bytes, timeout
        self._context = _warm_context(warm_up)

    def run(self, arguments: Sequence[str], folder: Path) -> Outcome:
        """Run the script with a command line, its streams in files of a folder."""
        out, log = folder / "stdout", folder / "stderr"
        start = time.perf_counter()
        process = self.start(arguments, folder)
        process.join(self._timeout)
        hung = process.is_alive()
        if hung:
            process.kill()
            process.join()
        seconds = time.perf_counter() - start
        texts = [path.read_text(encoding="utf-8", errors="replace") if path.exists() else "" for path in (log, out)]
        return Outcome(None if hung else process.exitcode, texts[0], texts[1], seconds)

    def start(self, arguments: Sequence[str], folder: Path) -> BaseProcess:
        """Start the script with a command line, its streams in files of a folder, and return its process."""
        streams = (folder / "stdout", folder / "stderr")
        process = self._context.Process(target=_run, args=(self._script, list(arguments), *streams, self._memory))
        process.start()
        return process


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the files of a folder and their names; "" for other things."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    sums = [hashlib.sha256(os.fsencode(file.name) + b"\n" + file.read_bytes()) for file in files if file.is_file()]
    return " ".join(each.hexdigest() for each in sums)


def _warm_context(warm_up: Sequence[str]) -> ForkServerContext:
    if warm_up:
        os.environ[_WARM_UP] = json.dumps(list(warm_up))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # a process with threads must not be forked
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.faults.warm"])
    return context


def _run(script: str, arguments: list[str], out: Path, log: Path, memory_bytes: int) -> None:
    for path, number in ((out, 1), (log, 2)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", buffering=1) for number in (1, 2))
    taken = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + memory_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from benchmarks.faults.warm import SCRIPTS  # imported in the process that all are forked from
    from schema.command import run_command

    sys.argv = [f"{script}.py", *arguments]
    code = run_command(f"{script}.py", SCRIPTS[script])
    sys.stdout.flush()
    sys.exit(code)
