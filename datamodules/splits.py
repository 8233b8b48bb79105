"""Donors to splits: train, val and test never share a donor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from schema.errors import InputError, UsageError
from schema.names import nearest_names, normalise_name

SPLITS = ("train", "val", "test")
_NOT_ONE_DONOR = frozenset({"unknown", "pooled", "pool", "mixed", "multiple", "nan", "na", ""})


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """Which donors train, which calibrate and choose, which are never looked at."""

    val_donors: str | tuple[str, ...] = ()
    """Donors for validation and calibration by name; empty = drawn, see val_share."""
    test_donors: str | tuple[str, ...] = ()
    """Donors set aside and never read in training, by name."""
    val_share: float = 0.25
    """Share of the other donors drawn for validation, alike over studies and stages; 0 to below 1."""

    def __post_init__(self) -> None:
        """Check ranges, and that no donor stands on both sides."""
        both = sorted(set(as_names(self.val_donors)) & set(as_names(self.test_donors)))
        if both:
            raise UsageError(
                "a donor stands on one side of the split",
                got=f"{', '.join(both)} in val_donors and in test_donors",
                where="split",
                fix="Name each donor once.",
            )
        if not 0 <= self.val_share < 1:
            raise UsageError("val_share is a share", got=str(self.val_share), where="split", fix="Use 0 to below 1.")


def as_names(value: str | Sequence[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple, as options give either."""
    return (value,) if isinstance(value, str) else tuple(value)


def split_donors(strata: Mapping[str, str], config: SplitConfig, seed: int) -> dict[str, str]:
    """Return the split of each donor.

    Parameters
    ----------
    strata
        Donor to stratum (study and stage); validation donors are drawn alike from all strata.
    config
        Named donors and shares.
    seed
        Seed of the draw.

    Raises
    ------
    InputError
        If a named donor is not in the data, or nothing is left to train on.
    """
    val_donors, test_donors = as_names(config.val_donors), as_names(config.test_donors)
    for name in (*val_donors, *test_donors):
        if name not in strata:
            near = nearest_names(name, strata)
            raise InputError(
                "donors of the split must be in the data",
                got=f"{name!r}" + (f" (nearest: {', '.join(near)})" if near else ""),
                where="split",
                fix="Use donor names as they stand in the donor column.",
            )
    split = dict.fromkeys(test_donors, "test") | dict.fromkeys(val_donors, "val")
    rest = [donor for donor in sorted(strata) if donor not in split]
    drawn = set() if val_donors else _draw(rest, strata, config.val_share, seed)
    split |= {donor: "val" if donor in drawn else "train" for donor in rest}
    if "train" not in split.values():
        raise InputError(
            "at least one donor must be left to train on",
            got=f"{len(split)} donors, all held out",
            where="split",
            fix="Name fewer donors in the split.",
        )
    return split


def _draw(donors: Sequence[str], strata: Mapping[str, str], share: float, seed: int) -> set[str]:
    """Draw about `share` of the donors, going round the strata so that each gives its part."""
    rng = np.random.default_rng(seed)
    candidates = [donor for donor in donors if normalise_name(donor) not in _NOT_ONE_DONOR]
    n_drawn = min(round(share * len(candidates)), max(0, len(donors) - 1))
    if share > 0 and len(candidates) > 1:
        n_drawn = max(1, n_drawn)
    position: dict[str, int] = {}
    keys = []
    for donor in rng.permutation(np.array(candidates, dtype=object)).tolist():
        stratum = strata[donor]
        position[stratum] = position.get(stratum, 0) + 1
        keys.append((position[stratum], rng.random(), donor))
    return {donor for _, _, donor in sorted(keys)[:n_drawn]}
