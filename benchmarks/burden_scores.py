"""How far estimates are from known shares: agreement, bias and coverage by band, with donors resampled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.demo import concordance

BAND_EDGES, BAND_NAMES = (-1.0, 0.0, 1.0, 5.0, 20.0, 60.0), ("none", "to 1", "1-5", "5-20", "20-60")
"""Bands of the true share, percent."""
JUDGED = {"0-1": ("none", "to 1"), "1-5": ("1-5",), "5-20": ("5-20",), "20-60": ("20-60",)}
"""Bands in which coverage is judged. At 0 an interval can miss on one side only: judged with shares up to 1 %."""
N_DRAWS = 1000

Doubles = npt.NDArray[np.float64]


def band_of(true_percent: pd.Series) -> pd.Series:
    """Return the band of each true share."""
    return pd.cut(true_percent, list(BAND_EDGES), labels=list(BAND_NAMES)).astype(str)


def agreement(table: pd.DataFrame, method: str) -> dict[str, Any]:
    """Return concordance, slope, mean absolute error, and bias by band of a method, each with a 95 % interval."""
    known = table[table[method].notna()]
    statistics: dict[str, Callable[[pd.DataFrame], float]] = {
        "concordance": lambda t: concordance(t["true_percent"].to_numpy(), t[method].to_numpy()),
        "slope": lambda t: float(np.polyfit(t["true_percent"], t[method], 1)[0]),
        "error": lambda t: float((t[method] - t["true_percent"]).abs().mean()),
    }
    found: dict[str, Any] = {name: with_interval(known, of) for name, of in statistics.items()}
    bias = (known[method] - known["true_percent"]).groupby(known["band"]).mean()
    return found | {"n": len(known), "bias": {name: float(bias[name]) for name in BAND_NAMES if name in bias}}


def coverage(table: pd.DataFrame, method: str) -> dict[str, Any]:
    """Return by band how many intervals hold the truth, with a 95 % interval, how many lie beside it, and width."""
    low, high, true = (table[name] for name in (f"{method}_low", f"{method}_high", "true_percent"))
    scored = table.assign(covered=(low <= true) & (true <= high), below=high < true, above=low > true, width=high - low)
    scored = scored[low.notna()]
    bands = JUDGED | {name: (name,) for name in BAND_NAMES[:2]}
    found = {}
    for name, parts in bands.items():
        part = scored[scored["band"].isin(parts)]
        if len(part):
            shares = {one: float(part[one].mean()) for one in ("below", "above")}
            inside = with_interval(part, lambda t: float(t["covered"].mean()))
            found[name] = {"covered": inside, **shares, "width": float(part["width"].median()), "n": len(part)}
    return found


def neutrophil_free(table: pd.DataFrame, method: str) -> dict[str, float]:
    """Return what is said of mixtures without neutrophils: median, 97.5th percentile, share below the stated limit."""
    free = table[(table["true_percent"] == 0) & table[method].notna()]
    return {
        "n": len(free),
        "median": float(free[method].median()),
        "p97_5": float(free[method].quantile(0.975)),
        "limit": float(free["lod_percent"].median()),
        "below_limit": float((free[method] < free["lod_percent"]).mean()),
    }


def with_interval(table: pd.DataFrame, statistic: Callable[[pd.DataFrame], float]) -> Mapping[str, float]:
    """Return a statistic with its 95 % interval over resampled donors, each with all of its mixtures."""
    donors = [part for _, part in table.groupby("donor", sort=True)]
    rng = np.random.default_rng(0)
    picks = rng.integers(len(donors), size=(N_DRAWS if len(donors) > 1 else 1, len(donors)))
    drawn = [statistic(pd.concat([donors[i] for i in pick])) for pick in picks]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {"value": statistic(table), "low": float(low), "high": float(high)}
