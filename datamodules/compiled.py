"""Loops over arrays, compiled by numba: they let other threads run and are compiled once per machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compiled(kernel: Kernel) -> Kernel:
    """Return a function on numpy arrays and numbers compiled to machine code, without the interpreter's lock.

    The code is kept beside the module, or in the user's cache folder; where neither can be written it is compiled anew
    by each process. Constants of other modules are compiled in, and kept code does not notice when one changes: touch
    the module that uses it.
    """
    try:
        return cast("Kernel", njit(nogil=True, cache=True)(kernel))
    except RuntimeError:  # numba's word for a cache that cannot be written
        return cast("Kernel", njit(nogil=True)(kernel))
