"""Writes annotated.h5ad: the input as it came, plus our obs columns, obsm arrays and uns entry."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np
import numpy.typing as npt
from anndata.io import write_elem

from datamodules.carried import carry_over, mark
from datamodules.elements import Frame
from datamodules.obs_columns import ObsColumns, ObsValues
from datamodules.store import CellStore
from schema.disk import writing
from schema.errors import InputError, OutputError
from schema.predictions import CELL_COLUMNS
from schema.signals import STOP

logger = logging.getLogger(__name__)

UNS_KEY = "neutrostage"
"""Entry of uns that says how the predictions were made."""

OBS_COLUMNS = tuple(column.name for column in CELL_COLUMNS if column.name.startswith("predicted_"))
"""Columns of obs that are ours."""

_CHUNK_BYTES = 2**20


class AnnotatedWriter:
    """An annotated.h5ad in the making; a context manager that leaves no half-written file behind.

    What the input holds is carried over first (see `datamodules.carried`), then added to; memory does not grow with the
    cells.

    Parameters
    ----------
    store
        The opened input.
    target
        File to write, under a temporary name: moving it into place is the caller's.
    obsm
        Name to number of columns of each float32 array `[n_cells, n_columns]`.
    overwrite_columns
        Whether entries of ours that the input already has are replaced.

    Raises
    ------
    InputError
        If the input already has entries of ours and they may not be replaced.
    OutputError
        If the file cannot be written.
    """

    def __init__(self, store: CellStore, target: Path, *, obsm: Mapping[str, int], overwrite_columns: bool) -> None:
        self._name, self._target, self._n_cells = store.name, target, store.n_cells
        self._overwrite, self._obsm = overwrite_columns, dict(obsm)
        self._n_written, self._finished = 0, False
        if target.exists() and target.samefile(store.path):
            raise self._unwritten("the input file itself", "Choose another output folder.")
        ours = [*(f"obsm/{name}" for name in obsm), f"uns/{UNS_KEY}"]
        columns = [f"obs/{column}" for column in OBS_COLUMNS if column in store.obs_columns]
        self._refuse([*columns, *(entry for entry in ours if entry in store.members)])
        with self._writing():
            self._file, self._below = carry_over(store, target)
            self._clear(ours)
            self._create_arrays()
            self._obs = ObsColumns(self._file["obs"], self._n_cells)

    def __enter__(self) -> AnnotatedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            self._discard()

    def write_rows(self, start: int, obsm: Mapping[str, npt.NDArray[np.float32]], obs: Mapping[str, ObsValues]) -> None:
        """Write the next rows of all arrays of obsm and columns of obs.

        Parameters
        ----------
        start
            Row of the first; the number of rows written so far.
        obsm
            Name to float32 `[n_rows, n_columns]`.
        obs
            Name to categories or numbers `[n_rows]`; the first rows say which columns there are.

        Raises
        ------
        ValueError
            If rows are left out, or names or shapes are not those announced.
        InputError
            If the input already has such a column and it may not be replaced.
        """
        n_rows = len(next(iter(obs.values()), ()))
        expected = {name: (n_rows, n_columns) for name, n_columns in self._obsm.items()}
        got = {name: values.shape for name, values in obsm.items()}
        if start != self._n_written or got != expected:
            raise ValueError(f"Expected {expected} from row {self._n_written} but got {got} from row {start}.")
        with self._writing():
            if start == 0:
                self._clear([f"obs/{name}" for name in obs])
            self._obs.write(start, obs)
            for name, values in obsm.items():
                self._file[f"obsm/{name}"][start : start + n_rows] = values
        self._n_written += n_rows

    def finish(self, uns: Mapping[str, object]) -> None:
        """Write the entry of uns and close the file.

        Parameters
        ----------
        uns
            What goes into `uns["neutrostage"]`: texts, numbers, arrays and mappings of them.

        Raises
        ------
        ValueError
            If not all rows were written.
        """
        if self._n_written != self._n_cells:
            raise ValueError(f"Expected {self._n_cells} rows but got {self._n_written}.")
        with self._writing():
            self._obs.finish()
            frame = Frame(self._file["obs"], f"{self._name}, obs")
            columns = [*(name for name in frame.columns if name not in self._obs.names), *self._obs.names]
            self._file["obs"].attrs["column-order"] = np.array(columns, dtype=h5py.string_dtype())
            write_elem(self._file, f"uns/{UNS_KEY}", dict(uns))
            self._file.close()
        self._below.close()
        self._finished = True

    def _create_arrays(self) -> None:
        for name in ("obsm", "uns"):
            if name not in self._file:
                mark(self._file.create_group(name), "dict", "0.1.0")
        for name, n_columns in self._obsm.items():
            rows = max(1, min(self._n_cells, _CHUNK_BYTES // max(1, 4 * n_columns)))
            chunks = (rows, n_columns) if self._n_cells and n_columns else None
            shape = (self._n_cells, n_columns)
            mark(self._file.create_dataset(f"obsm/{name}", shape, np.float32, chunks=chunks), "array", "0.2.0")

    def _clear(self, entries: list[str]) -> None:
        """Remove entries of an earlier run, where that is allowed."""
        there = [entry for entry in entries if entry in self._file]
        self._refuse(there)
        for entry in there:
            del self._file[entry]

    def _refuse(self, entries: Iterable[str]) -> None:
        there = list(entries)
        if there and not self._overwrite:
            raise InputError(
                "predictions must not replace what the input holds",
                got=", ".join(there),
                where=self._name,
                fix="Give --overwrite to replace them, or rename them.",
            )
        if there:
            logger.warning("%s: %s replaced", self._name, ", ".join(there))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Leave nothing behind on any fault; say in one line what a disk cannot do; let signals wait for HDF5."""
        with STOP.deferred():
            try:
                with writing(self._target.name):
                    yield
                    self._below.check()
            except OSError as error:
                self._discard()
                raise self._unwritten(str(error)[:200], "Free some space, or choose another output folder.") from error
            except BaseException:
                self._discard()
                raise

    def _discard(self) -> None:
        with STOP.deferred():
            if hasattr(self, "_file"):
                self._file.close()
                self._below.close()
            self._target.unlink(missing_ok=True)

    def _unwritten(self, got: str, fix: str) -> OutputError:
        return OutputError("annotated.h5ad must be writable", got=got, where=self._target.name, fix=fix)
