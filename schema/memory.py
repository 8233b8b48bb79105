"""Memory that a run may still take, by all who limit it, and its refusal before it is begun."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

from schema.errors import InsufficientMemoryError

_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
_UNLIMITED = 2**60
"""From here a limit is none: version 1 of control groups writes a number close to 2**63."""


def check_memory(n_bytes: int, *, where: str, fix: str) -> None:
    """Refuse a run that the machine would kill.

    Parameters
    ----------
    n_bytes
        What it is expected to take beside what the process has already.
    where, fix
        Of the message: what takes it, and what makes it less.

    Raises
    ------
    InsufficientMemoryError
        If less can be had.
    """
    free = available_bytes()
    if free is not None and free < n_bytes:
        raise InsufficientMemoryError(
            "the machine must have enough memory",
            got=f"{free / 2**20:,.0f} MiB free where about {n_bytes / 2**20:,.0f} MiB are needed",
            where=where,
            fix=fix,
        )


def available_bytes() -> int | None:
    """Return the bytes that this process may still take; None where the system does not say.

    The least of what the machine has available, what the control groups of the process (containers, batch jobs) leave,
    and what its own limits on address space and data leave.
    """
    found = [*_of_machine(), *_of_groups(), *_of_limits()]
    return max(0, min(found)) if found else None


def _of_machine() -> Iterator[int]:
    for line in _lines(_PROC / "meminfo"):
        if line.startswith("MemAvailable:"):
            yield 1024 * int(line.split()[1])


def _of_groups() -> Iterator[int]:
    """Yield what each group of the process, and each around it, leaves; pages of files make way and do not count."""
    for line in _lines(_PROC / "self/cgroup"):
        number, kinds, path = line.split(":", 2)
        if number == "0":
            root, limit, used, cached = _CGROUPS, "memory.max", "memory.current", "inactive_file"
        elif "memory" in kinds.split(","):
            root, limit, used, cached = (
                *(_CGROUPS / "memory", "memory.limit_in_bytes"),
                *("memory.usage_in_bytes", "total_inactive_file"),
            )
        else:
            continue
        inner = root / path.strip("/")
        for group in (inner, *inner.parents):
            if not group.is_relative_to(root):
                break
            most, now = _number(group / limit), _number(group / used)
            if most is not None and now is not None and most < _UNLIMITED:
                yield most - now + _cached(group, cached)


def _of_limits() -> Iterator[int]:
    pages = next(_lines(_PROC / "self/statm"), "").split()
    if not pages:
        return
    for kind, column in ((resource.RLIMIT_AS, 0), (resource.RLIMIT_DATA, 5)):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            yield soft - int(pages[column]) * resource.getpagesize()


def _cached(group: Path, name: str) -> int:
    rows = (line.split() for line in _lines(group / "memory.stat"))
    return sum(int(row[1]) for row in rows if row[0] == name)


def _number(path: Path) -> int | None:
    text = next(_lines(path), "")
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> Iterator[str]:
    try:
        yield from path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
