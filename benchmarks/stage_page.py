"""The page of the stage benchmark, from what methods said of held-out samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.markdown import number, table
from benchmarks.stage_floors import FLOORS, MAJORITY, PROBES
from benchmarks.stage_guard_page import guard_targets, rate_table
from benchmarks.stage_guards import WITH_STAGE, WITHOUT_STAGE
from benchmarks.stage_real import real_table
from model.stage_support import called_level, quadratic_kappa, ranked_probability_score

TEMPLATE = Path(__file__).with_name("stage_page.md")
OURS, OURS_WITHOUT = "ours", "ours, without neutrophils"
METHODS = (OURS, OURS_WITHOUT, MAJORITY, *FLOORS, *PROBES)
N_DRAWS, N_BINS = 1_000, 10
CLAIMED, GUARDED = ("composition", "state"), ("confounded", "none")
"""Settings in which stage can be learnt, and in which nothing may be claimed."""

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Said = list[tuple[Ints, Doubles]]
"""True levels and P(level >= k) of the held-out samples, by seed."""


def said_of(answers: Sequence[dict[str, Any]], setting: str, method: str) -> Said:
    """Return what a method said in a setting, by seed; samples of which it said nothing left out."""
    found = []
    for one in answers:
        if one["setting"] == setting:
            level, at_least = np.array(one["level"]), np.array(one["at_least"][method], dtype=np.float64)
            known = np.isfinite(at_least).all(axis=1)
            found.append((level[known], at_least[known]))
    return found


def kappa(level: Ints, at_least: Doubles) -> float:
    """Return the quadratic kappa of the level nearest to the expected one."""
    return quadratic_kappa(level, called_level(at_least).clip(0, 4), 5)


def mean_over(said: Said, score: Callable[[Ints, Doubles], float]) -> float:
    """Return the mean of a score over seeds; NaN where nothing was said."""
    values = [score(*one) for one in said if len(one[0])]
    return float(np.mean(values)) if values else float("nan")


def drawn_kappas(said: Said, seed: int = 0) -> Doubles:
    """Return the mean kappa over seeds, samples drawn anew within each, float64 `[n_draws]`; alike for all methods."""
    rng = np.random.default_rng(seed)
    draws = np.zeros(N_DRAWS)
    for level, at_least in said:
        for number_of in range(N_DRAWS):
            rows = rng.integers(0, len(level), len(level))
            draws[number_of] += kappa(level[rows], at_least[rows]) / len(said)
    return draws


def calibration_error(said: Said) -> float:
    """Return the mean gap between P(level >= k) and how often it held, in ten bins, over samples and thresholds."""
    parts = [
        (at_least.ravel(), (level[:, None] >= np.arange(1, at_least.shape[1] + 1)).ravel()) for level, at_least in said
    ]
    stated, held = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    place = np.minimum((stated * N_BINS).astype(int), N_BINS - 1)
    gaps = np.abs(np.bincount(place, stated - held, minlength=N_BINS))
    return float(gaps.sum() / max(1, len(stated)))


def setting_table(answers: Sequence[dict[str, Any]], setting: str) -> str:
    """Return the scores of all methods in a setting."""
    rows = []
    for method in METHODS:
        said = said_of(answers, setting, method)
        has_all = method != OURS_WITHOUT
        rows.append(
            [
                method,
                number(mean_over(said, kappa)),
                number(mean_over(said, lambda level, at_least: float(np.abs(at_least.sum(axis=1) - level).mean()))),
                number(mean_over(said, lambda level, at: float(ranked_probability_score(level, at).mean())))
                if has_all
                else "-",
                number(calibration_error(said)) if has_all and any(len(one[0]) for one in said) else "-",
            ]
        )
    return table(["method", "quadratic kappa", "error, stages", "ranked probability score", "calibration error"], rows)


def guard_table(answers: Sequence[dict[str, Any]]) -> str:
    """Return what the guards said of each cohort."""
    rows = [
        [
            f"{one['setting']}, seed {one['seed']}",
            output,
            of["head"],
            f"{of['p_value']:.3g}",
            _blank(of["cramers_v"]),
            number(of["kappa"], 2),
            _blank(of["probe_kappa"]),
            f"{of['probe_p']:.2g}",
            of["reason"] or "stage is said",
        ]
        for one in answers
        for output, of in one["support"].items()
    ]
    scores = ("kappa in folds", "kappa of the nearest probe", "p of the lead over it")
    return table(["cohort", "sees", "head", "p", "Cramér's V", *scores, "verdict"], rows)


def target_rows(answers: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return what was wanted, what came out, and whether it is met."""
    rows = []
    for setting, least in (("state", 2.0), ("composition", -1.0)):
        ours = said_of(answers, setting, OURS)
        floors = {name: said_of(answers, setting, name) for name in (MAJORITY, *FLOORS)}
        best = max(floors, key=lambda name: mean_over(floors[name], kappa))
        name = f"{setting}: quadratic kappa against the best floor"
        wanted = f"{least:+g} SE"
        if any(not len(one[0]) for one in ours):
            rows.append([name, wanted, "no stage was said in some cohort", "**not met**"])
            continue
        mine, theirs = mean_over(ours, kappa), mean_over(floors[best], kappa)
        lead, error = mine - theirs, float(np.std(drawn_kappas(ours) - drawn_kappas(floors[best]), ddof=1))
        got = f"{mine:.3f} against {theirs:.3f} ({best}): {lead:+.3f}, SE {error:.3f}"
        rows.append([name, wanted, got, _verdict(lead >= least * error)])
    for setting in GUARDED:
        supports = [one["support"].values() for one in answers if one["setting"] == setting]
        fired = [all(of["reason"] for of in both) for both in supports]
        got = f"{sum(fired)} of {len(fired)} cohorts"
        rows.append(
            [f"{setting}: nothing is claimed", ">= 95 % of cohorts", got, _verdict(sum(fired) >= 0.95 * len(fired))]
        )
    return rows


def page(content: dict[str, Any]) -> str:
    """Return the page."""
    answers = content["answers"]
    commits = sorted({one["commit"] for one in answers})
    guards = content["guards"]
    return TEMPLATE.read_text(encoding="utf-8").format(
        command=content["command"],
        date=content["date"],
        commit=", ".join(commits),
        hardware=content["hardware"],
        quick="\n**A quick run: it shows that the benchmark works, and nothing else.**\n" if content["quick"] else "",
        seeds=", ".join(map(str, content["seeds"])),
        sizes=", ".join(f"`{name}` {value}" for name, value in content["sizes"].items()),
        targets=table(["target", "wanted", "got", "verdict"], target_rows(answers) + guard_targets(guards)),
        guard_sizes=", ".join(f"`{name}` {value}" for name, value in content["guard_sizes"].items()),
        without_stage=rate_table(guards, WITHOUT_STAGE),
        with_stage=rate_table(guards, WITH_STAGE),
        guards=guard_table(answers),
        real=real_table(content["real"]),
        **{setting: setting_table(answers, setting) for setting in (*CLAIMED, *GUARDED)},
    )


def _blank(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _verdict(is_met: bool) -> str:  # noqa: FBT001 - a verdict
    return "met" if is_met else "**not met**"
