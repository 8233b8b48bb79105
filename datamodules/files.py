"""From patterns of the config to the files, folders and parts of stores that they name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datamodules.packed_part import parts_of
from datamodules.store import CellStore
from schema.errors import InputError, UsageError


def expand_files(patterns: Sequence[str]) -> list[Path]:
    """Return the files that the patterns name, each once, sorted within a pattern; of a prepared store, its parts.

    Raises
    ------
    InputError
        If a pattern names nothing.
    UsageError
        If there is no pattern.
    """
    if not patterns:
        raise UsageError("there must be files", got="none", where="the options", fix="Name files, such as a.h5ad.")
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern).expanduser()
        matches = [path] if path.exists() else sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
        if not matches:
            raise InputError("files must exist", got=repr(pattern), where="the options", fix="Check the path.")
        parts = [part for match in matches for part in (parts_of(match) or [match])]
        found += [part for part in parts if part not in found]
    return found


def require_rows(stores: Sequence[CellStore]) -> None:
    """Refuse to train on files that are not stored cell by cell: every epoch would transpose them.

    Raises
    ------
    InputError
        Naming the files and the command that prepares them.
    """
    by_genes = [store for store in stores if not store.is_by_rows]
    if by_genes:
        raise InputError(
            "training reads counts stored cell by cell",
            got=f"stored gene by gene: {', '.join(store.name for store in by_genes)}",
            where="data.files",
            fix="Prepare them once: python -m datamodules.prepare FILES --output STORE; then --data.files STORE.",
        )
