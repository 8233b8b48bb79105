"""How far a long piece of work has come, kept on disk so that a process that was killed can be followed by another."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from datamodules.shuffle import Run


@dataclass
class Done:
    """What is done of a part, and safely on disk.

    Attributes
    ----------
    runs
        Runs of the source that were sorted.
    n_written
        Rows of the part that were written.
    sizes
        Bytes that count of each file; what lies behind them was written after this was noted.
    """

    runs: list[Run] = field(default_factory=list)
    n_written: int = 0
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def n_routed(self) -> int:
        """Rows of the source that were sorted into runs."""
        return sum(run.n_rows for run in self.runs)


class Journal:
    """One file that says what is done."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def load(self) -> Done | None:
        """Return what was noted last; None where nothing was."""
        try:
            stored = json.loads(self._file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Done([Run(*sizes) for sizes in stored["runs"]], stored["n_written"], stored["sizes"])

    def save(self, done: Done) -> None:
        """Note what is done; the file is replaced in one step and on disk when this returns."""
        write_whole(self._file, json.dumps(asdict(done)))

    def remove(self) -> None:
        """Forget everything."""
        self._file.unlink(missing_ok=True)


def write_whole(file: Path, text: str) -> None:
    """Write a file so that it is there as a whole or not at all, and on disk when this returns."""
    draft = draft_of(file)
    with draft.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(draft, file)  # noqa: PTH105 - one call that replaces atomically
    settle(file.parent)


def draft_of(file: Path) -> Path:
    """Return what a file is called until it is whole."""
    return file.with_name(f"{file.name}.new")


def settle(path: Path) -> None:
    """Put the bytes of a file, or the names in a folder, on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
