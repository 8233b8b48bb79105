"""The burden benchmark: `python -m benchmarks.burden --data <real data> --output docs/results`, or `make bench-burden`.

What was answered stays in the work folder, so that a run that was stopped goes on.
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

import pandas as pd

from benchmarks.burden_cohorts import judge
from benchmarks.burden_methods import BOOTSTRAP, METHODS, OURS
from benchmarks.burden_page import page
from benchmarks.burden_run import Bench
from benchmarks.burden_scores import agreement, band_of, coverage, neutrophil_free
from benchmarks.burden_settings import QUICK, REAL, SIMULATED, Sizes
from benchmarks.measure import ROOT, commit, hardware
from schema.predictions import NOT_ASSESSABLE


def results(mixtures: pd.DataFrame, cohorts: pd.DataFrame) -> dict[str, Any]:
    """Return everything that the page shows, as plain values."""
    scores: dict[str, Any] = {}
    for part, of_part in mixtures.groupby("part", sort=False):
        named = of_part.assign(band=band_of(of_part["true_percent"]))
        assessable = named[named["assessability"] != NOT_ASSESSABLE]
        methods = [method for method in METHODS if method in assessable and assessable[method].notna().any()]
        scores[str(part)] = {
            "n": len(named),
            "n_donors": int(named["donor"].nunique()),
            "n_not_assessable": len(named) - len(assessable),
            "agreement": {method: agreement(assessable, method) for method in methods},
            "coverage": {method: coverage(assessable, method) for method in (OURS, BOOTSTRAP)},
            "neutrophil_free": {method: neutrophil_free(assessable, method) for method in methods},
        }
    return {"scores": scores, "cohorts": judge(cohorts)}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Hold burdens against known mixtures; write burden.md and .json.")
    parser.add_argument("--data", type=Path, required=True, help="folder of real data")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench_burden", help="folder of files and results")
    parser.add_argument("--peers", type=Path, default=ROOT / "runs" / "bench_cells", help="folder of peers")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="a small run")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--read", action="store_true", help="run nothing, and show what was answered so far")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write burden.md and burden.json."""
    options = parse(arguments)
    origin = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware()}
    sizes = QUICK if options.quick else Sizes()
    work = options.work.resolve() / ("quick" if options.quick else "full")
    bench = Bench(work, options.data.resolve(), options.peers.resolve(), sizes)
    seeds = range(1 if options.quick else options.seeds)
    every = list(bench.cases(seeds))
    cases = [case for case in every if case.is_answered] if options.read else every
    mixtures = pd.concat([bench.mixtures(case) for case in cases], ignore_index=True)
    cohorts = pd.concat([bench.cohorts(case) for case in cases if case.part == SIMULATED], ignore_index=True)
    kept = ["part", "seed", "donor", "true_percent", "n_droplets", "median_umi", "ambient_share", "assessability"]
    rows = mixtures.reindex(columns=[*kept, *METHODS, f"{OURS}_low", f"{OURS}_high"]).round(4)
    content = {
        "command": ("QUICK=1 " if options.quick else "") + "make bench-burden",
        **origin,
        **{"quick": options.quick, "seeds": list(seeds), "sizes": asdict(sizes), "parts": [SIMULATED, REAL]},
        "not_run": [f"{case.part}, {case.name}, seed {case.seed}" for case in every if case not in cases],
        **results(mixtures, cohorts),
        "mixtures": json.loads(rows.to_json(orient="records")),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "burden.md").write_text(page(content), encoding="utf-8")
    (options.output / "burden.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
    print(options.output / "burden.md")


if __name__ == "__main__":
    main()
