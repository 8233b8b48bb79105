"""Which obs column holds what: the one the config names, or the first of the names the field uses."""

from __future__ import annotations

import logging
from typing import Literal

from datamodules.store import CellStore
from schema.errors import InputError
from schema.names import nearest_names

logger = logging.getLogger(__name__)

AUTO = "auto"

ColumnKind = Literal["sample", "donor", "cell_type", "stage", "strain", "study", "gate", "suspension", "group"]

USUAL_COLUMNS: dict[ColumnKind, tuple[str, ...]] = {
    "sample": ("sample_id", "sample", "donor_id", "donor"),
    "donor": ("donor_id", "donor"),
    "cell_type": ("cell_type_ontology_term_id", "cell_type"),
    "stage": ("tumor_stage", "stage"),
    "strain": ("strain", "mouse_strain", "genetic_background"),
    "study": ("study_id", "study"),
    "gate": ("sort_gate", "sorting"),
    "suspension": ("suspension_type", "suspension"),
    "group": (),
}
"""Column names tried for "auto", in order; case does not matter. Files of the CELLxGENE schema have donors only."""


def pick_column(store: CellStore, wanted: str | None, kind: ColumnKind) -> str | None:
    """Return the obs column that holds something of a kind, and log which.

    Parameters
    ----------
    store
        The opened file.
    wanted
        Name of the column, "auto" for the first usual one, None for none.
    kind
        What is looked for.

    Returns
    -------
    str or None
        The column's name; None where "auto" finds none.

    Raises
    ------
    InputError
        If a named column is not there.
    """
    if wanted is None:
        return None
    if wanted != AUTO:
        return _named(store, wanted, kind)
    exact = {column: column for column in store.obs_columns}
    by_form = {column.casefold(): column for column in reversed(store.obs_columns)} | exact
    found = next((by_form[name] for name in USUAL_COLUMNS[kind] if name in by_form), None)
    place = "nowhere (no such column)" if found is None else f"obs[{found!r}]"
    logger.info("%s: %s is taken from %s", store.name, kind, place)
    if kind == "sample" and found is not None and found.casefold() in USUAL_COLUMNS["donor"]:
        logger.warning("%s has no sample column: all cells of a donor are taken as one sample", store.name)
    return found


def _named(store: CellStore, wanted: str, kind: ColumnKind) -> str:
    if wanted in store.obs_columns:
        return wanted
    near = nearest_names(wanted, store.obs_columns)
    raise InputError(
        f"the {kind} column must exist",
        got=f"no column {wanted!r}" + (f" (nearest: {', '.join(near)})" if near else ""),
        where=f"obs of {store.name}",
        fix=f"Columns there: {', '.join(store.obs_columns) or 'none'}.",
    )
