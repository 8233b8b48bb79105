"""How names are compared: case, dashes, underscores and spacing do not matter; suggestions for misspelt ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def normalise_name(name: object) -> str:
    """Return the form in which two names are compared.

    Examples
    --------
    >>> normalise_name("Natural-Killer_cells ")
    'natural killer cells'
    """
    return " ".join(str(name).casefold().replace("_", " ").replace("-", " ").split())


def nearest_names(name: object, known: Iterable[str], n: int = 3) -> list[str]:
    """Return up to `n` known names that look most like `name`, best first; empty where none does."""
    by_form: dict[str, str] = {}
    for candidate in known:
        by_form.setdefault(normalise_name(candidate), candidate)
    return [by_form[form] for form in difflib.get_close_matches(normalise_name(name), list(by_form), n=n, cutoff=0.5)]
