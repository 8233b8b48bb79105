"""The page of peak memory in Markdown, from the rows as measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown import table
from benchmarks.spread import Spread, figure

PAGE = Path(__file__).with_name("memory_page.md")
QUICK = "**A quick run on small cohorts, to see that it works; no figure here can be quoted.**\n"

ALLOWED = 0.10
"""By how much the largest peak above the baseline may exceed the smallest."""
STEPS = ("train.py", "predict.py")


def baseline(rows: Sequence[Mapping[str, Any]], step: str) -> Spread:
    """Return the peak of a process that only imports what a step uses, MiB."""
    return Spread.of([row["peak_mib"] for row in rows if row["step"] == step and row["n_cells"] == 0])


def peaks(rows: Sequence[Mapping[str, Any]], step: str) -> dict[int, Spread]:
    """Return the peak above the step's imports by number of cells, MiB, smallest set first.

    Parameters
    ----------
    rows
        `step`, `n_cells` (0 = imports only), `peak_mib`; one row per process.
    step
        "train.py" or "predict.py".
    """
    of_step, of_imports = [row for row in rows if row["step"] == step], baseline(rows, step).median
    sizes = sorted({row["n_cells"] for row in of_step} - {0})
    return {n: Spread.of([r["peak_mib"] - of_imports for r in of_step if r["n_cells"] == n]) for n in sizes}


def excess(of_sizes: Mapping[int, Spread]) -> float:
    """Return by how much the largest median exceeds the smallest, as a share of it."""
    medians = [spread.median for spread in of_sizes.values()]
    return max(medians) / min(medians) - 1


def memory_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return peaks, their ratio to the smallest set, and seconds."""
    body = []
    for step in STEPS:
        of_sizes = peaks(rows, step)
        first = next(iter(of_sizes.values())).median
        for n_cells, peak in of_sizes.items():
            same = [row for row in rows if row["step"] == step and row["n_cells"] == n_cells]
            total, seconds = (Spread.of([row[name] for row in same]) for name in ("peak_mib", "seconds"))
            ratio = f"{peak.median / first:.2f}"
            body.append([step, f"{n_cells:,}", figure(total), figure(peak), ratio, figure(seconds)])
    return table(["step", "cells", "peak, MiB", "above imports, MiB", "times the smallest set", "seconds"], body)


def verdicts(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return whether each step stays within what is allowed."""
    lines = []
    for step in STEPS:
        share = excess(peaks(rows, step))
        verdict = "met" if share <= ALLOWED else "**not met**"
        lines.append(f"- {step}: the largest peak above imports is {100 * share:.0f} % above the smallest: {verdict}")
    return "\n".join(lines)


def page(results: Mapping[str, Any]) -> str:
    """Return the page; see `benchmarks.memory.main` for what results hold."""
    rows = results["rows"]
    names = ("command", "date", "commit", "hardware", "seed", "n_genes", "n_samples", "n_rounds")
    return PAGE.read_text(encoding="utf-8").format(
        **{name: results[name] for name in names},
        quick=QUICK if results["quick"] else "",
        options=", ".join(f"`{name}` {value}" for name, value in results["options"].items()),
        baselines=", ".join(f"{step} {figure(baseline(rows, step))} MiB" for step in STEPS),
        memory_table=memory_table(rows),
        allowed=f"{100 * ALLOWED:.0f} %",
        verdicts=verdicts(rows),
    )
