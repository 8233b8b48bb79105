"""Many simulated mice as a network sees them, of which cohorts with a stage are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.measure import python, run_measured
from datamodules.coverage import cover
from datamodules.narrow import Rows, narrow
from datamodules.order import SequentialPlan
from datamodules.read import read_batches
from datamodules.samples import sample_of_cells
from datamodules.simulate import TRAINING_FILE
from datamodules.sources import SourceFile
from datamodules.store import CellStore, open_store
from model.bundle import Bundle, load_bundle
from model.stage_look import StagedSamples, StageLook, look_at
from schema.labels import CellOntology
from schema.stages import StageScale

_BLOCK_CELLS = 512


class StagePool(NamedTuple):
    """Mice to draw from, one sample each.

    Attributes
    ----------
    look
        What a frozen network makes of them.
    samples
        Their stages, donors and studies.
    ontology
        Label tree of the network.
    """

    look: StageLook
    samples: StagedSamples
    ontology: CellOntology


def new_pool(place: Path, simulation: dict[str, str], config: str, seed: int) -> StagePool:
    """Simulate mice, train a network on the cell types of most of them as train.py does, and look at all of them.

    Parameters
    ----------
    place
        Folder of the files; what is there is used again.
    simulation
        Options of the simulator.
    config
        Config of train.py.
    seed
        Seed of mice and network.
    """
    place.mkdir(parents=True, exist_ok=True)
    options = [text for name, value in simulation.items() for text in (f"--{name}", value)]
    if not (place / "cohort").exists():
        cohort = ("-m", "datamodules.simulate", "--output", str(place / "cohort"), "--seed", str(seed))
        run_measured(python(*cohort, *options), place / "simulate.log")
    if not (place / "run" / "bundle").exists():
        train = ["train.py", "--config", config, "--output", str(place / "run"), "--seed", str(seed)]
        train += ["--data.files", str(place / "cohort" / TRAINING_FILE), "--trainer.progress_bar", "false"]
        run_measured(python(*train, "--refit", "false"), place / "train.log")
    with open_store(place / "cohort" / TRAINING_FILE, layer="auto") as store:
        return _looked_at(store, load_bundle(place / "run" / "bundle"), seed)


def _looked_at(store: CellStore, bundle: Bundle, seed: int) -> StagePool:
    if bundle.scale is None:
        raise ValueError("Expected a bundle with a stage scale.")
    match = cover(store, bundle.vocabulary, orthologs=None, min_share=1.0).match
    sample = np.asarray(sample_of_cells(store, "sample_id").codes, dtype=np.int64)
    samples = staged_samples(store, sample, bundle.scale)
    source, rows = SourceFile.unlabelled(store, match, narrow(sample)), Rows.first(store.n_cells)
    batches = read_batches([source], [rows], SequentialPlan([store.n_cells], _BLOCK_CELLS))
    look = look_at(bundle.network, bundle.temperatures, bundle.ontology, samples, batches, seed)
    return StagePool(look, samples, bundle.ontology)


def staged_samples(store: CellStore, sample: npt.NDArray[np.int64], scale: StageScale) -> StagedSamples:
    """Return the samples of a simulated file, of which each has one stage, donor and study.

    Parameters
    ----------
    store
        The file.
    sample
        int64 `[n_cells]`, sample of each cell.
    scale
        Scale of its stages.
    """
    first = np.unique(sample, return_index=True)[1]
    codes = {level.name: code for code, level in enumerate(scale.levels)}

    def of_samples(column: str) -> pd.Series:
        return pd.Series(np.asarray(store.obs(column))[first].astype(str))

    donor, study = (of_samples(name).astype("category").cat.codes for name in ("donor_id", "study"))
    return StagedSamples(
        sample=np.arange(len(first)),
        level=np.asarray(of_samples("tumor_stage").map(codes), dtype=np.int64),
        donor=np.asarray(donor, dtype=np.int64),
        study=np.asarray(study, dtype=np.int64),
        n_cells=np.bincount(sample),
    )
