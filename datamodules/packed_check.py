"""Whether a part of a packed store is as it was written, and its source as it was then."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from stat import S_ISREG

from datamodules.fingerprint import digest_of
from datamodules.packed_part import PartInfo, SourceInfo
from schema.errors import InputError

_PIECE = 2**22
"""Bytes hashed at a time."""


def check_files(part: Path, info: PartInfo) -> None:
    """Compare the sizes of all files, and the contents of the small ones, with what `part.json` says.

    Raises
    ------
    InputError
        Naming the file that differs.
    """
    for name, (n_bytes, _) in info.files.items():
        file = part / name
        status = file.lstat() if file.exists() else None
        if status is None or not S_ISREG(status.st_mode) or status.st_size != n_bytes:
            got = "no such file" if status is None else f"{status.st_size:,} bytes where {n_bytes:,} were written"
            raise _changed(got, f"{part.name}/{name}")
    verify(part, info, [name for name in info.files if not name.endswith(".bin")])


def verify(
    part: Path,
    info: PartInfo | None = None,
    names: list[str] | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Compare every byte of a part, or of some of its files, with what was written.

    Parameters
    ----------
    part
        Folder of the part.
    info
        What its `part.json` says; None = read it, and check sizes too.
    names
        Files; None = all.
    progress
        Called with the bytes that were read since the last call.

    Raises
    ------
    InputError
        Naming the first file that differs.
    """
    if info is None:
        info = PartInfo.load(part)
        check_files(part, info)
    for name in info.files if names is None else names:
        if sha256_of(part / name, progress) != info.files[name][1]:
            raise _changed("other contents than were written", f"{part.name}/{name}")


def sha256_of(file: Path, progress: Callable[[int], object] = lambda _: None) -> str:
    """Return the SHA-256 of a file."""
    digest, piece = hashlib.sha256(), memoryview(bytearray(_PIECE))
    with file.open("rb", buffering=0) as handle:
        while n_read := handle.readinto(piece):
            digest.update(piece[:n_read])
            progress(n_read)
    return digest.hexdigest()


def check_source(part: Path, info: PartInfo, symbols: Sequence[str], ids: Sequence[str]) -> None:
    """Refuse a part whose source has changed since; one that is no longer there is no fault.

    Parameters
    ----------
    part, info
        The part and what its `part.json` says.
    symbols, ids
        Its genes.

    Raises
    ------
    InputError
        Naming the source.
    """
    source = part.resolve() / info.source.path
    if Path(info.source.path).is_absolute() or not source.exists():
        return
    if size_and_time(source) == (info.source.n_bytes, info.source.mtime_ns):
        return
    if digest_of(source, [str(info.n_cells), *symbols, *ids])[1] != info.source.sha256:
        raise InputError(
            "a store must match the file it was prepared from",
            got=f"{info.source.name}, which has changed since",
            where=part.name,
            fix="Prepare it again, with --overwrite true.",
        )


def describe_source(path: Path, part: Path, fingerprint: Mapping[str, object], kind: str) -> SourceInfo:
    """Return what is kept of a source so that a change is noticed.

    Parameters
    ----------
    path, part
        The source, and the folder that the part will have.
    fingerprint, kind
        As of its `CellStore`.
    """
    n_bytes, mtime_ns = size_and_time(path)
    return SourceInfo(
        name=str(fingerprint["name"]),
        kind=kind,
        path=Path(os.path.relpath(path.resolve(), part.resolve())).as_posix(),
        n_bytes=n_bytes,
        mtime_ns=mtime_ns,
        counts_location=str(fingerprint["counts_location"]),
        sha256=str(fingerprint["sha256"]),
    )


def size_and_time(path: Path) -> tuple[int, int]:
    """Return the bytes of a file or folder, and when it, or its newest file, was changed (nanoseconds)."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    status = [file.stat() for file in files]
    return sum(each.st_size for each in status), max((each.st_mtime_ns for each in status), default=0)


def _changed(got: str, where: str) -> InputError:
    return InputError("a store must be as it was written", got=got, where=where, fix="Copy it, or prepare it, again.")
