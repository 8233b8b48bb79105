"""A bad day of a machine: what is done to a running script, and what must come of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.faults.materials import Materials
from benchmarks.measure import ROOT

TIMEOUT = 240.0
"""Seconds after which a script is said to hang."""


class Happening(NamedTuple):
    """What came of an injection.

    Attributes
    ----------
    code
        Exit code of the run that was disturbed; -n after signal n.
    line
        Its last line on stderr.
    problems
        What should not have happened; none where all is well.
    """

    code: int | None
    line: str
    problems: list[str]


@dataclass(frozen=True, kw_only=True)
class Injection:
    """A bad day of a machine.

    Attributes
    ----------
    row
        Class of the table of faults: "outputs", "machine", "training", "tracking", "names in reports".
    name
        What was done, in a few words.
    expected
        What must come of it, in a few words.
    run
        Does it in an empty folder, and returns what happened.
    """

    row: str
    name: str
    expected: str
    run: Callable[[Materials, Path], Happening] = field(repr=False)


class Ended(NamedTuple):
    """A script that ended: its exit code, what it wrote, and the seconds from the last signal to its end."""

    code: int | None
    out: str
    log: str
    seconds: float

    @property
    def line(self) -> str:
        """The last line of the log."""
        return (self.log.rstrip().splitlines() or [""])[-1]

    def problems(self, code: int, *words: str) -> list[str]:
        """Return what is wrong with how it ended: another code, words that its last line lacks, a traceback."""
        found = [] if self.code == code else [f"exit {self.code} where {code} was expected"]
        found += [f"no {word!r} in its last line" for word in words if word not in self.line]
        return found + (["a traceback"] if "Traceback" in self.log else [])

    def happening(self, problems: Sequence[str]) -> Happening:
        """Return what happened."""
        return Happening(self.code, self.line, list(problems))


def train_arguments(materials: Materials, output: Path, *more: str, epochs: int = 2) -> list[str]:
    """Return the command line of a training of seconds, without its second half."""
    found = [str(ROOT / "train.py"), "--config", str(ROOT / "configs/debug.yaml"), "--output", str(output)]
    found += ["--data.files", str(materials.training), "--trainer.max_epochs", str(epochs), "--refit", "false"]
    return [*found, *more]


def predict_arguments(materials: Materials, output: Path, *more: str) -> list[str]:
    """Return the command line of a short prediction of the good file."""
    found = [str(ROOT / "predict.py"), str(materials.good), "--bundle", str(materials.bundle), "--output", str(output)]
    return [*found, "--report", "false", "--explain.n_cells", "0", "--device", "cpu", *more]


class Script:
    """A script of the project as a process of its own; a context manager that leaves none behind.

    Parameters
    ----------
    arguments
        File and command line.
    environment
        What differs from the environment of now; "" removes a variable.
    before
        Called in the new process before the script begins: limits.
    stdout
        File descriptor for stdout; None = it is read.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
        stdout: int | None = None,
    ) -> None:
        changed = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""} | dict(environment or {})
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={name: value for name, value in changed.items() if value or name == "CUDA_VISIBLE_DEVICES"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
        )

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def wait_for(self, path: Path) -> None:
        """Wait until a file is there, or the script has ended."""
        until = time.monotonic() + TIMEOUT
        while not path.exists() and self.process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)

    def send(self, *signals: signal.Signals) -> None:
        """Send signals, one after the other."""
        for signum in signals:
            self.process.send_signal(signum)

    def end(self) -> Ended:
        """Wait for the end; a script that hangs is killed, and has no code."""
        start = time.monotonic()
        try:
            out, log = self.process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, log = self.process.communicate()
            return Ended(None, out or "", log or "", TIMEOUT)
        return Ended(self.process.returncode, out or "", log or "", time.monotonic() - start)


def run(arguments: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a script to its end."""
    with Script(arguments, environment=environment) as script:
        return script.end()


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by name, hidden ones too; none where there is no folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()}
