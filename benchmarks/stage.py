"""The stage benchmark: `python -m benchmarks.stage --data <real data> --output docs/results` (also `make bench-stage`).

What was answered stays in the work folder, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measure import ROOT, commit, hardware, python, run_measured
from benchmarks.stage_floors import FLOORS, MAJORITY, PROBES, StagedCells, majority, ridge, staged_cells
from benchmarks.stage_guards import GuardSizes, guard_rows
from benchmarks.stage_page import OURS, OURS_WITHOUT, page
from benchmarks.stage_real import real_rows
from benchmarks.stage_support import support_of
from datamodules.simulate import HELD_OUT_FILE, TRAINING_FILE
from model.bundle import load_bundle
from schema.predictions import read_samples
from schema.stages import StageScale

CONFIG = "configs/experiment/stage_benchmark.yaml"
SCALE = "mouse_carcinogenesis"
N_LEVELS = 5
"""Levels that the simulator draws from: the first five of the scale."""

GUARD_SEED = 0
"""Seed of the pools of mice that the guards are asked about."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Setting:
    """A way in which stage acts on the cells of a cohort, and the simulator's options for it."""

    name: str
    options: tuple[str, ...]


SETTINGS = (
    Setting("composition", ("--stage_through", "composition")),
    Setting("state", ("--stage_through", "state")),
    Setting("confounded", ("--stage_through", "none", "--confounded", "true")),
    Setting("none", ("--stage_through", "none")),
)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of a cohort."""

    n_mice: int = 4
    n_held_out_mice: int = 2
    n_cells: int = 200
    n_genes: int = 2_000


def answer(setting: Setting, seed: int, sizes: Sizes, work: Path, *, refit: bool) -> dict[str, Any]:
    """Simulate a cohort, let all methods learn from its training mice, and return what they say of the others.

    Parameters
    ----------
    setting, seed, sizes
        The cohort.
    work
        Folder of cohorts and answers.
    refit
        Whether our network is trained anew on all training mice, as is usual.
    """
    place = work / f"{setting.name}_{seed}"
    kept = place / "answers.json"
    if not kept.exists():
        place.mkdir(parents=True, exist_ok=True)
        options = [text for name, value in asdict(sizes).items() for text in (f"--{name}", str(value))]
        cohort = python("-m", "datamodules.simulate", "--output", str(place / "cohort"), "--seed", str(seed), *options)
        if not (place / "cohort").exists():
            run_measured([*cohort, *setting.options], place / "simulate.log")
        start = time.perf_counter()
        found = {"setting": setting.name, "seed": seed, "commit": commit(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
        found |= ask_all(place, seed, refit=refit)
        kept.write_text(json.dumps(found), encoding="utf-8")
        print(f"{setting.name}, seed {seed}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    answers: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return answers


def ask_all(place: Path, seed: int, *, refit: bool) -> dict[str, Any]:
    """Return the true levels of the held-out samples, and P(level >= k) by method."""
    names = {level.name: code for code, level in enumerate(StageScale.load(SCALE).levels)}
    training, test = (staged_cells(str(place / "cohort" / name), names) for name in (TRAINING_FILE, HELD_OUT_FILE))
    said = {MAJORITY: majority(training, test, N_LEVELS)}
    said |= {name: ridge(of, training, test, N_LEVELS, seed) for name, of in (FLOORS | PROBES).items()}
    ours, support = ask_network(place, seed, test, refit=refit)
    return {
        "level": test.level.tolist(),
        "at_least": {name: np.round(values, 5).tolist() for name, values in (said | ours).items()},
        "support": support,
    }


def ask_network(place: Path, seed: int, test: StagedCells, *, refit: bool) -> tuple[dict[str, Doubles], dict[str, Any]]:
    """Train and predict as a user does; return P(level >= k) and expected levels, and what the guards said."""
    run, output = place / "run", place / "predicted"
    command = python("train.py", "--config", CONFIG, "--output", str(run), "--seed", str(seed))
    command += [
        "--data.files",
        str(place / "cohort" / TRAINING_FILE),
        "--trainer.progress_bar",
        "false",
        "--refit",
        str(refit).lower(),
    ]
    if not run.exists():
        run_measured(command, place / "train.log")
    predict = python("predict.py", str(place / "cohort" / HELD_OUT_FILE), "--bundle", str(run / "bundle"))
    tables_alone = ("--report", "false", "--explain.n_cells", "0", "--overwrite", "true")
    run_measured([*predict, "--output", str(output), *tables_alone], place / "predict.log")
    bundle = load_bundle(run / "bundle")
    samples = read_samples(output / "samples.csv").set_index("sample_id")
    ids = sorted(set(test.counts.obs["sample_id"].astype(str)))
    steps = [column for column in map(str, samples) if column.startswith("p_stage_ge_")][: N_LEVELS - 1]
    said = {OURS: samples.loc[ids, steps].to_numpy(np.float64)}
    expected = samples.loc[ids, "tumor_stage_expected_without_neutrophils"].to_numpy(np.float64)
    said[OURS_WITHOUT] = expected[:, None]
    return said, support_of(bundle)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write stage.md and stage.json."""
    parser = argparse.ArgumentParser(description="Compare stages of samples; write stage.md and stage.json.")
    parser.add_argument("--data", type=Path, required=True, help="folder of real data")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench_stage", help="folder of files and results")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="a small run")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument(
        "--guards", action=argparse.BooleanOptionalAction, default=True, help="count how often guards are right (hours)"
    )
    options = parser.parse_args(arguments)
    sizes = Sizes(n_mice=2, n_held_out_mice=1, n_cells=130, n_genes=800) if options.quick else Sizes()
    guard_sizes = (
        GuardSizes(n_mice=2, n_cells=80, n_genes=800, n_without=1, n_with=1) if options.quick else GuardSizes()
    )
    work = options.work.resolve() / ("quick" if options.quick else "full")
    seeds = range(1 if options.quick else options.seeds)
    answers = [answer(setting, seed, sizes, work, refit=not options.quick) for setting in SETTINGS for seed in seeds]
    content = {
        "command": ("QUICK=1 " if options.quick else "") + "make bench-stage",
        **{"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware()},
        **{"quick": options.quick, "seeds": list(seeds), "sizes": asdict(sizes), "answers": answers},
        "real": real_rows(options.data.resolve(), work, CONFIG),
        "guard_sizes": asdict(guard_sizes),
        "guards": guard_rows(work, CONFIG, guard_sizes, GUARD_SEED) if options.guards else [],
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "stage.md").write_text(page(content), encoding="utf-8")
    (options.output / "stage.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
    print(options.output / "stage.md")


if __name__ == "__main__":
    main()
