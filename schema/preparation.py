"""How the cells of a sample were prepared: by which gate they were sorted, and whether they are cells or nuclei."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schema.errors import InputError
from schema.names import nearest_names

UNSORTED, CD45_SORTED = "unsorted", "CD45+"
CELL, NUCLEUS = "cell", "nucleus"

_GATES = {
    UNSORTED: ("", "unknown", "na", "none", "no", "live", "viable", "all", "total", "whole"),
    CD45_SORTED: ("CD45pos", "CD45 positive", "PTPRC+", "immune", "leukocytes"),
    "CD45-": ("CD45neg", "CD45 negative", "non-immune"),
    "EPCAM+": ("EPCAMpos", "EPCAM positive", "epithelial"),
    "EPCAM-": ("EPCAMneg", "EPCAM negative"),
    "CD11b+": ("CD11bpos", "CD11b positive", "ITGAM+", "myeloid"),
    "Ly6G+": ("Ly6Gpos", "CD66b+", "neutrophils"),
    "CD3+": ("CD3pos", "T cells"),
    "CD31+": ("CD31pos", "PECAM1+", "endothelial"),
}
"""Gate to its other spellings; case does not matter."""

GATES = tuple(_GATES)
"""All of them."""

_SUSPENSIONS = {CELL: ("", "unknown", "na", "cells", "whole cell"), NUCLEUS: ("nuclei", "single nucleus", "snRNA-seq")}


@dataclass(frozen=True)
class Preparation:
    """Gate and suspension of each sample, `[n_samples]`."""

    gate: tuple[str, ...]
    suspension: tuple[str, ...]

    @classmethod
    def plain(cls, n_samples: int) -> Preparation:
        """Return that of samples of unsorted cells."""
        return cls((UNSORTED,) * n_samples, (CELL,) * n_samples)

    @property
    def is_cd45_sorted(self) -> npt.NDArray[np.bool_]:
        """Samples whose burden is NBS-1.0/CD45, bool `[n_samples]`."""
        return np.array([gate == CD45_SORTED for gate in self.gate], dtype=bool)


def gate_of(value: str, where: str) -> str:
    """Return the gate that a value of obs means.

    Raises
    ------
    InputError
        If it means none that is known.
    """
    return _known(value, _GATES, "a gate", where)


def suspension_of(value: str, where: str) -> str:
    """Return whether a value of obs means cells or nuclei.

    Raises
    ------
    InputError
        If it means neither.
    """
    return _known(value, _SUSPENSIONS, "a suspension", where)


def _known(value: str, names: dict[str, tuple[str, ...]], what: str, where: str) -> str:
    found = _find(value, names)
    if found is None:
        near = nearest_names(value, names)
        raise InputError(
            f"{what} must be known",
            got=repr(value) + (f" (nearest: {', '.join(near)})" if near else ""),
            where=where,
            fix=f"Write one of {', '.join(names)} there, or say it of all samples with --preparation.",
        )
    return found


def _find(value: str, names: dict[str, tuple[str, ...]]) -> str | None:
    forms = {_form(name): known for known, others in names.items() for name in (known, *others)}
    return forms.get(_form(value))


def _form(value: str) -> str:
    """Return a spelling without case and spaces; + and - mean something here and stay."""
    return "".join(str(value).casefold().split())
