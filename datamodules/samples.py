"""The sample table of a run: which sample is of which donor, study, stage and split, and which rows it has."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from datamodules.columns import ColumnKind, pick_column
from datamodules.order import Ints
from datamodules.store import CellStore
from schema.errors import InputError
from schema.labels import UNLABELLED
from schema.stage_values import age_in_weeks
from schema.stages import StageScale

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ColumnsConfig:
    """Which obs columns hold what. "auto" tries the common names; see docs/data.md."""

    sample: str = "auto"
    """Sample: the specimen sequenced."""
    donor: str = "auto"
    """Donor: the animal or person; the unit of splitting."""
    cell_type: str = "auto"
    """Cell type label or Cell Ontology id."""
    tumor_stage: str = "auto"
    """Tumour stage of the sample."""
    strain: str = "auto"
    """Strain of the mouse, without which an age says no stage."""
    study: str = "auto"
    """Study the sample comes from."""


def sample_of_cells(store: CellStore, wanted: str) -> pd.Categorical:
    """Return the sample of each cell; the whole file is one sample, named after it, where no column says otherwise.

    Raises
    ------
    InputError
        If cells have no sample.
    """
    column = pick_column(store, wanted, "sample")
    if column is None:
        logger.warning("%s has no sample column: the whole file is taken as one sample", store.name)
        return pd.Categorical.from_codes(
            np.zeros(store.n_cells, dtype=np.int8), pd.Index([Path(store.name).stem], dtype=object)
        )
    sample = store.obs(column)
    nameless = np.array([not str(name).strip() for name in sample.categories] + [True])
    missing = int(nameless[sample.codes].sum())
    if missing:
        raise InputError(
            "every cell must belong to a sample",
            got=f"{missing} of {store.n_cells} cells without one",
            where=f"{store.name}, obs[{column!r}]",
            fix="Fill the column, or name another one.",
        )
    return sample.remove_unused_categories()


def sample_table(
    stores: Sequence[CellStore],
    columns: ColumnsConfig,
    scale: StageScale | None,
    species: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, list[Ints]]:
    """Describe the samples of all files.

    Parameters
    ----------
    stores
        The files.
    columns
        Which columns to use.
    scale
        Stage scale, or None to leave all stages unknown. Strains are read for a scale that takes ages.
    species
        "mouse" or "human" for each file, so that stages are read by the names of its species; None = not known.

    Returns
    -------
    tuple
        A frame with one row per sample (`sample_id`, `file` index, `donor_id`, `study`, `tumor_stage` code, `n_cells`)
        and, for each file, the row of that frame for each cell, int64 `[n_cells]`.

    Raises
    ------
    InputError
        If a sample has more than one donor, study, stage or strain, or a stage that the scale refuses.
    """
    frames, of_cells, start = [], [], 0
    for index, store in enumerate(stores):
        sample = sample_of_cells(store, columns.sample)
        frame = pd.DataFrame({"sample_id": sample.categories.astype(str), "file": index})
        frame["donor_id"] = value_of_samples(store, sample, columns.donor, "donor", default=frame["sample_id"])
        frame["study"] = value_of_samples(
            store, sample, columns.study, "study", default=pd.Series(Path(store.name).stem, frame.index)
        )
        frame["tumor_stage"] = _stage_codes(store, sample, columns, scale, None if species is None else species[index])
        frame["n_cells"] = np.bincount(sample.codes, minlength=len(frame))
        frames.append(frame)
        of_cells.append(np.asarray(sample.codes, dtype=np.int64) + start)
        start += len(frame)
    table = pd.concat(frames, ignore_index=True)
    twice = table["sample_id"].duplicated(keep=False)
    file_names = table["file"].map({i: store.name for i, store in enumerate(stores)})
    table.loc[twice, "sample_id"] = table["sample_id"] + "@" + file_names
    return table, of_cells


def _stage_codes(
    store: CellStore, sample: pd.Categorical, columns: ColumnsConfig, scale: StageScale | None, species: str | None
) -> Ints:
    n_samples = len(sample.categories)
    if scale is None:
        return np.full(n_samples, UNLABELLED, dtype=np.int64)
    blank = pd.Series([""] * n_samples)
    values = value_of_samples(store, sample, columns.tumor_stage, "stage", default=blank)
    strains = value_of_samples(store, sample, columns.strain, "strain", default=blank) if scale.takes_ages else blank
    codes = [
        scale.code(value, f"{store.name}, obs (stage)", strain=strain, species=species)
        for value, strain in zip(values, strains, strict=True)
    ]
    if n_ages := sum(age_in_weeks(value) is not None for value in values):
        logger.warning("%s: stages of %d samples are what is usual at their age, not histology", store.name, n_ages)
    return np.array(codes, dtype=np.int64)


def value_of_samples(
    store: CellStore, sample: pd.Categorical, wanted: str, kind: ColumnKind, default: pd.Series
) -> pd.Series:
    """Return the one value each sample has in a column of obs, as text, "" where it has none.

    Parameters
    ----------
    store, sample
        The file, and the sample of each of its cells.
    wanted, kind
        As in `pick_column`.
    default
        What is returned where there is no such column.

    Raises
    ------
    InputError
        If a sample has several values, or a named column is not there.
    """
    column = pick_column(store, wanted, kind)
    if column is None:
        return default.astype(str)
    values = store.obs(column)
    pairs = pd.DataFrame({"sample": sample.codes, "value": values.codes}).drop_duplicates()
    several = pairs["sample"][pairs["sample"].duplicated()]
    if len(several):
        raise InputError(
            f"a sample has one {kind}",
            got=f"several in sample {sample.categories[several.iloc[0]]!r}",
            where=f"{store.name}, obs[{column!r}]",
            fix=f"Choose a finer sample column or another {kind} column.",
        )
    names = np.append(values.categories.astype(str), "")
    return pd.Series(names[pairs.sort_values("sample")["value"].to_numpy()])
