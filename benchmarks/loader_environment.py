"""An environment for annbatch, which needs Python >= 3.12; torch is left out, so that no CUDA build is drawn in."""

from __future__ import annotations

from pathlib import Path

from benchmarks.environments import Environment, succeeds

ANNBATCH = Environment(
    name="annbatch",
    steps=("annbatch[zarrs]>=0.3,<0.4",),
    imports="annbatch, zarrs",
    packages=("annbatch", "anndata", "zarr", "zarrs"),
)


def annbatch_python(python: str, folder: Path) -> Path:
    """Return the interpreter of an environment with annbatch, made in the folder where it is not there.

    Raises
    ------
    RuntimeError
        Saying why there is none.
    """
    made = (folder / f"{ANNBATCH.name}_venv").exists()
    if not made and not succeeds([python, "-c", "import sys; sys.exit(sys.version_info < (3, 12))"]):
        raise RuntimeError(f"annbatch needs Python >= 3.12, and {python} is none (option --python312)")
    return ANNBATCH.interpreter(python, folder)


def annbatch_versions(interpreter: Path) -> dict[str, str]:
    """Return the versions of what annbatch runs on."""
    return ANNBATCH.versions(interpreter)
