"""Samples held against each other: burden over ordered stages or between groups, and composition; samples as units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from schema.comparisons import BURDEN, COMPARISON_COLUMNS, COMPOSITION, CONTRAST, TREND
from schema.errors import InputError
from schema.labels import CellOntology
from schema.predictions import LOW_CONFIDENCE, NOT_ASSESSABLE, check_columns
from schema.stages import StageScale
from scoring.composition import log_ratios
from scoring.rank_test import RankTest, rank_tests
from scoring.shift import shift_between, shift_within
from scoring.units import WITHIN_DONORS, Units, make_units

Floats = npt.NDArray[np.float64]

MAX_GROUPS = 12
"""Groups that are compared pair by pair; a column with more names samples, not groups."""

MIN_UNITS = 2
"""Units of a group in a test: one says nothing of how units differ."""

MAX_SLOPE_UNITS = 3_000
"""Units up to which the slope per stage is computed, over all their pairs."""

Measures = Mapping[tuple[str, str], str]
"""Measure and cell type of a row to the column of the units that holds its values."""

_DEPLETION = re.compile(r"ly-?6g|gr-?1\b|\b1a8\b|rb6|deplet", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Grouped:
    """Samples with what they are compared by.

    Attributes
    ----------
    samples
        As samples.csv, with text columns `group`, `donor` and `study`, blank where not known.
    groups
        Names of the groups, in order.
    scale
        Scale of the groups where they are stages, and so ordered; else None.
    has_donors
        Whether a donor is known of any sample.
    """

    samples: pd.DataFrame
    groups: tuple[str, ...]
    scale: StageScale | None
    has_donors: bool

    @property
    def is_ordered(self) -> bool:
        """Whether the groups are stages."""
        return self.scale is not None


def compare_samples(grouped: Grouped, ontology: CellOntology, *, seed: int = 0) -> pd.DataFrame:
    """Return comparison.csv as a table, exactly as `schema.comparisons.COMPARISON_COLUMNS` states it.

    Burdens of different denominators are compared apart. Samples that are not assessable are left out of all tests, of
    composition too, because what was lost is missing there as well; they are counted.

    Parameters
    ----------
    grouped
        The samples and their groups.
    ontology
        Names the types that the burden does not count.
    seed
        Of drawn permutations.

    Raises
    ------
    InputError
        If there are fewer than two groups or more than `MAX_GROUPS`, or groups cannot be told from studies.
    """
    check_groups(grouped)
    rows: list[dict[str, Any]] = []
    for denominator, part in grouped.samples[grouped.samples["group"] != ""].groupby("burden_denominator", sort=True):
        rows += [row | {"denominator": denominator} for row in _of_stratum(part, grouped, ontology, seed)]
    if not rows:
        return no_comparison()
    table = pd.DataFrame(rows, columns=[column.name for column in COMPARISON_COLUMNS])
    family = [table[name] for name in ("denominator", "measure", "test")]
    table["q_value"] = table["p_value"].astype(np.float64).groupby(family, group_keys=False).transform(_adjusted)
    check_columns(table, COMPARISON_COLUMNS)
    return table.astype({column.name: column.dtype for column in COMPARISON_COLUMNS})


def with_samples(grouped: Grouped, samples: pd.DataFrame) -> Grouped:
    """Return the same groups of samples.csv, in whose order they stand."""
    about = grouped.samples[["sample_id", "group", "donor", "study"]]
    return replace(grouped, samples=samples.merge(about, on="sample_id", how="left", validate="one_to_one"))


def check_groups(grouped: Grouped) -> None:
    """Refuse groups of which none can be compared, before anything is computed of the samples.

    Raises
    ------
    InputError
        If there are fewer than two groups or more than `MAX_GROUPS`, or groups cannot be told from studies.
    """
    if not 2 <= len(grouped.groups) <= MAX_GROUPS:
        raise InputError(
            f"a comparison takes 2 to {MAX_GROUPS} groups",
            got=f"{len(grouped.groups)}",
            where="the column that samples are compared by",
            fix="Name another column (--by), or fill it.",
        )
    make_units(grouped.samples, grouped.groups, [])


def no_comparison() -> pd.DataFrame:
    """Return comparison.csv without rows."""
    return pd.DataFrame({column.name: pd.Series(dtype=column.dtype) for column in COMPARISON_COLUMNS})


def group_rows(grouped: Grouped) -> pd.DataFrame:
    """Return one row per denominator and group: samples, units, median and range of the burden over units.

    Returns
    -------
    DataFrame
        `denominator`, `group`, `n_samples`, `n_units`, `median`, `lowest`, `highest` (percent; NaN without units),
        `n_not_assessable`, `n_low_confidence`.
    """
    rows = []
    known = grouped.samples[grouped.samples["group"] != ""]
    for denominator, part in known.groupby("burden_denominator", sort=True):
        for group in grouped.groups:
            here = part[part["group"] == group]
            used = _usable(here)
            burden = make_units(used, [group], ["burden_percent"]).table["burden_percent"] if len(used) else None
            ends = (burden.median(), burden.min(), burden.max()) if burden is not None else (np.nan,) * 3
            rows.append(
                {
                    "denominator": denominator,
                    "group": group,
                    "n_samples": len(here),
                    "n_units": 0 if burden is None else len(burden),
                    **dict(zip(("median", "lowest", "highest"), ends, strict=True)),
                    **_counts(here),
                }
            )
    return pd.DataFrame(rows)


def masking_warning(groups: Sequence[str]) -> str:
    """Return a warning where groups are named after a depleting antibody; else "".

    The antibody covers Ly6G, and neutrophils that come after it carry less of it (Boivin et al. 2020, doi
    10.1038/s41467-020-16596-9), so that sorting and flow cytometry miss them; their transcripts are still there.
    """
    named = [group for group in groups if _DEPLETION.search(group)]
    if not named:
        return ""
    return (
        f"{', '.join(named)}: a depleting antibody hides Ly6G on the neutrophils that it leaves, so that a gate on "
        "Ly6G or Gr-1 misses them: of samples sorted by such a gate the burden is too low in this arm"
    )


def _of_stratum(samples: pd.DataFrame, grouped: Grouped, ontology: CellOntology, seed: int) -> list[dict[str, Any]]:
    """Return the rows of samples of one denominator."""
    used = _usable(samples)
    ratios = log_ratios(used, ontology)
    used = pd.concat([used, ratios.add_prefix(f"{COMPOSITION} ")], axis=1)
    measures = {(BURDEN, ""): "burden_percent"}
    measures |= {(COMPOSITION, str(name)): f"{COMPOSITION} {name}" for name in ratios}
    there = [group for group in grouped.groups if (used["group"] == group).any()]
    rows: list[dict[str, Any]] = []
    if grouped.is_ordered and len(there) > 1:
        units = make_units(used, there, list(measures.values()))
        about = {"group_a": there[0], "group_b": there[-1], **_counts(samples)} | {
            "test": TREND,
            "unit": _unit(grouped),
        }
        rows += [about | row for row in _trend(units, measures, there, seed)]
    for pair in combinations(there, 2):
        shown = {key: name for key, name in measures.items() if key[0] == BURDEN or not grouped.is_ordered}
        units = make_units(used, pair, list(shown.values()))
        about = _about(samples, pair) | {"test": CONTRAST, "unit": _unit(grouped)}
        rows += [about | row for row in _contrast(units, shown, pair, seed)]
    return rows


def _usable(samples: pd.DataFrame) -> pd.DataFrame:
    readable = (samples["assessability"] != NOT_ASSESSABLE) & samples["burden_percent"].notna()
    return samples[readable].reset_index(drop=True)


def _unit(grouped: Grouped) -> str:
    return "donor" if grouped.has_donors else "sample"


def _counts(samples: pd.DataFrame) -> dict[str, int]:
    is_low = samples["assessability"] == LOW_CONFIDENCE
    return {"n_not_assessable": len(samples) - len(_usable(samples)), "n_low_confidence": int(is_low.sum())}


def _about(samples: pd.DataFrame, groups: Sequence[str]) -> dict[str, Any]:
    counts = _counts(samples[samples["group"].isin(groups)])
    return {"group_a": groups[0], "group_b": groups[-1], **counts}


def _sizes(units: Units, groups: Sequence[str]) -> dict[str, Any]:
    of_group = units.table["group"].value_counts()
    return {
        "design": units.design,
        "n_units": len(units.table),
        "n_a": int(of_group.get(groups[0], 0)),
        "n_b": int(of_group.get(groups[-1], 0)),
    }


def _trend(units: Units, measures: Measures, groups: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """Return the tests of a rise over ordered groups, and slopes per stage where units stand in one block."""
    values = units.table[list(measures.values())].to_numpy(dtype=np.float64)
    level = _int64(units.table["group"].map({name: code for code, name in enumerate(groups)}))
    block = _int64(units.table["block"])
    tests, note = rank_tests(values, level, block, seed=seed), units.note
    if len(level) > MAX_SLOPE_UNITS:
        note = "; ".join(filter(None, (note, f"no slope over more than {MAX_SLOPE_UNITS} units")))
    slopes = [_slope(value, level, block) for value in values.T]
    return [
        _sizes(units, groups) | _found(measure, test, slope, note)
        for measure, test, slope in zip(measures, tests, slopes, strict=True)
    ]


def _slope(value: Floats, level: npt.NDArray[np.int64], block: npt.NDArray[np.int64]) -> tuple[float, float, float]:
    """Return Theil and Sen's slope per level with its 95 % interval (Sen 1968, doi 10.1080/01621459.1968.10480934).

    The median slope of pairs of units; of several blocks over pairs within them, and without an interval.
    """
    if len(level) > MAX_SLOPE_UNITS or len(level) <= len(np.unique(level)):
        return np.nan, np.nan, np.nan
    if len(np.unique(block)) == 1:
        fit = stats.theilslopes(value, level, alpha=0.95)
        return float(fit.slope), float(fit.low_slope), float(fit.high_slope)
    first, second = np.triu_indices(len(level), 1)
    paired = (block[first] == block[second]) & (level[first] != level[second])
    first, second = first[paired], second[paired]
    slopes = (value[second] - value[first]) / (level[second] - level[first])
    return (float(np.median(slopes)) if len(slopes) else np.nan), np.nan, np.nan


def _contrast(units: Units, measures: Measures, groups: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """Return the tests of two groups, and how far they lie apart."""
    values = units.table[list(measures.values())].to_numpy(dtype=np.float64)
    is_second = (units.table["group"] == groups[1]).to_numpy()
    block = _int64(units.table["block"])
    if units.design == WITHIN_DONORS:
        order = np.argsort(block, kind="stable")
        first, second = order[~is_second[order]], order[is_second[order]]  # one of each donor, in one order
        tests = [_signed_rank(value[second] - value[first]) for value in values.T]
        shifts = [shift_within(value[second] - value[first]) for value in values.T]
    else:
        tests = rank_tests(values, is_second.astype(np.int64), block, seed=seed)
        shifts = [shift_between(value, is_second, block) for value in values.T]
    if min(is_second.sum(), (~is_second).sum()) < MIN_UNITS:
        tests = [test._replace(p_value=np.nan, how="one unit in a group: no test") for test in tests]
    return [
        _sizes(units, groups) | _found(measure, test, shift, units.note)
        for measure, test, shift in zip(measures, tests, shifts, strict=True)
    ]


def _signed_rank(difference: Floats) -> RankTest:
    """Return Wilcoxon's signed-rank test of paired differences; the effect is the rank-biserial correlation."""
    moved = difference[difference != 0]
    if not len(moved):
        return RankTest(0.0, 0.0, 1.0, "exact")
    ranks = stats.rankdata(np.abs(moved)) * np.sign(moved)
    found = stats.wilcoxon(moved, method="auto")
    return RankTest(float(ranks.sum()), float(ranks.sum() / np.abs(ranks).sum()), float(found.pvalue), "signed ranks")


def _found(measure: tuple[str, str], test: RankTest, estimate: tuple[float, float, float], note: str) -> dict[str, Any]:
    names = ("measure", "cell_type", "estimate", "low", "high")
    about = {"effect": test.effect, "p_value": test.p_value, "note": "; ".join(filter(None, (test.how, note)))}
    return dict(zip(names, (*measure, *estimate), strict=True)) | about


def _int64(column: pd.Series) -> npt.NDArray[np.int64]:
    return np.asarray(column, dtype=np.int64)


def _adjusted(p_values: pd.Series) -> pd.Series:
    """Return p-values after Benjamini and Hochberg (1995); blanks stay."""
    known = p_values.notna()
    adjusted = p_values.copy()
    if known.any():
        adjusted[known] = stats.false_discovery_control(p_values[known].to_numpy(dtype=np.float64))
    return adjusted
