"""Runs of the burden benchmark: files, trainings and answers of each case, kept in a folder and not made again."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from benchmarks.burden_cohorts import write_cohorts
from benchmarks.burden_methods import said_by_celltypist, said_by_us
from benchmarks.burden_mixtures import BANDS, Pool, draw_plan, write_mixtures
from benchmarks.burden_pools import PoolSimulator, held_out_mice, real_pool
from benchmarks.burden_settings import (
    HELD_OUT_OTHERS,
    MICE,
    REAL,
    REAL_CONFIG,
    SIMULATED,
    SIMULATED_CONFIG,
    Case,
    Mouse,
    Sizes,
    held_out_mice_of_zilionis,
)
from benchmarks.cells_cohort import harmonised
from benchmarks.cells_methods import CELLTYPIST, ENVIRONMENTS
from benchmarks.cells_settings import ZILIONIS_TREE
from benchmarks.measure import python, run_measured
from benchmarks.runs import Training, floor_probabilities
from benchmarks.studies import write_copies
from datamodules.simulate import TRAINING_FILE
from datamodules.simulation.config import SimulationConfig
from schema.labels import CellOntology
from schema.predictions import read_samples

TABLES_ALONE = ("--report", "false", "--explain.n_cells", "0")


@dataclass(frozen=True)
class Bench:
    """Where everything lies, and how large it is."""

    work: Path
    data: Path
    environments: Path
    sizes: Sizes

    def cases(self, seeds: range) -> Iterator[Case]:
        """Yield all cases: a cohort of each seed, then each mouse of Zilionis 2019 held out with each seed."""
        for seed in seeds:
            yield Case(SIMULATED, "cohort", seed, self.work / f"{SIMULATED}_{seed}")
        for seed in seeds:
            for mouse in held_out_mice_of_zilionis()[-self.sizes.folds :]:
                yield Case(REAL, mouse.name, seed, self.work / f"{REAL}_{mouse.name}_{seed}")

    def mixtures(self, case: Case) -> pd.DataFrame:
        """Return the mixtures of a case with what all methods say of them."""
        if not case.is_answered:
            start = time.perf_counter()
            case.folder.mkdir(parents=True, exist_ok=True)
            table = self._simulated(case) if case.part == SIMULATED else self._real(case)
            self._answered(case, table).to_parquet(case.answers)
            print(f"{case.part}, {case.name}, seed {case.seed}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
        return pd.read_parquet(case.answers)

    def cohorts(self, case: Case) -> pd.DataFrame:
        """Return the new cohorts of a simulated case with what predict.py says of their samples."""
        kept = case.folder / "cohorts.parquet"
        if not kept.exists():
            path = case.folder / "cohorts.h5ad"
            table = write_cohorts(self._config(case.seed, self.sizes.n_cells), self.sizes.n_cohorts, path)
            predict(case, path, case.folder / "cohorts")
            table = table.merge(read_samples(case.folder / "cohorts" / "samples.csv"), on="sample_id")
            table.assign(seed=case.seed).to_parquet(kept)
            shutil.rmtree(case.folder / "cohorts")
            path.unlink()
        return pd.read_parquet(kept)

    def _config(self, seed: int, n_cells: int) -> SimulationConfig:
        sizes = self.sizes
        return SimulationConfig(
            output=Path(),
            n_mice=sizes.n_mice,
            n_held_out_mice=sizes.n_held_out_mice,
            n_cells=n_cells,
            n_genes=sizes.n_genes,
            seed=seed,
        )

    def _simulated(self, case: Case) -> pd.DataFrame:
        cohort, sizes = case.folder / "cohort", self.sizes
        if not cohort.exists():
            wanted = {name: getattr(sizes, name) for name in ("n_mice", "n_held_out_mice", "n_cells", "n_genes")}
            options = [text for name, value in wanted.items() for text in (f"--{name}", str(value))]
            command = python("-m", "datamodules.simulate", "--output", str(cohort), "--seed", str(case.seed), *options)
            run_measured(command, case.folder / "simulate.log")
        harmonised(cohort / TRAINING_FILE, "").write_h5ad(case.training)
        train(case, (cohort / TRAINING_FILE,), SIMULATED_CONFIG)
        simulator = PoolSimulator(self._config(case.seed, sizes.pool_cells))
        pools = [simulator.pool(sample) for sample in held_out_mice(sizes.n_mice, sizes.n_held_out_mice)]
        return _write(case, pools, simulator.genes, sizes.rounds[0], sizes.droplets)

    def _real(self, case: Case) -> pd.DataFrame:
        mouse = next(one for one in held_out_mice_of_zilionis() if one.name == case.name)
        files = write_copies(MICE, self.data, case.folder / "real")
        pool, genes = real_pool(tuple(files.values()), mouse.name, HELD_OUT_OTHERS, CellOntology.load(ZILIONIS_TREE))
        test = (mouse.name, *HELD_OUT_OTHERS)
        parts = [ad.read_h5ad(path) for path in files.values()]
        kept = [cells[(~cells.obs["donor_id"].isin(test)).to_numpy()].copy() for cells in parts]
        for cells, path in zip(kept, files.values(), strict=True):
            cells.write_h5ad(path)
        train(case, tuple(files.values()), REAL_CONFIG, mouse)
        for cells, path in zip(kept, files.values(), strict=True):
            cells[:, cells.var_names.isin(genes)].copy().write_h5ad(path)  # for CellTypist: what mixtures have
        return _write(case, [pool], genes, self.sizes.rounds[1], self.sizes.real_droplets)

    def _answered(self, case: Case, table: pd.DataFrame) -> pd.DataFrame:
        output = case.folder / "predicted"
        predict(case, case.mixtures, output)
        table = table.merge(said_by_us(output), on="sample_id")
        shutil.rmtree(output)
        if case.part == SIMULATED or (self.sizes.peer_on_real and case.seed == 0):
            table = table.merge(self._celltypist(case), on="sample_id")
        case.mixtures.unlink()
        donor = table["donor_id"] if case.part == REAL else f"{case.seed}-" + table["donor_id"]
        return table.assign(part=case.part, case=case.name, seed=case.seed, donor=donor)

    def _celltypist(self, case: Case) -> pd.DataFrame:
        files = tuple(sorted((case.folder / "real").glob("*.h5ad"))) if case.part == REAL else (case.training,)
        command = [str(ENVIRONMENTS[CELLTYPIST].interpreter(sys.executable, self.environments))]
        command += ["-m", f"benchmarks.floor_{CELLTYPIST}"]
        training = Training(files=files, seed=case.seed)
        found = floor_probabilities(CELLTYPIST, training, case.mixtures, case.folder / "floor", command)
        sample = ad.read_h5ad(case.mixtures, backed="r").obs["sample_id"].to_numpy(dtype=str)
        for path in case.folder.glob("floor.[mn]*"):
            path.unlink()
        tree = ZILIONIS_TREE if case.part == REAL else None
        return said_by_celltypist(found[0], found[1], sample, CellOntology.load(tree))


def train(case: Case, files: tuple[Path, ...], config: str, mouse: Mouse | None = None) -> None:
    """Train a bundle as a user does."""
    if (case.run / "bundle").exists():
        return
    shutil.rmtree(case.run, ignore_errors=True)
    command = python("train.py", "--config", config, "--output", str(case.run), "--seed", str(case.seed))
    command += ["--data.files", json.dumps([str(path) for path in files]), "--trainer.progress_bar", "false"]
    command += ["--split.val_donors", json.dumps(list(mouse.calibrating))] if mouse else []
    run_measured(command, case.folder / "train.log")


def predict(case: Case, path: Path, output: Path) -> None:
    """Predict a file as a user does."""
    command = python("predict.py", str(path), "--bundle", str(case.run / "bundle"), "--output", str(output))
    run_measured([*command, *TABLES_ALONE, "--overwrite", "true"], output.with_suffix(".log"))


def _write(
    case: Case, pools: list[Pool], genes: tuple[str, ...], rounds: int, droplets: tuple[int, int]
) -> pd.DataFrame:
    rng = np.random.default_rng(case.seed)
    plans = [draw_plan(rng, band, droplets) for _ in range(rounds) for band in BANDS for _ in pools]
    return write_mixtures(pools, plans, genes, case.seed, case.mixtures)
