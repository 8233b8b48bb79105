"""Columns of obs that are written block by block, so that memory does not grow with the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api.types import union_categoricals

from datamodules.carried import mark

ObsValues = pd.Categorical | npt.NDArray[Any]
"""Values of a block of cells: categories (names), or numbers."""

_CHUNK_ROWS = 2**16


class ObsColumns:
    """New columns of the obs of an AnnData file.

    Parameters
    ----------
    obs
        Group of the open file.
    n_cells
        Rows of the file.
    """

    def __init__(self, obs: h5py.Group, n_cells: int) -> None:
        self._obs, self._n_cells = obs, n_cells
        self._codes: dict[str, dict[str, int]] = {}
        self.names: list[str] = []

    def write(self, start: int, values: Mapping[str, ObsValues]) -> None:
        """Write a block of rows; the first one says which columns there are.

        Parameters
        ----------
        start
            Row of the first.
        values
            Name to values `[n_rows]`; categories of a later block may be others.

        Raises
        ------
        ValueError
            If names or lengths are not those of the other columns.
        """
        if not self.names:
            self._create(values)
        lengths = {name: len(column) for name, column in values.items()}
        if list(values) != self.names or len(set(lengths.values())) > 1:
            raise ValueError(f"Expected equally many rows of {self.names} but got {lengths}.")
        for name, column in values.items():
            rows = slice(start, start + len(column))
            if isinstance(column, pd.Categorical):
                known = self._codes[name]
                codes = [known.setdefault(str(category), len(known)) for category in column.categories]
                self._obs[f"{name}/codes"][rows] = np.array([*codes, -1], dtype=np.int16)[column.codes]
            else:
                self._obs[name][rows] = column

    def finish(self) -> None:
        """Write the categories, in alphabetical order, and number the rows by it."""
        for name, known in self._codes.items():
            group, categories = self._obs[name], sorted(known)
            place = np.array([*(categories.index(category) for category in known), -1], dtype=np.int16)
            for first in range(0, self._n_cells, _CHUNK_ROWS):
                rows = slice(first, first + _CHUNK_ROWS)
                group["codes"][rows] = place[group["codes"][rows]]
            text = np.array(categories, dtype=object)
            mark(group.create_dataset("categories", data=text, dtype=h5py.string_dtype()), "string-array", "0.2.0")

    def _create(self, values: Mapping[str, ObsValues]) -> None:
        self.names = list(values)
        for name, column in values.items():
            if not isinstance(column, pd.Categorical):
                self._dataset(self._obs, name, column.dtype)
                continue
            group = self._obs.create_group(name)
            mark(group, "categorical", "0.2.0")
            group.attrs["ordered"] = False
            self._codes[name] = {}
            self._dataset(group, "codes", np.dtype(np.int16))

    def _dataset(self, group: h5py.Group, name: str, dtype: np.dtype[Any]) -> None:
        chunks = (min(_CHUNK_ROWS, self._n_cells),) if self._n_cells else None
        mark(group.create_dataset(name, (self._n_cells,), dtype, chunks=chunks), "array", "0.2.0")


def joined(blocks: Sequence[ObsValues]) -> ObsValues:
    """Return one column `[n_cells]` of the values of all blocks; categories in alphabetical order."""
    named = [block for block in blocks if isinstance(block, pd.Categorical)]
    if named:
        union: pd.Categorical = union_categoricals(named, sort_categories=True)
        return union
    return np.concatenate([np.asarray(block) for block in blocks])
