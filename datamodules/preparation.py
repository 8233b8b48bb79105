"""How each sample of a file was prepared, as its obs or the user says: sorted by a gate or not, cells or nuclei."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from datamodules.columns import AUTO
from datamodules.samples import value_of_samples
from datamodules.store import CellStore
from schema.errors import InputError, UsageError
from schema.preparation import GATES, Preparation, gate_of, suspension_of

Kind = Literal["gate", "suspension"]


@dataclass(frozen=True, kw_only=True)
class PreparationConfig:
    """How samples were prepared, where obs does not say so."""

    gate: str = "auto"
    """Gate by which all samples were sorted, such as unsorted, CD45+ or EPCAM+; auto reads it from obs."""
    gate_column: str = "auto"
    """Column of obs that names the gate; auto tries sort_gate, sorting. Without one: unsorted."""
    suspension: Literal["auto", "cell", "nucleus"] = "auto"
    """Whether all samples are of cells or of nuclei; auto reads it from obs."""
    suspension_column: str = "auto"
    """Column of obs that says cell or nucleus; auto tries suspension_type, suspension. Without one: cell."""

    def __post_init__(self) -> None:
        """Refuse a gate that is not known."""
        if self.gate == AUTO:
            return
        try:
            gate_of(self.gate, "preparation.gate")
        except InputError as error:
            raise UsageError(
                "a gate must be known",
                got=repr(self.gate),
                where="preparation.gate",
                fix=f"Give one of {', '.join(GATES)}.",
            ) from error


def preparation_of(store: CellStore, sample: pd.Categorical, config: PreparationConfig) -> Preparation:
    """Return how each sample was prepared.

    Parameters
    ----------
    store
        The file.
    sample
        Sample of each cell.
    config
        What the user says.

    Raises
    ------
    InputError
        If obs names a gate or suspension that is not known, or several in a sample.
    """
    n_samples = len(sample.categories)

    def read(kind: Kind, wanted: str, column: str, word: Callable[[str, str], str]) -> list[str]:
        if wanted != AUTO:
            return [word(wanted, f"preparation.{kind}")] * n_samples
        values = value_of_samples(store, sample, column, kind, default=pd.Series(np.repeat("", n_samples)))
        return [word(value, f"{store.name}, obs ({kind})") for value in values]

    return Preparation(
        gate=tuple(read("gate", config.gate, config.gate_column, gate_of)),
        suspension=tuple(read("suspension", config.suspension, config.suspension_column, suspension_of)),
    )
