"""CSV files as they leave the program: names that a spreadsheet would take for formulas are marked as text."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What a spreadsheet takes for a formula, or what `as_text` made of it."""


def as_text(value: Any) -> Any:
    """Return a text with an apostrophe before it where a spreadsheet would take it for a formula; all else as it is.

    An apostrophe is what spreadsheets themselves mark text with. Texts that begin with apostrophes before such a sign
    get one more, so that `as_was` undoes it whatever the text.

    Examples
    --------
    >>> as_text("=1+1"), as_text("-5"), as_text("'=x"), as_text("a=b"), as_text(-5)
    ("'=1+1", "'-5", "''=x", 'a=b', -5)
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def as_was(value: Any) -> Any:
    """Return a text as it was before `as_text`."""
    return value[1:] if isinstance(value, str) and value.startswith("'") and _FORMULA.match(value) else value


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table: UTF-8, six significant digits, blanks for what is not known, no text that is a formula."""
    texts = [name for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    safe = frame.assign(**{name: frame[name].astype(object).map(as_text) for name in texts})
    safe.columns = pd.Index([as_text(name) for name in frame.columns])
    # csv quotes a carriage return by itself only where lines end with one
    torn = any(safe[name].astype(str).str.contains("\r", regex=False).any() for name in texts)
    quoting: Literal[0, 1] = csv.QUOTE_ALL if torn else csv.QUOTE_MINIMAL
    safe.to_csv(path, index=False, float_format="%.6g", lineterminator="\n", quoting=quoting)


def read_csv(path: Path, texts: Sequence[str]) -> pd.DataFrame:
    """Read a table of `write_csv`, or one like it.

    Parameters
    ----------
    path
        The file.
    texts
        Columns that are text even where all of it looks like numbers; blanks are missing, and "NA" is a name. Those
        that the file does not have are passed over.
    """
    header = [as_was(name) for name in pd.read_csv(path, nrows=0).columns]
    types = {name: "string" for name in texts if name in header}
    others = {name: [*_MISSING, ""] for name in header if name not in types}
    frame = pd.read_csv(
        path,
        names=header,
        header=0,
        dtype=types,
        keep_default_na=False,
        na_values={**others, **{name: [""] for name in types}},
    )
    named = [frame[name] for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])]
    return frame.assign(
        **{str(column.name): column.map(as_was, na_action="ignore").astype(column.dtype) for column in named}
    )


_MISSING = ("NA", "NaN", "nan", "N/A", "null", "None", "<NA>")
"""What stands for a missing value in a column that is not known to be text."""
