"""A file for HDF5 that never fails under it: what the disk does not take is kept aside, and the fault is told."""

from __future__ import annotations

import io
from pathlib import Path

import h5py

from schema.signals import STOP


class LastingFile(io.RawIOBase):
    """A file on disk to hand to h5py.

    libhdf5 cannot close a file that could not be written: it reports from destructors, and crashes at the end of the
    process. So writes that fail are kept in memory, where they are read back from, until the caller has looked at
    `fault`, which it does after each block that it writes, and closed the file.

    Parameters
    ----------
    path
        The file.
    mode
        "w" for a new one, "r+" for one that is there.

    Attributes
    ----------
    fault
        The first error of the disk; None = all that was written is on its way there.
    """

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__()
        self.fault: OSError | None = None
        self._file = path.open("w+b" if mode == "w" else "r+b", buffering=0)
        self._kept: list[tuple[int, bytes]] = []
        self._at, self._size = 0, path.stat().st_size

    def check(self) -> None:
        """Raise the fault, if there was one; end here, if that was asked.

        A signal must not raise inside of HDF5 either, which calls the methods of this file: whoever writes lets signals
        wait, and asks here.
        """
        STOP.obey()
        if self.fault is not None:
            raise self.fault

    def readable(self) -> bool:  # noqa: D102 - as io.RawIOBase
        return True

    def writable(self) -> bool:  # noqa: D102
        return True

    def seekable(self) -> bool:  # noqa: D102
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:  # noqa: D102
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:  # noqa: D102
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # noqa: D102 - h5py gives a memoryview
        view, start = memoryview(buffer).cast("B"), self._at
        n_bytes = max(0, min(len(view), self._size - start))
        self._file.seek(start)
        done = 0
        while done < n_bytes and (n := self._file.readinto(view[done:n_bytes])):
            done += n
        view[done:n_bytes] = bytes(n_bytes - done)
        for at, data in self._kept:
            first, last = max(at, start), min(at + len(data), start + n_bytes)
            if first < last:
                view[first - start : last - start] = data[first - at : last - at]
        self._at += n_bytes
        return n_bytes

    def write(self, data: memoryview, /) -> int:  # type: ignore[override]  # noqa: D102
        view, done = memoryview(data).cast("B"), 0
        try:
            self._file.seek(self._at)
            while self.fault is None and done < len(view):
                done += self._file.write(view[done:]) or 0
        except OSError as error:
            self.fault = error
        if done < len(view):
            self._kept.append((self._at + done, bytes(view[done:])))
        self._at += len(view)
        self._size = max(self._size, self._at)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:  # noqa: D102
        self._size = self._at if size is None else size
        if self.fault is None:
            try:
                self._file.truncate(self._size)
            except OSError as error:
                self.fault = error
        return self._size

    def flush(self) -> None:
        """Do nothing: nothing is buffered here."""

    def close(self) -> None:  # noqa: D102
        if not self.closed:
            self._file.close()
        super().close()


def open_lasting(path: Path, mode: str) -> tuple[h5py.File, LastingFile]:
    """Open an HDF5 file whose writes cannot fail under it, and return it with the file that knows of faults."""
    below = LastingFile(path, mode)
    return h5py.File(below, mode), below
