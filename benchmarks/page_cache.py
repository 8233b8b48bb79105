"""Files in and out of the page cache of the operating system: read them in, drop them, see how much is there."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from pathlib import Path

BLOCK = 2**23
"""Bytes read at once."""


def files_below(path: Path) -> list[Path]:
    """Return a file, or all files of a folder in order of name."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def size_below(path: Path) -> int:
    """Return the bytes of a file or of all files of a folder."""
    return sum(file.stat().st_size for file in files_below(path))


def read_through(path: Path) -> float:
    """Read every byte from first to last and return the seconds."""
    buffer = memoryview(bytearray(BLOCK))
    start = time.perf_counter()
    for file in files_below(path):
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass
    return time.perf_counter() - start


def drop(path: Path) -> None:
    """Write what is dirty and ask for the files' pages to be dropped; a hint, so see `resident_share`."""
    for file in files_below(path):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resident_share(path: Path) -> float:
    """Return the share of the files' pages that are in the page cache, 0 to 1 (mincore)."""
    counts = [_resident_pages(file) for file in files_below(path) if file.stat().st_size]
    total = sum(n_pages for _, n_pages in counts)
    return sum(n_resident for n_resident, _ in counts) / total if total else 0.0


def _resident_pages(file: Path) -> tuple[int, int]:
    """Return the pages of a file that are in memory, and all of them."""
    size = file.stat().st_size
    n_pages = -(-size // mmap.PAGESIZE)
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_COPY) as mapped:
        flags = (ctypes.c_ubyte * n_pages)()
        start = ctypes.c_char.from_buffer(mapped)
        address = ctypes.addressof(start)
        failed = ctypes.CDLL(None, use_errno=True).mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), flags)
        del start
    if failed:
        raise OSError(ctypes.get_errno(), "mincore", str(file))
    return sum(1 for flag in flags if flag & 1), n_pages
