"""From samples.csv and metadata to groups: which column says it, in which order, of which donor and study."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from schema.errors import InputError, UsageError
from schema.labels import UNLABELLED
from schema.names import nearest_names, normalise_name
from schema.predictions import STAGE_BESIDE_BURDEN, read_samples
from schema.stages import StageScale
from scoring.comparison import Grouped

logger = logging.getLogger(__name__)

AUTO, NONE = "auto", "none"
"""Scale of the groups: found by their names where the column is one of stages; none, so that they have no order."""

ALL_SAMPLES = "all samples"
"""The one group of samples of which no stage is said."""

PREDICTED_STAGE = "stage predicted without neutrophils"
"""What `group_by_stage` groups by, as words."""

CARCINOGENESIS = ("mouse_carcinogenesis", "human_ajcc_anatomic", "harmonised_progression", "healthy_vs_tumor")
"""Scales over which a trend is tested, tried in this order."""

_DISEASE = "disease"
_DEVELOPMENT = "mouse_gland_development"
_STAGE_NAMES = {normalise_name(n) for n in ("tumor_stage", "tumour_stage", "stage", STAGE_BESIDE_BURDEN)}
_CIRCULAR = "predicted_tumor_stage"
_NEEDED = ("sample_id", "burden_percent", "burden_denominator", "assessability", "n_cells", "n_low_counts")


@dataclass(frozen=True, kw_only=True)
class GroupingConfig:
    """By what samples are compared."""

    by: str
    """Column that groups the samples: arm, time point, tumor_stage ... in samples.csv or the metadata."""
    donor: str = "donor_id"
    """Column that names the donor; several samples of one are averaged. Where it is missing, samples are the units."""
    study: str = "study"
    """Column that names the study; of several, samples are compared within each."""
    scale: str = AUTO
    """Stage scale of the groups, for a trend; auto finds it where the column is named after stages, none = no order."""


def read_tables(paths: Sequence[Path]) -> pd.DataFrame:
    """Read one or several samples.csv as one table.

    Raises
    ------
    InputError
        If one cannot be read, lacks a column, or a sample is there twice.
    """
    frames = []
    for path in paths:
        frame = _read(path)
        missing = [name for name in _NEEDED if name not in frame.columns]
        if missing:
            raise InputError(
                "samples.csv has the columns that predict.py writes",
                got=f"none named {', '.join(missing)}",
                where=path.name,
                fix="Give the samples.csv of a prediction by this version.",
            )
        frames.append(frame)
    table = pd.concat(frames, ignore_index=True)
    _refuse_twice(table, "samples.csv")
    return table


def join_metadata(samples: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return samples with the columns of a metadata table, joined on `sample_id`; its columns win over ours.

    Raises
    ------
    InputError
        If it cannot be read, has no `sample_id`, has a sample twice, or knows none of the samples.
    """
    metadata = _read(path)
    if "sample_id" not in metadata.columns:
        raise InputError(
            "metadata are joined by sample_id",
            got=f"columns {', '.join(map(str, metadata.columns[:8]))}",
            where=path.name,
            fix="Name the column of the samples sample_id.",
        )
    _refuse_twice(metadata, path.name)
    known = samples["sample_id"].isin(metadata["sample_id"])
    if not known.any():
        raise InputError(
            "metadata name the samples as samples.csv does",
            got=f"none of {len(samples)} samples, such as {samples['sample_id'].iloc[0]!r}",
            where=path.name,
            fix="Correct the names in the column sample_id.",
        )
    if not known.all():
        logger.warning("%d of %d samples are not in %s and in no group", int((~known).sum()), len(known), path.name)
    own = [name for name in samples.columns if name == "sample_id" or name not in metadata.columns]
    return samples[own].merge(metadata, on="sample_id", how="left", validate="one_to_one")


def group_samples(samples: pd.DataFrame, config: GroupingConfig) -> Grouped:
    """Return samples with their groups, in order, and donors and studies where they are known.

    Raises
    ------
    UsageError
        If the column is not there, is the stage that has seen the neutrophils, or the scale is none for a trend.
    InputError
        If a stage is not one of the scale, or is one of gland development.
    """
    if normalise_name(config.by) == normalise_name(_CIRCULAR):
        raise UsageError(
            "burden is not held against a stage that was predicted from the neutrophils",
            got=config.by,
            where="by",
            fix=f"Use {STAGE_BESIDE_BURDEN}, or the stage as it was found.",
        )
    if config.by not in samples.columns:
        near = nearest_names(config.by, map(str, samples.columns))
        raise UsageError(
            "samples are compared by a column of samples.csv or the metadata",
            got=repr(config.by) + (f" (nearest: {', '.join(near)})" if near else ""),
            where="by",
            fix="Name a column, or give a table that has it (--metadata).",
        )
    group = _texts(samples[config.by])
    scale = _scale_of(group, config)
    if scale is None:
        names = tuple(sorted({name for name in group if name}))
    else:
        codes = [scale.code(name, f"the column {config.by}") for name in group]
        group = pd.Series(["" if code == UNLABELLED else scale.levels[code].name for code in codes], samples.index)
        names = tuple(level.name for level in scale.levels if (group == level.name).any())
    donor, study = (
        _texts(samples[name]) if name in samples.columns else pd.Series("", samples.index)
        for name in (config.donor, config.study)
    )
    table = samples.assign(group=group, donor=donor, study=study)
    return Grouped(samples=table, groups=names, scale=scale, has_donors=bool((donor != "").any()))


def group_by_stage(samples: pd.DataFrame, scale: StageScale | None, column: str = STAGE_BESIDE_BURDEN) -> Grouped:
    """Return samples by the name of a stage, for pictures; in one group where no stage is said of any.

    Parameters
    ----------
    samples
        As samples.csv.
    scale
        The stages; None = there are none.
    column
        Which holds the name of a level, blank where none is known. By default that predicted without neutrophils,
        which is no observation that a test could rest on.
    """
    group = _texts(samples[column]) if column in samples else pd.Series("", samples.index)
    names = [level.name for level in scale.levels if (group == level.name).any()] if scale is not None else []
    if not names:
        group, names, scale = pd.Series(ALL_SAMPLES, samples.index), [ALL_SAMPLES], None
    table = samples.assign(group=group, donor="", study="")
    return Grouped(samples=table, groups=tuple(names), scale=scale, has_donors=False)


def _scale_of(group: pd.Series, config: GroupingConfig) -> StageScale | None:
    """Return the scale that orders the groups; None where they have no order."""
    if config.scale == NONE:
        return None
    if config.scale != AUTO:
        scale = StageScale.load(config.scale)
        if scale.axis != _DISEASE:
            raise _other_axis(scale, f"--scale {config.scale}")
        return scale
    if normalise_name(config.by) not in _STAGE_NAMES:
        return None
    values = sorted({name for name in group if name})
    for scale in map(StageScale.load, CARCINOGENESIS):
        if all(_is_of(scale, value) for value in values):
            return scale
    development = StageScale.load(_DEVELOPMENT)
    if any(development.codes(value) for value in values):
        raise _other_axis(development, f"the column {config.by}")
    first = StageScale.load(CARCINOGENESIS[0])
    for value in values:
        first.code(value, f"the column {config.by}")  # says which value is none, and what is near it
    return first


def _is_of(scale: StageScale, value: str) -> bool:
    """Return whether a value is a level of a scale, or says that none is known."""
    try:
        scale.code(value, "")
    except InputError:
        return False
    return True


def _other_axis(scale: StageScale, where: str) -> InputError:
    return InputError(
        "burden is held against stages of carcinogenesis alone; development and carcinogenesis are two axes",
        got=f"the scale {scale.id} ({scale.axis})",
        where=where,
        fix="Give samples of one axis, or --scale none to compare groups without an order.",
    )


def _texts(column: pd.Series) -> pd.Series:
    """Return a column as text; blank where nothing is known. Whole numbers have no decimals."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("string").fillna("").str.strip().astype(object)


def _read(path: Path) -> pd.DataFrame:
    try:
        table = read_samples(path)
        if "sample_id" in table.columns:
            table["sample_id"] = table["sample_id"].fillna("").astype(object)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(
            "a table is a readable CSV file",
            got=type(error).__name__,
            where=path.name,
            fix="Give samples.csv as predict.py writes it, and metadata as CSV.",
        ) from error
    return table


def _refuse_twice(table: pd.DataFrame, where: str) -> None:
    twice = table["sample_id"][table["sample_id"].duplicated()]
    if len(twice):
        raise InputError(
            "a sample stands in one row",
            got=f"{twice.iloc[0]!r} twice",
            where=where,
            fix="Give each sample its own sample_id, once.",
        )
