"""What a format's reader hands to a store: one anatomy for h5ad, zarr and 10x."""

from __future__ import annotations

import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import pandas as pd

from datamodules.matrix import PackedReader, RawReader
from schema.errors import InputError
from schema.secrets import without_folders

Kind = Literal["h5ad", "zarr", "10x h5", "10x folder", "packed"]


class CellTable(Protocol):
    """What a source knows of its cells beside their counts."""

    columns: tuple[str, ...]
    n_rows: int

    def names(self, start: int, stop: int) -> list[str]:
        """Return barcodes or obs names of cells `start` to `stop - 1`."""
        ...

    def column(self, name: str) -> pd.Categorical:
        """Return one column of obs as categories of text."""
        ...


class GeneNames(NamedTuple):
    """Names of the columns of a matrix, `[n_columns]` each; "" = unknown."""

    symbols: list[str]
    ids: list[str]
    feature_types: list[str]


@dataclass(frozen=True, kw_only=True)
class Source:
    """An opened source: its matrix of counts and where that stands, its genes and cells, and how to close it.

    `name` is that of the file the cells came from, where it is another than the one opened; "" = the same. `members`
    are the entries of its obsm and uns ("obsm/X_umap").
    """

    kind: Kind
    matrix: RawReader | PackedReader
    counts_location: str
    genes: GeneNames
    cells: CellTable
    close: Callable[[], None]
    name: str = ""
    members: tuple[str, ...] = ()


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn what the libraries raise on a damaged file into one line that says where."""
    try:
        yield
    except (*_DAMAGED, *_LOST) as error:
        if isinstance(error, _LOST) and not _is_of_library(error):
            raise
        raise InputError(
            "a file must be readable to its end",
            got=f"{type(error).__name__} ({_told(error)})",
            where=where,
            fix="Copy or download the file again.",
        ) from error


_DAMAGED = (OSError, EOFError, RuntimeError, ValueError, KeyError, zlib.error)
"""What is raised where a file is damaged."""

_LOST = (TypeError, IndexError, ArithmeticError, AttributeError)
"""What libraries raise where a file is not at all what they take it for; in our own code it is a bug."""

_PROJECT = Path(__file__).resolve().parents[1]


def _is_of_library(error: BaseException) -> bool:
    """Return whether an error came up outside the project's code."""
    frames = traceback.extract_tb(error.__traceback__)
    innermost = Path(frames[-1].filename)
    return "site-packages" in innermost.parts or not innermost.is_relative_to(_PROJECT)


def _told(error: BaseException) -> str:
    """Return what a library says of a fault, without the folders that a file lies in."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return without_folders(text)[:200]
