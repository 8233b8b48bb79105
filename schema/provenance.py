"""Where a result comes from: program version, git commit and library versions; no host, no user, no path."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

_LIBRARIES = ("torch", "pytorch-lightning", "anndata", "scanpy", "numpy", "scipy", "torchmetrics", "h5py", "zarr")


def describe_program() -> dict[str, str]:
    """Return program version, git commit ("unknown" outside a clone, "+changes" when edited) and library versions."""
    return {
        "neutrostage": _version("neutrostage"),
        "commit": git_commit(),
        "python": platform.python_version(),
        **{library: _version(library) for library in _LIBRARIES},
    }


def git_commit() -> str:
    """Return the commit of the program's own clone."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return "unknown"
    return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str | None:
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", *arguments],  # noqa: S607 - git of the user's PATH
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "unknown"
