"""How often the guards are right: many cohorts drawn from pools of mice, fitted and judged by the code of train.py."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.stage_pool import StagePool, new_pool
from model.staging_fit import learn_stage
from schema.predictions import STAGE_OUTPUTS

N_LEVELS, N_STUDIES = 5, 2
POOLS = ("none", "composition", "state")
"""What stage moves in the mice of a pool."""

Ints = npt.NDArray[np.int64]
Deal = Callable[[StagePool, int, np.random.Generator], tuple[Ints, Ints]]
"""Draws a cohort from a pool, of so many mice of each stage and study on average; returns samples and stages."""


@dataclass(frozen=True)
class GuardSetting:
    """Cohorts that guards are asked about.

    Attributes
    ----------
    name, meaning
        Its name, and how its cohorts are made.
    pool
        Pool that mice are drawn from.
    deal
        How they get a stage.
    n_mice
        Mice of each stage and study, on average.
    """

    name: str
    meaning: str
    pool: str
    deal: Deal
    n_mice: int = 2


@dataclass(frozen=True, kw_only=True)
class GuardSizes:
    """Mice of each stage and study in a pool, their cells and genes; cohorts of a setting without and with a stage."""

    n_mice: int = 10
    n_cells: int = 100
    n_genes: int = 2_000
    n_without: int = 75
    n_with: int = 20


def true_stages(pool: StagePool, n_mice: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw mice of each stage and study, with the stages that they have."""
    samples = pool.samples
    groups = [
        (samples.study == study) & (samples.level == level) for study in range(N_STUDIES) for level in range(N_LEVELS)
    ]
    rows = np.concatenate([rng.choice(np.flatnonzero(group), n_mice, replace=False) for group in groups])
    return rows, samples.level[rows]


def dealt(shares: tuple[tuple[int, ...], ...]) -> Deal:
    """Return what draws mice of each study and deals stages out at random, so many parts of each level by study."""

    def deal(pool: StagePool, n_mice: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
        rows = [_mice(pool, study, n_mice, rng) for study in range(N_STUDIES)]
        levels = [_levels(len(of), parts) for of, parts in zip(rows, shares, strict=True)]
        return np.concatenate(rows), np.concatenate(levels)

    return deal


def by_depth(pool: StagePool, n_mice: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw mice of each study and give the later stages to those with more counts per cell, with some noise."""
    depth = (pool.look.sums.log_counts / pool.look.sums.n_cells).double().numpy()
    rows = []
    for study in range(N_STUDIES):
        drawn = _mice(pool, study, n_mice, rng)
        noise = 0.5 * depth[drawn].std() * rng.standard_normal(len(drawn))
        rows.append(drawn[np.argsort(depth[drawn] + noise)])
    return np.concatenate(rows), np.tile(_levels(n_mice * N_LEVELS, (1,) * N_LEVELS), N_STUDIES)


def _mice(pool: StagePool, study: int, n_mice: int, rng: np.random.Generator) -> Ints:
    """Draw mice of a study, whatever their stage."""
    return rng.choice(np.flatnonzero(pool.samples.study == study), n_mice * N_LEVELS, replace=False)


def _levels(n: int, parts: tuple[int, ...]) -> Ints:
    """Return so many levels, in these parts, rising."""
    ends = np.rint(np.cumsum(parts) / sum(parts) * n).astype(np.int64)
    return np.searchsorted(ends, np.arange(n), side="right").astype(np.int64)


EVEN = (1,) * N_LEVELS
WITHOUT_STAGE = (
    GuardSetting("no signal", "stages dealt out at random, alike in both studies", "none", dealt((EVEN, EVEN))),
    GuardSetting(
        "each stage in one study",
        "three stages dealt out in one study, two in the other",
        "none",
        dealt(((1, 1, 1, 0, 0), (0, 0, 0, 1, 1))),
    ),
    GuardSetting(
        "stage goes with study",
        "dealt out 4 : 3 : 2 : 1 : 0 in one study, 0 : 1 : 2 : 3 : 4 in the other",
        "none",
        dealt(((4, 3, 2, 1, 0), (0, 1, 2, 3, 4))),
    ),
    GuardSetting("stage goes with depth", "later stages to mice with more counts per cell", "none", by_depth),
)
"""Cohorts of which nothing may be said."""
WITH_STAGE = tuple(
    GuardSetting(f"{pool}, {n_mice * N_LEVELS * N_STUDIES} mice", "true stages", pool, true_stages, n_mice)
    for pool in ("composition", "state")
    for n_mice in (4, 2, 1)
)
"""Cohorts of which a stage is to be said."""


def guard_rows(work: Path, config: str, sizes: GuardSizes, seed: int) -> list[dict[str, Any]]:
    """Return what the guards said of each cohort; what was answered stays in the work folder.

    Parameters
    ----------
    work
        Folder of pools and answers.
    config
        Config of train.py for the networks of the pools.
    sizes
        Sizes of pools and numbers of cohorts.
    seed
        Seed of mice, networks and cohorts.
    """
    rows = []
    for pool_name in POOLS:
        settings = [one for one in WITHOUT_STAGE + WITH_STAGE if one.pool == pool_name and one.n_mice <= sizes.n_mice]
        kept = {one.name: work / f"guards_{one.name.replace(' ', '_')}.json" for one in settings}
        missing = [one for one in settings if not kept[one.name].exists()]
        if missing:
            simulation = {name: str(getattr(sizes, name)) for name in ("n_mice", "n_cells", "n_genes")}
            place = work / f"pool_{pool_name}"
            pool = new_pool(place, simulation | {"stage_through": pool_name, "n_held_out_mice": "1"}, config, seed)
            for one in missing:
                kept[one.name].write_text(json.dumps(asked(one, pool, sizes, seed)), encoding="utf-8")
        rows += [row for path in kept.values() for row in json.loads(path.read_text(encoding="utf-8"))]
    return rows


def asked(setting: GuardSetting, pool: StagePool, sizes: GuardSizes, seed: int) -> list[dict[str, Any]]:
    """Return what the guards say of the cohorts of a setting, one row for each cohort and output."""
    rows, begin = [], time.perf_counter()
    for number in range(sizes.n_with if setting in WITH_STAGE else sizes.n_without):
        drawn, level = setting.deal(pool, setting.n_mice, np.random.default_rng([seed, number]))
        cohort = replace(pool.samples.of(drawn), level=level)
        look = pool.look.of(torch.from_numpy(drawn))
        support = learn_stage(look, cohort, pool.ontology, n_levels=N_LEVELS + 1, seed=number).support
        for output in STAGE_OUTPUTS:
            about = {name: getattr(support[output], name) for name in ("p_value", "kappa", "probe_p", "reason")}
            rows.append({"setting": setting.name, "cohort": number, "output": output, **about})
    print(f"guards, {setting.name}: {time.perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
    return rows
