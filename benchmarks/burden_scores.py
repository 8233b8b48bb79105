"""How far estimates are from known shares: agreement, bias and coverage by band, with donors resampled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
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
Integers = npt.NDArray[np.int64]
Statistic = Callable[[Integers], float]
"""Of some rows of a table."""


def band_of(true_percent: pd.Series) -> pd.Series:
    """Return the band of each true share."""
    return pd.cut(true_percent, list(BAND_EDGES), labels=list(BAND_NAMES)).astype(str)


def agreement(table: pd.DataFrame, method: str) -> dict[str, Any]:
    """Return concordance, slope, mean absolute error, and bias by band of a method, each with a 95 % interval."""
    known = table[table[method].notna()]
    true, said = (known[name].to_numpy(np.float64) for name in ("true_percent", method))
    statistics: dict[str, Statistic] = {
        "concordance": lambda rows: _concordance(true[rows], said[rows]),
        "slope": lambda rows: _slope(true[rows], said[rows]),
        "error": lambda rows: float(np.abs(said[rows] - true[rows]).mean()),
    }
    found: dict[str, Any] = {name: with_interval(known["donor"], of) for name, of in statistics.items()}
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
            covered = part["covered"].to_numpy(np.float64)
            inside = with_interval(part["donor"], partial(_mean, covered))
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


def with_interval(donor: pd.Series, statistic: Statistic) -> Mapping[str, float]:
    """Return a statistic of all rows with its 95 % interval over resampled donors, each with all of its rows."""
    codes, _ = pd.factorize(donor)
    rows = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    rng = np.random.default_rng(0)
    picks = rng.integers(len(rows), size=(N_DRAWS if len(rows) > 1 else 1, len(rows)))
    drawn = [statistic(np.concatenate([rows[i] for i in pick])) for pick in picks]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {"value": statistic(np.arange(len(codes))), "low": float(low), "high": float(high)}


def _mean(values: Doubles, rows: Integers) -> float:
    return float(values[rows].mean())


def _slope(true: Doubles, said: Doubles) -> float:
    """Return the slope of the least-squares line; NaN where all true values are one."""
    spread = true - true.mean()
    total = float(spread @ spread)
    return float(spread @ said) / total if total > 0 else float("nan")


def _concordance(true: Doubles, said: Doubles) -> float:
    return concordance(true, said) if np.ptp(true) > 0 else float("nan")
