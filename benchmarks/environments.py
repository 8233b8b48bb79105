"""Environments of their own for peers whose requirements this project does not share."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT

_VERSIONS = "import json, importlib.metadata as m; print(json.dumps({{n: m.version(n) for n in {packages}}}))"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What is installed for a peer.

    Attributes
    ----------
    name
        Folder name, without `_venv`.
    steps
        Requirements, installed one after the other; a torch for CPUs comes first, so that no CUDA build is drawn in.
    imports
        What must be importable, separated by commas.
    packages
        Distributions whose versions a page names.
    """

    name: str
    steps: tuple[str, ...]
    imports: str
    packages: tuple[str, ...]

    def interpreter(self, python: str, folder: Path) -> Path:
        """Return the interpreter of the environment, made in the folder where it is not there.

        Raises
        ------
        RuntimeError
            If it cannot be made.
        """
        interpreter = folder / f"{self.name}_venv" / "bin" / "python"
        if interpreter.exists() and succeeds([str(interpreter), "-c", f"import {self.imports}"]):
            return interpreter
        made = succeeds([python, "-m", "venv", "--clear", str(folder / f"{self.name}_venv")])
        for step in self.steps:
            made = made and succeeds([str(interpreter), "-m", "pip", "install", "--quiet", step])
        if not made:
            raise RuntimeError(f"{' and '.join(self.steps)} could not be installed")
        return interpreter

    def versions(self, interpreter: Path) -> dict[str, str]:
        """Return the versions of what the peer runs on."""
        code = _VERSIONS.format(packages=self.packages)
        done = subprocess.run(
            [str(interpreter), "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
        )
        found: dict[str, str] = json.loads(done.stdout)
        return found


def pinned(package: str) -> str:
    """Return a requirement as this project pins it."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


def succeeds(command: list[str]) -> bool:
    """Return whether a command can be run and exits with 0."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
