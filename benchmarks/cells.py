"""The cell benchmark: `python -m benchmarks.cells --data <real data> --output docs/results` (also `make bench-cells`).

What was answered stays in the work folder and is not run again, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.cells_cohort import CohortConfig
from benchmarks.cells_methods import Methods
from benchmarks.cells_page import page
from benchmarks.cells_run import Found, answer_all, claim, forget
from benchmarks.cells_scores import by_case, joined, row, strangers
from benchmarks.cells_settings import (
    DONORS,
    FOLDS,
    METHODS,
    PARTS,
    SETTINGS,
    STUDIES,
    UNKNOWN,
    Plan,
    donors,
)
from benchmarks.cells_speed import big_file, measure_speed
from benchmarks.cells_targets import score_targets, speed, strangeness
from benchmarks.measure import ROOT, commit, hardware
from schema.labels import CellOntology

QUICK_COHORT = CohortConfig(n_mice=2, n_held_out_mice=1, n_cells=60, n_genes=800)
SIZES, QUICK_SIZES = (20_000, 100_000), (2_000,)
"""Cells of the files on which whole commands are timed."""
SPEED = "speed"
ALL_PARTS, QUICK_PARTS = (*PARTS, SPEED), (DONORS, UNKNOWN, FOLDS, SPEED)


def time_commands(plan: Plan, methods: Methods, kept: Path, n_rounds: int) -> list[dict[str, Any]]:
    """Return the rows of whole commands, measured where they are not there."""
    if not kept.exists():
        setting = donors(plan)[0]
        sizes = QUICK_SIZES if plan.quick else SIZES
        files = [big_file(plan.work, plan.cohort, setting.seed, size) for size in sizes]
        rows = measure_speed(methods, setting, files, plan.work, n_rounds)
        kept.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return read_rows(kept)


def read_rows(kept: Path) -> list[dict[str, Any]]:
    """Return rows that were kept; none where there are none."""
    rows: list[dict[str, Any]] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
    return rows


def results(plan: Plan, found: Found, timed: list[dict[str, Any]]) -> dict[str, Any]:
    """Return everything that the page shows, as plain values."""
    trees = {part: CellOntology.load(SETTINGS[part](plan)[0].tree) for part in PARTS}
    scored = {part: of_part for part, of_part in found.answers.items() if part != UNKNOWN}
    unknown = [r for name, pairs in found.answers.get(UNKNOWN, {}).items() for r in strangers(pairs, name)]
    tables = {part: {m: joined(pairs) for m, pairs in of_part.items()} for part, of_part in scored.items()}
    targets = [*score_targets(tables, trees), strangeness(unknown), *speed(timed)]
    every = [a.facts for of_part in found.answers.values() for pairs in of_part.values() for _, a in pairs]
    return {
        "rows": [row(part, m, pairs, trees[part]) for part, of_part in scored.items() for m, pairs in of_part.items()],
        "cases": {
            part: {method: by_case(pairs) for method, pairs in scored[part].items()}
            for part in (FOLDS, STUDIES)
            if part in scored
        },
        "strangers": unknown,
        "targets": [asdict(target) for target in targets],
        "speed": timed,
        "not_run": [{"part": part, "method": method, "why": why} for (part, method), why in found.not_run.items()],
        "run_commits": sorted({facts["commit"] for facts in every}),
        "run_dates": sorted({facts["date"] for facts in every}),
    }


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Compare cell type methods; write cells.md and cells.json.")
    parser.add_argument("--data", type=Path, required=True, help="folder of real data")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench_cells", help="folder of files and results")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="a small run")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the timed commands")
    parser.add_argument("--parts", nargs="+", choices=ALL_PARTS, help="what is run (default: all); the rest is read")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS, help="methods that run")
    parser.add_argument("--again", nargs="+", choices=METHODS, default=[], help="methods to run again")
    options = parser.parse_args(arguments)
    options.parts = options.parts or list(QUICK_PARTS if options.quick else ALL_PARTS)
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write cells.md and cells.json."""
    options = parse(arguments)
    origin = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware()}
    environments = options.work.resolve()
    work = environments / ("quick" if options.quick else "full")
    cohort = QUICK_COHORT if options.quick else CohortConfig()
    claim(work, cohort)
    forget(work, options.again)
    if options.quick:
        os.environ["QUICK"] = "1"  # for the peers' processes
    plan = Plan(
        work=work,
        data=options.data.resolve(),
        seeds=range(1 if options.quick else options.seeds),
        cohort=cohort,
        quick=options.quick,
    )
    methods, found, kept = Methods(work, environments), Found(), work / "speed.json"
    answer_all(plan, methods, options.parts, found, options.methods)
    rounds = 1 if options.quick else options.rounds
    timed = time_commands(plan, methods, kept, rounds) if SPEED in options.parts else read_rows(kept)
    content = {
        "command": ("QUICK=1 " if options.quick else "") + "make bench-cells",
        **origin,
        **{"quick": options.quick, "seeds": list(plan.seeds), "cohort": asdict(plan.cohort)},
        "versions": methods.versions(),
        **results(plan, found, timed),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "cells.md").write_text(page(content), encoding="utf-8")
    (options.output / "cells.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(options.output / "cells.md")


if __name__ == "__main__":
    main()
