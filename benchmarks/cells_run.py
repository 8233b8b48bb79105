"""What methods answered in all settings: run where asked for and not there yet, and kept, so that a run can go on."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.cells_cohort import CohortConfig
from benchmarks.cells_files import make_files
from benchmarks.cells_methods import CELLTYPIST, Answer, Methods
from benchmarks.cells_settings import METHODS, PARTS, SETTINGS, UNKNOWN, Plan, Setting
from benchmarks.real_mice import NETWORK


@dataclass
class Found:
    """What methods answered, by part and method, and why others did not."""

    answers: dict[str, dict[str, list[tuple[Setting, Answer]]]] = field(default_factory=dict)
    not_run: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, setting: Setting, method: str, answer: Answer) -> None:
        """Keep an answer."""
        self.answers.setdefault(setting.part, {}).setdefault(method, []).append((setting, answer))


def answer_all(
    plan: Plan, methods: Methods, parts: Sequence[str], found: Found, names: Sequence[str] = METHODS
) -> None:
    """Run the named methods in the parts asked for, where not there yet, and take in what is there of all others."""
    make_files(plan, parts)
    for part in PARTS:
        for setting in SETTINGS[part](plan):
            for method in METHODS:
                _answer(setting, method, methods, found, may_run=part in parts and method in names)


def _answer(setting: Setting, method: str, methods: Methods, found: Found, *, may_run: bool) -> None:
    if method not in setting.methods:
        if setting.part == UNKNOWN:
            found.not_run[setting.part, method] = "left out, for time"
        return
    answer = methods.kept(setting, method)
    start = time.perf_counter()
    if answer is None and may_run:
        try:
            answer = methods.run(setting, method)
        except RuntimeError as error:
            found.not_run[setting.part, method] = " ".join(str(error).split())[-160:]
        words = f"{setting.part}, {setting.name}, {method}, seed {setting.seed}"
        print(f"{words}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    if answer is not None:
        found.add(setting, method, answer)
    else:
        found.not_run.setdefault((setting.part, method), "not yet")


def forget(work: Path, methods: Sequence[str]) -> None:
    """Remove what some methods answered, and the timed commands if they are of one of them."""
    for method in methods:
        for place in work.glob(f"*/*/{method}_*"):
            shutil.rmtree(place)
        if method in (NETWORK, CELLTYPIST):
            (work / "speed.json").unlink(missing_ok=True)


def claim(work: Path, cohort: CohortConfig) -> None:
    """Make the work folder, or check that what it holds is of cohorts of the same sizes.

    Raises
    ------
    SystemExit
        If it is not.
    """
    work.mkdir(parents=True, exist_ok=True)
    told, now = work / "cohort.json", json.dumps(asdict(cohort))
    if told.exists() and told.read_text(encoding="utf-8") != now:
        raise SystemExit(f"{work} holds answers about other cohorts: {told.read_text(encoding='utf-8')}; now {now}.")
    told.write_text(now, encoding="utf-8")
