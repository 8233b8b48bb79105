"""What is counted when samples are compared: donors, once in a group; never cells, nor samples of one donor twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from schema.errors import InputError

BETWEEN, WITHIN_DONORS, WITHIN_STUDIES = "between donors", "within donors", "within studies"
"""Designs: units of one group against others, donors against themselves, or units of one study with each other."""

NO_DONOR = frozenset({"", "unknown", "pooled", "nan", "na", "none"})
"""Donor values that name no one donor: each such sample is a unit of its own."""


class Units(NamedTuple):
    """Units of a comparison.

    Attributes
    ----------
    table
        One row per unit: `group`, `block` (int64; units change places within one), and the mean of each measure over
        the samples of a donor in the group.
    design
        BETWEEN, WITHIN_DONORS or WITHIN_STUDIES.
    note
        What was left out, as words; else "".
    """

    table: pd.DataFrame
    design: str
    note: str


def make_units(samples: pd.DataFrame, groups: Sequence[str], measures: Sequence[str]) -> Units:
    """Return the units of a comparison of groups.

    Samples of one donor in one group are averaged. Where at least half of the donors have samples in several groups,
    donors are compared with themselves, and those in one group only are left out; else those in several are, because
    they would count twice. Of several studies, units are compared within each.

    Parameters
    ----------
    samples
        Columns `sample_id`, `group`, `donor`, `study` (text; blank where not known) and the measures (float64, finite).
    groups
        Groups that are compared; samples of others are passed over.
    measures
        Columns that are averaged.

    Raises
    ------
    InputError
        If there are several studies, each with a single one of the groups.
    """
    here = samples[samples["group"].isin(groups)]
    donor = here["donor"].where(~here["donor"].str.casefold().isin(NO_DONOR), "\0" + here["sample_id"])
    here = here.assign(donor=donor + "\0" + here["study"])  # two studies may both have a "mouse 1"
    keys = ["donor", "group", "study"]
    units = here[[*keys, *measures]].groupby(keys, as_index=False, sort=True).mean()
    n_groups = units.groupby("donor")["group"].transform("size")
    n_donors, n_several = units["donor"].nunique(), units.loc[n_groups > 1, "donor"].nunique()
    if n_several and 2 * n_several >= n_donors:
        table = units[n_groups > 1]
        left_out, what = n_donors - n_several, "donor(s) in one group only"
        design, block = WITHIN_DONORS, table["donor"]
    else:
        table = units[n_groups == 1]
        left_out, what = n_several, "donor(s) in several groups"
        _refuse_nested(table)
        design = WITHIN_STUDIES if table["study"].nunique() > 1 else BETWEEN
        block = table["study"]
    codes = pd.factorize(block, sort=True)[0].astype(np.int64)
    table = table.assign(block=codes)[["group", "block", *measures]].reset_index(drop=True)
    return Units(table, design, f"{left_out} {what} left out" if left_out else "")


def _refuse_nested(units: pd.DataFrame) -> None:
    by_study = units.groupby("study")["group"].nunique()
    if len(by_study) > 1 and units["group"].nunique() > 1 and (by_study == 1).all():
        raise InputError(
            "groups must differ within a study, or a difference between studies looks like one between groups",
            got=f"{len(by_study)} studies with one group each",
            where="the study column",
            fix="Compare samples of one study, or of studies that have several of the groups.",
        )
