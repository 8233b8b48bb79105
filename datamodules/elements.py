"""Columns and names of an AnnData group (HDF5 or zarr), read one by one and by slice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from datamodules.reach import check_complete, check_written
from schema.errors import FaultList, InputError

Element = Any
"""A group or array of h5py or zarr: both slice alike and keep their encoding in `attrs`."""

_SLICE = 65_536
"""Entries of a column that are in memory as Python text at a time."""


def is_group(element: Element) -> bool:
    """Return whether an element holds others."""
    return hasattr(element, "keys")


def attribute(element: Element, name: str) -> str:
    """Return an attribute as text; "" where there is none."""
    value = element.attrs.get(name, "")
    return value.decode() if isinstance(value, bytes) else str(value)


class Frame:
    """A data frame on disk (`obs` or `var`): names and columns on request.

    Attributes
    ----------
    columns
        Names of the columns, in the frame's order.
    n_rows
        Length of the index.
    """

    def __init__(self, group: Element, where: str) -> None:
        if not is_group(group):
            raise InputError(
                "tables must be stored as columns",
                got="one compound table (anndata before 0.7)",
                where=where,
                fix="Read and write the file once with a current anndata.",
            )
        self._group, self._where = group, where
        index = attribute(group, "_index") or "_index"
        self._index = self._element(index)
        check_column(self._index, f"{where}/{index}")
        if not is_group(self._index):
            check_complete(self._index, f"{where}/{index}")
        self.n_rows = length(self._index)
        order = [_decoded(name) for name in group.attrs.get("column-order", ())]
        known = order or sorted(name for name in group if not name.startswith("__"))
        self.columns = tuple(name for name in known if name != index)
        self._check_columns()

    def names(self, start: int, stop: int) -> list[str]:
        """Return the names of rows `start` to `stop - 1`."""
        return texts(self._index, start, stop)

    def texts(self, column: str) -> list[str]:
        """Return a column as text, "" where a value is missing."""
        values = self.column(column)
        names = [*(str(name) for name in values.categories), ""]
        return [names[code] for code in values.codes]

    def column(self, name: str) -> pd.Categorical:
        """Return a column as categories of text; missing values have code -1.

        Raises
        ------
        InputError
            If it is of no known kind, or has codes without category.
        """
        element = self._element(name)
        check_column(element, f"{self._where}/{name}")
        for part in (element[key] for key in element) if is_group(element) else [element]:
            check_written(part, f"{self._where}/{name}")
        values = _stored_categories(self._group, element, f"{self._where}/{name}")
        return _found_categories(element) if values is None else values

    def _check_columns(self) -> None:
        """Refuse columns that are named and not there, or of another length than the index; tell all of them."""
        faults = FaultList(InputError)
        for name in self.columns:
            with faults:
                element = self._element(name)
                if not is_group(element) or {"codes", "values"} & set(element):  # else it is of no use, or refused then
                    check_column(element, f"{self._where}/{name}")
                    self._check_length(length(element), name)
        faults.check()

    def _check_length(self, n_values: int, name: str) -> None:
        if n_values != self.n_rows:
            raise InputError(
                "every column must have one value per row",
                got=f"{n_values} values for {self.n_rows} rows",
                where=f"{self._where}/{name}",
                fix="Write the file again.",
            )

    def _element(self, name: str) -> Element:
        if name not in self._group:
            raise InputError(
                "a table must have its index and columns",
                got=f"no {name!r}",
                where=self._where,
                fix="Write the file again.",
            )
        return self._group[name]


def check_column(element: Element, where: str) -> None:
    """Refuse a column that is no array of one dimension, no codes with categories and no values with a mask.

    Raises
    ------
    InputError
        Saying what it is instead.
    """
    if not is_group(element):
        fault = _array_fault(element)
    elif "codes" in element:
        fault = _array_fault(element["codes"], "iu") if "categories" in element else "no categories"
        fault = f"codes: {fault}" if fault else ""
    elif "values" in element and "mask" in element:
        fault = _array_fault(element["values"]) or _array_fault(element["mask"], "b")
        if not fault and element["mask"].shape != element["values"].shape:
            fault = f"a mask of {element['mask'].shape[0]} for {element['values'].shape[0]} values"
    else:
        fault = "a group of no known kind"
    if fault:
        raise InputError("a column must be readable", got=fault, where=where, fix="Write the file again.")


def _array_fault(element: Element, kinds: str = "biufSUOT") -> str:
    """Return what is wrong with an array of a column; "" where nothing is."""
    if is_group(element):
        return "a group for an array"
    if element.shape is None or len(element.shape) != 1:
        return f"an array of shape {element.shape}"
    return "" if element.dtype.kind in kinds else f"values of type {element.dtype}"


def length(element: Element) -> int:
    """Return the number of values of a column."""
    if is_group(element):
        return length(element["codes"] if "codes" in element else element["values"])
    return int(element.shape[0])


def texts(element: Element, start: int, stop: int) -> list[str]:
    """Return values `start` to `stop - 1` of a column as text; "" where missing."""
    if is_group(element) and "codes" in element:
        categories = texts(element["categories"], 0, length(element["categories"]))
        return [categories[code] if code >= 0 else "" for code in element["codes"][start:stop]]
    if is_group(element):
        return [
            "" if missing else _text(value)
            for value, missing in zip(element["values"][start:stop], element["mask"][start:stop], strict=True)
        ]
    return ["" if _is_missing(value) else _text(value) for value in element[start:stop]]


def _stored_categories(group: Element, element: Element, where: str) -> pd.Categorical | None:
    """Return a column that is stored as codes and categories; None for other columns."""
    if is_group(element) and "codes" in element:
        categories, stored = element["categories"], element["codes"]
    elif not is_group(element) and "categories" in element.attrs:  # anndata 0.7
        categories, stored = group[element.attrs["categories"]], element
    else:
        return None
    names, codes = texts(categories, 0, length(categories)), np.asarray(stored[:]).astype(np.int64)
    if codes.size and (codes.min() < -1 or codes.max() >= len(names)):
        raise InputError(
            "every code must have a category",
            got=f"codes {codes.min()} to {codes.max()} for {len(names)} categories",
            where=where,
            fix="Write the file again.",
        )
    unique = list(dict.fromkeys(names))  # numbers that differ may read alike, 1 and "1"
    place = {name: code for code, name in enumerate(unique)}
    merged = np.array([*(place[name] for name in names), -1], dtype=np.int64)
    return categorical(merged[codes], unique)


def categorical(codes: npt.NDArray[np.int64], names: list[str]) -> pd.Categorical:
    """Return codes int64 `[n]`, -1 = missing, and their names as a categorical of text."""
    return pd.Categorical.from_codes(cast("list[int]", codes), categories=pd.Index(names, dtype=object))


def _found_categories(element: Element) -> pd.Categorical:
    seen: dict[str, int] = {}
    codes = np.full(length(element), -1, dtype=np.int64)
    for start, values in _slices(element):
        for offset, value in enumerate(values):
            if value is not None:
                codes[start + offset] = seen.setdefault(value, len(seen))
    return categorical(codes, list(seen))


def _slices(element: Element) -> Iterator[tuple[int, list[str | None]]]:
    values = element["values"] if is_group(element) else element
    for start in range(0, length(element), _SLICE):
        block = values[start : start + _SLICE]
        missing = element["mask"][start : start + _SLICE] if is_group(element) else _missing(block)
        yield start, [None if gone else _text(value) for value, gone in zip(block, missing, strict=True)]


def _missing(block: npt.NDArray[Any]) -> list[bool]:
    return [_is_missing(value) for value in block]


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # numbered samples become floats as soon as one is missing
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
    return text.replace("\0", "")  # could not be written to HDF5


def _decoded(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
