"""Run a command as a user would, and take its seconds and peak memory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True)
class Measured:
    """What a command cost.

    Attributes
    ----------
    seconds
        Wall time from start to exit.
    peak_mib
        Largest resident memory of the process, MiB.
    """

    seconds: float
    peak_mib: float


def run_measured(command: Sequence[str], log: Path) -> Measured:
    """Run a command in the project's folder, with stdout and stderr in a log file.

    Raises
    ------
    RuntimeError
        If it exits with anything but 0.
    """
    with tempfile.TemporaryDirectory() as scratch, log.open("w", encoding="utf-8") as stream:
        result = Path(scratch) / "used.json"
        launch = [sys.executable, "-S", "-E", str(LAUNCHER), str(result), *command]
        subprocess.run(launch, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT, check=True)
        used = json.loads(result.read_text(encoding="utf-8"))
    if used["exit"]:
        tail = log.read_text(encoding="utf-8")[-2000:]
        raise RuntimeError(f"Expected exit 0 but got {used['exit']} from {' '.join(command)}:\n{tail}")
    per_mib = 2**20 if platform.system() == "Darwin" else 2**10
    return Measured(used["seconds"], used["maxrss"] / per_mib)


def python(*arguments: str) -> list[str]:
    """Return a command that runs this interpreter."""
    return [sys.executable, *arguments]


def commit() -> str:
    """Return the short commit of the working tree, with + where files differ from it; "unknown" outside git."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        return "unknown"
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False)
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def hardware(gpu: str = "no GPU") -> str:
    """Return what the numbers were measured on, in words that name no machine."""
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    threads = os.environ.get("OMP_NUM_THREADS", "as many as cores")
    return f"{os.cpu_count()} CPU cores, {gpu}, threads per process: {threads}, {machine}"
