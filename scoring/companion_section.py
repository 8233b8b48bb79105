"""What the report says beside the burden: one row of texts per sample."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from scoring.wording import percent_text


def companion_rows(companions: pd.DataFrame | None, samples: pd.DataFrame) -> list[dict[str, str]]:
    """Return the companions as texts, an en dash where something is blank.

    Parameters
    ----------
    companions
        As companions.csv; None leaves them out.
    samples
        As samples.csv, in the order of the report.
    """
    if companions is None:
        return []
    by_sample = {str(row["sample_id"]): row for row in companions.to_dict("records")}
    return [_texts(by_sample[name]) for name in samples["sample_id"].astype(str) if name in by_sample]


def _texts(row: Mapping[Hashable, Any]) -> dict[str, str]:
    value = {str(name): float(cell) for name, cell in row.items() if not isinstance(cell, str)}
    return {
        "name": str(row["sample_id"]),
        "pro_tumor": _with_interval(value, "pro_tumor_percent", "pro_tumor"),
        "weighted": percent_text(value["weighted_burden_percent"]),
        "polarity": _signed(value["polarity"]),
        "ratio": _with_interval(value, "neutrophil_lymphocyte_ratio", "neutrophil_lymphocyte"),
        "doublets": _doublets(value),
        "doublet_ratio": _doublet_ratio(value),
        "endothelial": percent_text(value["endothelial_percent"]),
        "tip": _with_interval(value, "tip_percent", "tip"),
        "angiogenic": _number(value["score_angiogenic"]),
        "niche": _number(value["niche_index"]),
        "notes": str(row["companion_notes"]),
    }


def _with_interval(value: dict[str, float], estimate: str, ends: str) -> str:
    if math.isnan(value[estimate]):
        return "–"
    low, high = (percent_text(value[f"{ends}_{end}"]) for end in ("low", "high"))
    return f"{percent_text(value[estimate])} ({low}–{high})"


def _doublets(value: dict[str, float]) -> str:
    """Return doublets found and those by chance."""
    if math.isnan(value["n_neutrophil_malignant"]):
        return "–"
    return (
        f"{percent_text(value['n_neutrophil_malignant'])} / {percent_text(value['n_neutrophil_malignant_by_chance'])}"
    )


def _doublet_ratio(value: dict[str, float]) -> str:
    """Return the log2 ratio with its interval; nothing where there are too few doublets."""
    if math.isnan(value["doublet_log2_ratio"]):
        return ""
    ratio, low, high = (_signed(value[f"doublet_log2_{end}"]) for end in ("ratio", "low", "high"))
    return f"{ratio} ({low} to {high})"


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.2f}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"
