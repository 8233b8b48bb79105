"""The files of a bundle on disk, proved to be plain, whole and of this format before anything is made of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import Any

from schema.errors import BundleError, FaultList

FORMAT = 6
"""Number that changes with what a bundle holds; others are refused by name."""

WEIGHTS, DESCRIPTION, GENES = "weights.safetensors", "bundle.json", "genes.tsv"

KEYS = {
    *("format", "network", "ontology", "stage_scale", "staging", "genes", "temperatures", "rules", "detection_limit"),
    *("training_labels", "made_labels", "training_prior", "metrics", "checks", "provenance", "files"),
}
"""Entries of bundle.json."""

_MAX_JSON_BYTES, _MAX_GENES_BYTES = 50_000_000, 50_000_000


def read_description(folder: Path) -> dict[str, Any]:
    """Return bundle.json, and make sure that the files beside it are those that it was written with.

    Raises
    ------
    BundleError
        If a file is missing, no plain file, too large or changed, or the description is of another format, no JSON,
        or has other entries than it should; several faults in one line.
    """
    _check_plain(folder)
    content = _parsed(folder)
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, bool) or found != FORMAT:
        older = isinstance(found, int) and found < FORMAT
        raise BundleError(
            f"this program reads bundles of format {FORMAT}",
            got=f"format {str(found)[:40]!r}" if isinstance(found, str) else f"format {str(found)[:40]}",
            where=f"{folder.name}/{DESCRIPTION}",
            fix="Train it again: it is of an earlier program." if older else "Use the version that wrote it.",
        )
    if odd := sorted(set(content) ^ KEYS):
        raise broken(folder, DESCRIPTION, f"entries that are missing or unknown: {', '.join(odd)[:100]}")
    _check_digests(folder, content["files"])
    return dict(content)


def broken(folder: Path, name: str, got: str) -> BundleError:
    """Return the error of a file of a bundle."""
    return BundleError(
        "a bundle is whole and unchanged",
        got=" ".join(got.split())[:200],
        where=f"{folder.name}/{name}",
        fix="Copy the bundle again or train anew.",
    )


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def finite_or_none(value: Any) -> Any:
    """Return nested values as JSON can hold them: no NaN, no infinity."""
    if isinstance(value, dict):
        return {key: finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _check_plain(folder: Path) -> None:
    """Refuse anything but plain files under the three names: opening a pipe would wait, a link may lead anywhere."""
    faults = FaultList(BundleError)
    for name, most in ((DESCRIPTION, _MAX_JSON_BYTES), (WEIGHTS, None), (GENES, _MAX_GENES_BYTES)):
        try:
            status = (folder / name).lstat()
        except OSError:
            faults.note(broken(folder, name, "no such file"))
            continue
        if not S_ISREG(status.st_mode):
            faults.note(broken(folder, name, "a link" if S_ISLNK(status.st_mode) else "something that is no file"))
        elif most is not None and status.st_size > most:
            faults.note(broken(folder, name, f"{status.st_size:,} bytes"))
    faults.check()


def _parsed(folder: Path) -> Any:
    try:
        text = (folder / DESCRIPTION).read_text(encoding="utf-8")
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError, OSError) as error:
        raise broken(folder, DESCRIPTION, f"text that is not JSON ({error})") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice: readers do not agree on which of them counts."""
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an entry that stands twice: {next(name for name in names if names.count(name) > 1)!r}")
    return content


def _check_digests(folder: Path, files: Any) -> None:
    if not isinstance(files, Mapping) or set(files) != {WEIGHTS, GENES}:
        raise broken(folder, DESCRIPTION, "a wrong list of files")
    faults = FaultList(BundleError)
    for name, digest in files.items():
        if sha256(folder / name) != digest:
            faults.note(broken(folder, name, "a file that differs from its recorded sha256"))
    faults.check()
