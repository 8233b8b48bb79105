"""Try every bad day of benchmarks/faults, and write what happened: docs/reliability.md and reliability.json."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.faults.catalogue import INPUT_FAULTS
from benchmarks.faults.fault import Fault
from benchmarks.faults.flips import flip_faults
from benchmarks.faults.injection import Injection
from benchmarks.faults.injections import INJECTIONS
from benchmarks.faults.materials import Materials, make_materials
from benchmarks.faults.sweep import Sweep
from benchmarks.measure import ROOT, commit, hardware
from benchmarks.reliability_page import page

SEED = 100
"""Of the cohort; flips have seed 0."""

N_FLIPS, N_FLIPS_QUICK = 60, 5
"""Bytes flipped in each kind of input and in a bundle."""

QUICK_EVERY = 8
"""A quick run tries one fault in so many."""

Row = dict[str, Any]


def tried_faults(sweep: Sweep, faults: Iterable[Fault]) -> Iterator[Row]:
    """Try bad inputs and bundles; yield a row of each."""
    for fault in faults:
        result = sweep.run(fault)
        row = {"row": fault.row, "name": fault.name, "expected": str(fault.expected), "code": result.outcome.code}
        yield noted(row | {"line": result.outcome.error, "problems": result.problems})


def tried_injections(materials: Materials, injections: Iterable[Injection]) -> Iterator[Row]:
    """Try bad days of the machine; yield a row of each."""
    for injection in injections:
        with tempfile.TemporaryDirectory(prefix="fault-") as scratch:
            happening = injection.run(materials, Path(scratch))
        row = {"row": injection.row, "name": injection.name, "expected": injection.expected, "code": happening.code}
        yield noted(row | {"line": happening.line if happening.code else "", "problems": happening.problems})


def noted(row: Row) -> Row:
    """Return a row, and tell of it on the terminal."""
    verdict = "as expected" if not row["problems"] else f"NOT as expected: {'; '.join(row['problems'])}"
    print(f"{row['row']}: {row['name']}: exit {row['code']}, {verdict}", file=sys.stderr, flush=True)
    return row


def measure(*, quick: bool) -> dict[str, list[Row]]:
    """Try everything, or a part of it; rows of faults, of flips and of injections."""
    step, n_flips = (QUICK_EVERY, N_FLIPS_QUICK) if quick else (1, N_FLIPS)
    with tempfile.TemporaryDirectory(prefix="reliability-") as scratch:
        materials = make_materials(Path(scratch), SEED)
        sweep = Sweep(materials)
        return {
            "faults": list(tried_faults(sweep, INPUT_FAULTS[::step])),
            "flips": list(tried_faults(sweep, flip_faults(n_flips))),
            "injections": list(tried_injections(materials, INJECTIONS[::step])),
        }


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Try every bad day; write reliability.md and reliability.json.")
    parser.add_argument("--output", type=Path, required=True, help="folder for reliability.json")
    parser.add_argument("--page", type=Path, required=True, help="page in Markdown")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="a part of it")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try everything, write page and JSON; return 1 where something was not as expected."""
    options = parse(arguments)
    origin = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware()}
    results = {
        "command": ("QUICK=1 " if options.quick else "") + "make reliability",
        **origin,
        "quick": options.quick,
        "seed": SEED,
        **measure(quick=options.quick),
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "reliability.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    options.page.write_text(page(results), encoding="utf-8")
    print(options.page.resolve().relative_to(ROOT) if options.page.resolve().is_relative_to(ROOT) else options.page)
    return int(any(row["problems"] for kind in ("faults", "flips", "injections") for row in results[kind]))


if __name__ == "__main__":
    sys.exit(main())
