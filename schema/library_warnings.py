"""Warnings of libraries: counted with ours, and kept off the terminal, where they would drown what matters."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGER = "libraries"


@contextmanager
def quiet_libraries(*, shown: bool = False) -> Iterator[None]:
    """Log what Python's `warnings` say inside the block as one line each; handlers of now show it where `shown`.

    Handlers that are added later, as that of `schema.command.collected_warnings`, get all of it.
    """
    terminal = list(logging.getLogger().handlers)
    for handler in () if shown else terminal:
        handler.addFilter(_is_ours)
    with warnings.catch_warnings():
        warnings.showwarning = _log
        try:
            yield
        finally:
            for handler in terminal:
                handler.removeFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name != _LOGGER


def _log(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: object = None,
) -> None:  # the signature of warnings.showwarning
    del filename, lineno, file, line
    logging.getLogger(_LOGGER).warning("%s: %s", category.__name__, " ".join(str(message).split()))
