"""The first sentences of the report: what was found, in numbers that may be quoted."""

from __future__ import annotations

import pandas as pd

from schema.predictions import NOT_ASSESSABLE, STAGE_BESIDE_BURDEN
from schema.stages import StageScale
from scoring.wording import percent_text


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
    burden = readable["burden_percent"]
    if len(samples) == 1:
        low, high = (percent_text(float(readable[c].iloc[0])) for c in ("burden_low", "burden_high"))
        return f"Neutrophil burden is {percent_text(float(burden.iloc[0]))} % (95 % interval {low} to {high} %)."
    return (
        f"Neutrophil burden could be assessed in {len(readable)} of {len(samples)} samples and ranges from "
        f"{percent_text(float(burden.min()))} to {percent_text(float(burden.max()))} % "
        f"(median {percent_text(float(burden.median()))} %)."
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
