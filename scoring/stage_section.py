"""What the report says of stages beside the picture: which heads competed, how they were judged, and what spoke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from schema.predictions import ATTENTION_SHARE, LOG_ODDS, STAGE_OUTPUTS
from scoring.stages import SUFFIXES
from scoring.wording import percent_text

N_TYPES = 3
"""Types that are named on either side."""
MOST_SAMPLES = 300
"""Samples of which the report says what spoke; the files have all."""


def head_rows(checks: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, str]]:
    """Return how heads and probes did on held-out donors, as texts, the chosen heads marked.

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


def verdict_sentences(support: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what the guards said of each output.

    Parameters
    ----------
    support
        Of the bundle, by output: the fields of its support.
    """
    sentences = []
    for output, of in support.items():
        verdict = f"no stage is said: {of['reason']}" if of["reason"] else "a stage is said"
        chance = f"Kappa {of['kappa']:.2f}, against chance p = {of['p_value']:.2g}"
        near = f"; {of['probe']} alone: kappa {of['probe_kappa']:.2f}, p of the lead over it = {of['probe_p']:.2g}"
        sentences.append(f"{output.capitalize()}: {verdict}. {chance}{near if of['probe'] else ''}.")
    return sentences


def note_rows(samples: pd.DataFrame) -> list[tuple[str, str, list[str]]]:
    """Return why nothing is said of the stage, by output, with the samples of which that holds.

    Parameters
    ----------
    samples
        As samples.csv, with empty texts in place of blanks.
    """
    return [
        (output, str(note), part["sample_id"].tolist())
        for output, suffix in SUFFIXES.items()
        for note, part in samples.groupby(f"tumor_stage_note{suffix}", sort=False)
        if note
    ]


def driver_rows(
    types: pd.DataFrame | None, cells: pd.DataFrame | None, sample_ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what speaks most for a later and for an earlier stage, as texts, by sample and output.

    Parameters
    ----------
    types, cells
        stage_types.csv and stage_cells.csv as tables; None or no rows where nothing was said.
    sample_ids
        Samples, in the order of the report.
    """
    if types is None or types.empty:
        return []
    known = set(types["sample_id"])
    sample_ids = [name for name in sample_ids if name in known][:MOST_SAMPLES]
    types = types[types["sample_id"].isin(sample_ids)]
    no_cells = types.head(0)
    of_types = dict(list(types.groupby(["sample_id", "sees"], sort=False)))
    cells = no_cells if cells is None else cells[cells["sample_id"].isin(sample_ids)]
    of_cells = dict(list(cells.groupby(["sample_id", "sees"], sort=False)))
    return [
        {
            "name": name,
            "sees": output,
            **_named_types(of_types[name, output]),
            "cells": [_named_cell(row) for row in of_cells.get((name, output), no_cells).to_dict("records")],
        }
        for name in sample_ids
        for output in STAGE_OUTPUTS
        if (name, output) in of_types
    ]


def _named_types(types: pd.DataFrame) -> dict[str, list[str]]:
    """Return the types that speak most, by the way in which they do, each with its share of the cells."""
    ordered = types.sort_values("weight", ascending=False, kind="stable")
    odds, attention = (ordered[ordered["kind"] == kind] for kind in (LOG_ODDS, ATTENTION_SHARE))
    return {
        "later": _named(odds[odds["weight"] > 0]),
        "earlier": _named(odds[odds["weight"] < 0][::-1]),
        "attention": _named(attention),
    }


def _named(types: pd.DataFrame) -> list[str]:
    return [
        f"{row['cell_type']} {_weight(row['weight'], row['kind'])} ({percent_text(100 * row['cell_share'])} %)"
        for row in types.head(N_TYPES).to_dict("records")
    ]


def _named_cell(row: Mapping[Any, Any]) -> str:
    weight, mean = (_weight(row[of], row["kind"]) for of in ("weight", "mean_weight"))
    return f"row {row['row']}, {row['cell_type']}: {weight} (mean {mean})"  # no barcode in a page that is sent around


def _weight(value: float, kind: str) -> str:
    return f"{percent_text(100 * value)} %" if kind == ATTENTION_SHARE else f"{value:+.2f}"
