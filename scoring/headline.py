"""The first sentences of the report: what was found, in numbers that may be quoted."""

from __future__ import annotations

import pandas as pd

from schema.predictions import BELOW_LIMIT, NBS, NOT_ASSESSABLE
from schema.stages import StageScale
from scoring.wording import burden_text, percent_text


def burden_headline(samples: pd.DataFrame) -> str:
    """Return one sentence on the burden of all samples.

    Parameters
    ----------
    samples
        As samples.csv.
    """
    readable = samples[samples["assessability"] != NOT_ASSESSABLE]
    if readable.empty:
        return (
            "Neutrophil burden could not be assessed in any sample. This does not mean that there are no neutrophils."
        )
    return " ".join(_of_name(name, of_name, samples) for name, of_name in readable.groupby("burden_name", sort=False))


def _of_name(name: object, readable: pd.DataFrame, samples: pd.DataFrame) -> str:
    """Return the sentence on samples whose burden has one name: percentages of different cells are never pooled."""
    what = "Neutrophil burden" if name == NBS else f"Neutrophil burden among CD45+ cells ({name})"
    if len(samples) == 1:
        low, high = (percent_text(float(readable[c].iloc[0])) for c in ("burden_low", "burden_high"))
        return f"{what} is {burden_text(readable.iloc[0])} (95 % interval {low} to {high} %)."
    ordered = readable.sort_values("burden_percent", kind="stable")
    median = percent_text(float(readable["burden_percent"].median()))
    below = int((readable["detection"] == BELOW_LIMIT).sum())
    return (
        f"{what} could be assessed in {len(readable)} of {(samples['burden_name'] == name).sum()} samples and ranges "
        f"from {burden_text(ordered.iloc[0])} to {burden_text(ordered.iloc[-1])} (median {median} %)"
        + (f"; {below} below the limit of detection." if below else ".")
    )


def stage_headline(samples: pd.DataFrame, scale: StageScale) -> str:
    """Return one sentence on the predicted stages, lowest first."""
    counts = samples["predicted_tumor_stage"].value_counts()
    found = [f"{level.name} ({counts[level.name]})" for level in scale.levels if level.name in counts]
    if not found:
        return "No stage was predicted."
    if len(samples) == 1:
        return f"Predicted stage: {samples['predicted_tumor_stage'].iloc[0]}."
    return f"Predicted stages, with number of samples: {', '.join(found)}."
