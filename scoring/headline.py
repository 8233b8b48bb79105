"""The first sentences of the report: what was found, in numbers that may be quoted."""

from __future__ import annotations

import pandas as pd

from schema.predictions import BELOW_LIMIT, NBS, NOT_ASSESSABLE, STAGE_BESIDE_BURDEN
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
    """Return one sentence on the predicted stages, lowest first; without neutrophils where that is all there is."""
    from_all = _stages(samples["predicted_tumor_stage"], scale)
    without = _stages(samples[STAGE_BESIDE_BURDEN], scale, " without neutrophils")
    return from_all or (f"{without} None was predicted from all cells." if without else "No stage was predicted.")


def _stages(predicted: pd.Series, scale: StageScale, seen: str = "") -> str:
    """Return a sentence on predicted levels; "" where there are none."""
    counts = predicted.value_counts()
    found = [level.name for level in scale.levels if level.name in counts]
    if len(predicted) == 1 and found:
        return f"Predicted stage{seen}: {found[0]}."
    listed = ", ".join(f"{name} ({counts[name]})" for name in found)
    return f"Predicted stages{seen}, with number of samples: {listed}." if found else ""
