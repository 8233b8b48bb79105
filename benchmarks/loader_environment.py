"""An environment for annbatch, which needs Python >= 3.12; torch is left out, so that no CUDA build is drawn in."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

REQUIREMENT = "annbatch[zarrs]>=0.3,<0.4"
_VERSIONS = (
    "import json, importlib.metadata as m; import annbatch, zarrs; print(json.dumps({n: m.version(n) for n in %r}))"
)
PACKAGES = ("annbatch", "anndata", "zarr", "zarrs")


def annbatch_python(python: str, folder: Path) -> Path:
    """Return the interpreter of an environment with annbatch, made in the folder where it is not there.

    Raises
    ------
    RuntimeError
        Saying why there is none.
    """
    interpreter = folder / "annbatch_venv" / "bin" / "python"
    if interpreter.exists() and _succeeds([str(interpreter), "-c", "import annbatch, zarrs"]):
        return interpreter
    if not _succeeds([python, "-c", "import sys; sys.exit(sys.version_info < (3, 12))"]):
        raise RuntimeError(f"annbatch needs Python >= 3.12, and {python} is none (option --python312)")
    install = [str(interpreter), "-m", "pip", "install", "--quiet", REQUIREMENT]
    if not (_succeeds([python, "-m", "venv", "--clear", str(folder / "annbatch_venv")]) and _succeeds(install)):
        raise RuntimeError(f"{REQUIREMENT} could not be installed")
    return interpreter


def annbatch_versions(interpreter: Path) -> dict[str, str]:
    """Return the versions of what annbatch runs on."""
    command = [str(interpreter), "-W", "ignore", "-c", _VERSIONS % (PACKAGES,)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    versions: dict[str, str] = json.loads(done.stdout)
    return versions


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
