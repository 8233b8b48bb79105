"""What the report says of stages beside the picture: which heads competed, and what speaks for each sample's stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from scoring.wording import percent_text

N_TYPES = 3
"""Types that are named on either side."""


def head_rows(checks: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, str]]:
    """Return how heads and probes did on held-out donors, as texts, the chosen head marked.

    Parameters
    ----------
    checks
        Of the bundle: rows "stage".
    """
    return [
        {
            "output": "nothing of biology" if row["output"] == "probe" else str(row["output"]),
            "head": f"{row['head']}{' (chosen)' if row['chosen'] else ''}",
            "kappa": f"{row['quadratic_kappa']:.2f}",
            "mae": f"{row['mae']:.2f}",
            "rps": f"{row['rps']:.3f}",
        }
        for row in checks.get("stage", ())
    ]


def driver_rows(stage_types: pd.DataFrame | None, sample_ids: Sequence[str]) -> list[dict[str, str]]:
    """Return the types that speak most for a later and for an earlier stage, or get most attention, by sample.

    Parameters
    ----------
    stage_types
        stage_types.csv as a table; None or no rows where nothing was said.
    sample_ids
        Samples, in the order of the report.
    """
    if stage_types is None or stage_types.empty:
        return []
    by_sample = dict(list(stage_types.groupby("sample_id", sort=False)))
    rows = []
    for name in sample_ids:
        if name in by_sample:
            ordered = by_sample[name].sort_values("weight", ascending=False, kind="stable")
            later = ordered[ordered["weight"] > 0].head(N_TYPES)
            earlier = ordered[ordered["weight"] < 0][::-1].head(N_TYPES)
            rows.append({"name": name, "later": _named(later), "earlier": _named(earlier)})
    return rows


def _named(types: pd.DataFrame) -> str:
    """Return types with what they say and their share of the cells."""
    return ", ".join(
        f"{row['cell_type']} {row['weight']:+.2f} ({percent_text(100 * row['cell_share'])} %)"
        for row in types.to_dict("records")
    )
