"""Text files, plain or gzipped, read so that neither one endless line nor a packed bomb fills the memory."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

MAX_LINE = 2**20
"""Longest line, bytes."""

MAX_PACKING = 1_032
"""Bytes that deflate packs into one at most."""

_BUFFER = 2**20
_SPARE_LINES = 1_000
"""Blank lines that a file may have more than it needs."""


class ShortLines(io.RawIOBase):
    """A file whose lines are at most `MAX_LINE` long.

    Parameters
    ----------
    file
        What is read; closed with this one.
    """

    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        super().__init__()
        self._file, self._since = cast("io.RawIOBase", file), 0

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: object, /) -> int:
        """Fill a buffer; return how many bytes there were.

        Raises
        ------
        ValueError
            If a line has no end.
        """
        n = self._file.readinto(buffer) or 0  # type: ignore[arg-type]
        end = bytes(memoryview(buffer)[:n]).rfind(b"\n")  # type: ignore[arg-type]
        self._since = self._since + n if end < 0 else n - end - 1
        if self._since > MAX_LINE:
            raise ValueError(f"a line of more than {MAX_LINE:,} bytes")
        return n

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def is_gzipped(file: Path) -> bool:
    """Return whether a file begins as gzip does, whatever it is called."""
    with file.open("rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


def open_lines(file: Path) -> io.BufferedReader:
    """Open a text file, plain or gzipped, for reading bytes."""
    raw = gzip.GzipFile(file, "rb") if is_gzipped(file) else file.open("rb")
    return io.BufferedReader(ShortLines(raw), _BUFFER)


def most_bytes(file: Path) -> int:
    """Return the most bytes of text that a file can hold."""
    return file.stat().st_size * (MAX_PACKING if is_gzipped(file) else 1)


def lines_of(file: Path, most: int) -> Iterator[bytes]:
    """Yield the lines of a file that are not blank, without their ends; at most one more than `most`."""
    n_found = n_blank = 0
    with open_lines(file) as handle:
        for line in handle:
            if bare := line.rstrip(b"\r\n"):
                yield bare
                n_found += 1
            else:
                n_blank += 1
            if n_found > most or n_blank > _SPARE_LINES:
                return
