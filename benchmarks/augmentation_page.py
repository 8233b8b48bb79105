"""The page of the augmentation's ablation in Markdown, from the rows as measured."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.augmentation_cost import ratio
from benchmarks.augmentation_scores import UMI_BINS
from benchmarks.augmentation_sets import STUDIES, VARIANTS
from benchmarks.markdown import table

Row = Mapping[str, Any]

PAGE = Path(__file__).with_name("augmentation_page.md")
QUICK = "**A quick run on a small cohort, to see that it works; no figure here can be quoted.**\n"
NONE = "none"
COLUMNS = ("types", "states", "neutrophil", "ambient", "neutrophil x malignant", "other doublet", "ece")


def shown(rows: Sequence[Row], setting: str, study: str, variant: str, name: str) -> str:
    """Return a score as mean over seeds, lowest and highest in brackets; a dash where there is none."""
    keys = (setting, study, variant)
    got = [row[name] for row in rows if (row["setting"], row["study"], row["variant"]) == keys]
    got = [value for value in got if not math.isnan(value)]
    if not got:
        return "-"
    return f"{mean(got):.3f}" + (f" ({min(got):.3f}-{max(got):.3f})" if len(got) > 1 else "")


def score_table(rows: Sequence[Row], study: str) -> str:
    """Return all scores of a study's cells as they are, by setting."""
    variant = next(iter(VARIANTS))
    body = [[name, *(shown(rows, name, study, variant, column) for column in COLUMNS)] for name in settings(rows)]
    return table(["augmentation", *COLUMNS[:-1], "ECE"], body)


def depth_table(rows: Sequence[Row]) -> str:
    """Return the F1 of neutrophils by UMI in both studies, cells as they are."""
    variant = next(iter(VARIANTS))
    edges = [f"{low}-{high}" for low, high in itertools.pairwise(UMI_BINS)] + [f">{UMI_BINS[-1]}"]
    cells = {row["study"]: row for row in rows if row["variant"] == variant}
    header = [
        f"{study}, {edge} UMI (n = {cells[study][f'n {low}']:.0f})"
        for study in STUDIES
        for edge, low in zip(edges, UMI_BINS, strict=True)
    ]
    body = [
        [name, *(shown(rows, name, study, variant, f"neutrophil {low}") for study in STUDIES for low in UMI_BINS)]
        for name in settings(rows)
    ]
    return table(["augmentation", *header], body)


def hard_table(rows: Sequence[Row], score: str) -> str:
    """Return one score of the harder cells of both studies, by setting."""
    places = [(study, variant) for study in STUDIES for variant in VARIANTS]
    body = [[name, *(shown(rows, name, *place, score) for place in places)] for name in settings(rows)]
    return table(["augmentation", *(f"{study}, {variant}" for study, variant in places)], body)


def settings_table(results: Mapping[str, Any]) -> str:
    """Return what each setting switches on, and the time of a step over that without."""
    body = []
    for name, config in results["settings"].items():
        options = [f"`{key}` {value:g}" for key, value in config.items() if key.endswith("_share") and value]
        options = [option for option in options if "contact" not in option]
        cost = f"{ratio(results['step_seconds'], name, NONE):.2f}"
        body.append([name, ", ".join(options) or "-", cost])
    return table(["augmentation", "share of cells", "step time / none"], body)


def settings(rows: Sequence[Row]) -> list[str]:
    """Return the names of the settings in the order in which they ran."""
    return list(dict.fromkeys(row["setting"] for row in rows))


def page(results: Mapping[str, Any]) -> str:
    """Return the page; see `benchmarks.augmentation.main` for what results hold."""
    rows = results["rows"]
    names = ("command", "date", "commit", "hardware", "n_epochs", "n_hidden", "batch_size")
    return PAGE.read_text(encoding="utf-8").format(
        **{name: results[name] for name in names},
        quick=QUICK if results["quick"] else "",
        cohort=", ".join(f"`{name}` {value:,}" for name, value in results["cohort"].items()),
        seeds=", ".join(str(seed) for seed in results["seeds"]),
        settings_table=settings_table(results),
        known_table=score_table(rows, STUDIES[0]),
        unseen_table=score_table(rows, STUDIES[1]),
        depth_table=depth_table(rows),
        hard_types_table=hard_table(rows, "types"),
        hard_neutrophils_table=hard_table(rows, "neutrophil"),
    )
