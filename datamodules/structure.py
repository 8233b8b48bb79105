"""What the parts of a sparse matrix must be, looked at before any of them is read: arrays, dimensions, number types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from datamodules.elements import Element, is_group
from schema.errors import FaultList, InputError

MAX_SIZE = 2**31 - 1
"""Most cells or genes of a matrix: they are numbered in 32 bits."""


def check_parts(indptr: Element, indices: Element, values: Element, where: str) -> None:
    """Refuse row pointers, indices and values that are no arrays of one dimension, or not of whole numbers.

    What the values are is judged later, by `datamodules.counts`.

    Raises
    ------
    InputError
        Telling all that is wrong with them.
    """
    faults = FaultList(InputError)
    for name, element, kinds in (("row pointers", indptr, "iu"), ("indices", indices, "iu"), ("values", values, None)):
        if fault := _part_fault(element, kinds):
            faults.note(broken_matrix(f"{name} {fault}", where))
    faults.check()
    if values.shape != indices.shape:
        raise broken_matrix(f"{values.shape[0]} values for {indices.shape[0]} indices", where)


def read_shape(shape: Any, where: str) -> tuple[int, int]:
    """Return the shape that a sparse matrix declares.

    Parameters
    ----------
    shape
        Whatever stands there.
    where
        Names it in a message.

    Raises
    ------
    InputError
        If it is not two whole numbers, 0 to 2**31 - 1.
    """
    numbers = np.asarray(shape)
    if numbers.shape != (2,) or numbers.dtype.kind not in "iu" or (numbers < 0).any() or (numbers > MAX_SIZE).any():
        raise broken_matrix(f"the shape {_shown(numbers)}", where)
    return int(numbers[0]), int(numbers[1])


def check_members(group: Element, names: Iterable[str], where: str) -> None:
    """Refuse a group that lacks members.

    Raises
    ------
    InputError
        Naming all that are missing.
    """
    if missing := [name for name in names if name not in group]:
        raise broken_matrix(f"no {', '.join(missing)}", where)


def broken_matrix(got: str, where: str) -> InputError:
    """Return the error of a matrix whose parts contradict each other."""
    return InputError("a matrix must hold together", got=got, where=where, fix="Write the file again.")


def _part_fault(element: Element, kinds: str | None) -> str:
    """Return what is wrong with a part; "" where nothing is."""
    if is_group(element):
        return "that are a group"
    if element.shape is None or len(element.shape) != 1:
        return f"of shape {element.shape}"
    if kinds is not None and element.dtype.kind not in kinds:
        return f"of type {element.dtype}"
    return ""


def _shown(numbers: np.ndarray) -> str:
    return " ".join(str(numbers.tolist()).split())[:80]
