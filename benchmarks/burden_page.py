"""The page of the burden benchmark in Markdown, from the rows as measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.burden_methods import BOOTSTRAP, OURS
from benchmarks.burden_scores import BAND_NAMES, JUDGED
from benchmarks.burden_settings import REAL, SIMULATED
from benchmarks.markdown import number, table

Row = Mapping[str, Any]

PAGE = Path(__file__).with_name("burden_page.md")
QUICK = "**A quick run on small cohorts, to see that it works; no figure here can be quoted.**\n"
BAND_TEXT = {"none": "none", "to 1": "up to 1 %", "0-1": "0-1 %", "1-5": "1-5 %", "5-20": "5-20 %", "20-60": "20-60 %"}
CONCORDANCE, SLOPE, COVERAGE, RISING = 0.95, (0.9, 1.1), (0.92, 0.98), 0.95


def target_rows(results: Row) -> list[list[str]]:
    """Return each target: name, what is wanted, what was got, and whether it is met."""
    rows = []
    for part in (SIMULATED, REAL):
        scores = results["scores"][part]
        agreed = scores["agreement"][OURS]
        rows.append(_target(part, "concordance", f">= {CONCORDANCE}", agreed["concordance"], CONCORDANCE, 1.0))
        rows.append(_target(part, "slope", f"{SLOPE[0]}-{SLOPE[1]}", agreed["slope"], *SLOPE))
        for band in JUDGED:
            got = scores["coverage"][OURS].get(band)
            if got:
                name = f"coverage, {BAND_TEXT[band]}"
                rows.append(_target(part, name, f"{COVERAGE[0]}-{COVERAGE[1]}", got["covered"], *COVERAGE))
        free = scores["neutrophil_free"][OURS]
        text = f"{free['median']:.2f} % of {free['limit']:.2f} %"
        is_met = free["median"] < free["limit"]
        rows.append([f"{part}: median false burden", "below the limit", text, _verdict(is_met=is_met)])
    return [*rows, *_cohort_targets(results["cohorts"])]


def agreement_table(results: Row, part: str) -> str:
    """Return concordance, slope, error and bias by band of every method."""
    header = [
        "method",
        "mixtures",
        "concordance",
        "slope",
        "error, points",
        *(f"bias, {BAND_TEXT[name]}" for name in BAND_NAMES),
    ]
    rows = []
    for method, found in results["scores"][part]["agreement"].items():
        scores = [_interval(found[name]) for name in ("concordance", "slope", "error")]
        bias = [f"{found['bias'][name]:+.2f}" if name in found["bias"] else "-" for name in BAND_NAMES]
        rows.append([method, str(found["n"]), *scores, *bias])
    return table(header, rows)


def coverage_table(results: Row, part: str) -> str:
    """Return coverage and width by band of our intervals and of those of a cell bootstrap."""
    header = [
        "true share",
        "mixtures",
        "ours covers",
        "truth above",
        "truth below",
        "width",
        "cells alone cover",
        "width",
    ]
    rows = []
    ours, cells = (results["scores"][part]["coverage"][name] for name in (OURS, BOOTSTRAP))
    for band, found in ours.items():
        misses = [number(found[name]) for name in ("below", "above")]
        other = cells[band]
        widths = [f"{of['width']:.2f}" for of in (found, other)]
        covered = [_interval(of["covered"]) for of in (found, other)]
        rows.append([BAND_TEXT[band], str(found["n"]), covered[0], *misses, widths[0], covered[1], widths[1]])
    return table(header, rows)


def free_table(results: Row, part: str) -> str:
    """Return what every method says of mixtures without neutrophils."""
    header = ["method", "median, %", "97.5th percentile, %", "below the stated limit"]
    rows = []
    for method, found in results["scores"][part]["neutrophil_free"].items():
        rows.append([method, f"{found['median']:.2f}", f"{found['p97_5']:.2f}", number(found["below_limit"])])
    return table(header, rows)


def page(results: Row) -> str:
    """Return the page; see `benchmarks.burden.main` for what results hold."""
    parts: dict[str, str] = {}
    for part in (SIMULATED, REAL):
        scores = results["scores"][part]
        parts |= {
            f"{part}_agreement": agreement_table(results, part),
            f"{part}_coverage": coverage_table(results, part),
        }
        parts |= {f"{part}_free": free_table(results, part)}
        parts |= {f"{part}_{name}": str(scores[name]) for name in ("n", "n_donors", "n_not_assessable")}
        parts |= {f"{part}_limit": f"{scores['neutrophil_free'][OURS]['limit']:.2f}"}
    cohorts = results["cohorts"]
    stages = ", ".join(f"{name} {count}" for name, count in cohorts["peak_stages"].items())
    return PAGE.read_text(encoding="utf-8").format(
        **{name: results[name] for name in ("command", "date", "commit", "hardware")},
        quick=QUICK if results["quick"] else "",
        not_run="Not run yet: " + "; ".join(results["not_run"]) + ".\n" if results["not_run"] else "",
        seeds=", ".join(str(seed) for seed in results["seeds"]),
        targets=table(["target", "wanted", "got", "verdict"], target_rows(results)),
        peak_stages=stages,
        peak_burden=f"{cohorts['peak_burden_percent']:.1f}",
        **parts,
    )


def _cohort_targets(cohorts: Row) -> list[list[str]]:
    rises = cohorts["n_rising"] / cohorts["n_cohorts"]
    counts = f"{cohorts['n_rising']} of {cohorts['n_cohorts']} ({rises:.3f})"
    lost = f"{cohorts['n_lost_not_assessable']} of {cohorts['n_lost']}"
    peak = f"{cohorts['n_peak_early_carcinoma']} of {cohorts['n_peak']}"
    all_lost = cohorts["n_lost_not_assessable"] == cohorts["n_lost"]
    return [
        ["cohorts: burden rises with stage", f">= {RISING}", counts, _verdict(is_met=rises >= RISING)],
        ["cohorts: capture lost, not assessable", "all", lost, _verdict(is_met=all_lost)],
        [
            "cohorts: development peak called early carcinoma or beyond",
            "none",
            peak,
            _verdict(is_met=cohorts["n_peak_early_carcinoma"] == 0),
        ],
    ]


def _target(part: str, name: str, wanted: str, got: Row, least: float, most: float) -> list[str]:
    verdict = _verdict(is_met=least <= got["value"] <= most)
    if not least <= got["value"] <= most and got["low"] <= most and got["high"] >= least:
        verdict += ", within chance"
    return [f"{part}: {name}", wanted, _interval(got), verdict]


def _verdict(*, is_met: bool) -> str:
    return "met" if is_met else "**not met**"


def _interval(found: Row) -> str:
    return f"{number(found['value'])} ({number(found['low'], 2)}-{number(found['high'], 2)})"
