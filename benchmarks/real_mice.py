"""Mice held out in turn: every method, every training set, every fold and seed on the cells of Zilionis 2019."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.calls import call_states, call_types
from benchmarks.folds import Fold, cross_folds
from benchmarks.runs import (
    FLOORS_OF_REAL,
    Cost,
    Training,
    floor_seeds,
    network_probabilities,
    predict_network,
    run_floor,
    train_network,
)
from benchmarks.studies import OTHER_MOUSE, ZILIONIS_MOUSE, node_indices
from schema.labels import CellOntology

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingSet:
    """Studies that a method learns from; epochs and batches of the network, for about as many steps on either set."""

    name: str
    studies: tuple[str, ...]
    max_epochs: int
    batch_size: int


TRAINING_SETS = (
    TrainingSet("two mice", (ZILIONIS_MOUSE.name,), 30, 64),
    TrainingSet("two mice + other studies", (ZILIONIS_MOUSE.name, *(study.name for study in OTHER_MOUSE)), 8, 128),
)
NETWORK = "network"


def mouse_folds() -> tuple[Fold, ...]:
    """Return the four folds of the mice of Zilionis 2019, by donor id."""
    name = ZILIONIS_MOUSE.name
    return cross_folds((f"{name}_h_1", f"{name}_h_2"), (f"{name}_t_1", f"{name}_t_2"))


def run_folds(
    files: dict[str, Path], work: Path, ontology: CellOntology, seeds: Sequence[int]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Run everything and return the calls (see `benchmarks.scores`) and the costs."""
    calls, costs = [], []
    for fold in mouse_folds():
        test = write_test_cells(files[ZILIONIS_MOUSE.name], fold.test_donors, work / f"{fold.name}.h5ad")
        obs = ad.read_h5ad(test).obs
        for training_set in TRAINING_SETS:
            for method, seed, of_nodes, cost in _run_methods(fold, training_set, files, test, ontology, seeds):
                frame = call_frame(obs, of_nodes, ontology)
                calls.append(frame.assign(method=method, training_set=training_set.name, fold=fold.name, seed=seed))
                costs.append({"method": method, "training_set": training_set.name, **asdict(cost)})
    return pd.concat(calls, ignore_index=True), pd.DataFrame(costs)


def training_on(training_set: TrainingSet, files: dict[str, Path], test_donors: Sequence[str], seed: int) -> Training:
    """Return what a method learns from: the files of a training set without the test donors."""
    return Training(
        files=tuple(files[name] for name in training_set.studies),
        test_donors=tuple(test_donors),
        max_epochs=training_set.max_epochs,
        batch_size=training_set.batch_size,
        seed=seed,
    )


def write_test_cells(path: Path, donors: Sequence[str], target: Path) -> Path:
    """Write the cells of some donors of a file to another file."""
    cells = ad.read_h5ad(path)
    cells[cells.obs["donor_id"].isin(donors).to_numpy()].copy().write_h5ad(target)
    return target


def call_frame(obs: pd.DataFrame, of_nodes: npt.NDArray[np.floating], ontology: CellOntology) -> pd.DataFrame:
    """Return one row per cell: `cell_id`, `group` (library), `stratum` (donor), truth and calls as node indices.

    Parameters
    ----------
    obs
        Harmonised obs of the test cells.
    of_nodes
        float `[n_cells, n_nodes]`.
    """
    truth = node_indices(obs["cell_type"], ontology)
    types = call_types(of_nodes, ontology)
    of_type = np.append(ontology.ancestor_at(2), -1)
    return pd.DataFrame(
        {
            "cell_id": obs.index.astype(str),
            "group": obs["sample_id"].astype(str).to_numpy(),
            "stratum": obs["donor_id"].astype(str).to_numpy(),
            "truth": truth,
            "truth_type": of_type[truth],
            "type_call": types,
            "state_call": call_states(of_nodes, types, ontology),
        }
    )


def _run_methods(
    fold: Fold,
    training_set: TrainingSet,
    files: dict[str, Path],
    test: Path,
    ontology: CellOntology,
    seeds: Sequence[int],
) -> Iterator[tuple[str, int, npt.NDArray[np.floating], Cost]]:
    place = test.with_suffix("") / training_set.name.replace(" ", "_")
    place.mkdir(parents=True)
    for seed in seeds:
        training = training_on(training_set, files, fold.test_donors, seed)
        for method in FLOORS_OF_REAL:
            if seed in floor_seeds(method, seeds):
                yield method, seed, *run_floor(method, training, test, place / f"{method}_{seed}", ontology)
        run, output = place / f"network_{seed}", place / f"predicted_{seed}"
        fit, predict = train_network(training, run), predict_network(run, test, output)
        logger.info("fold %s, %s, seed %d: trained in %.0f s", fold.name, training_set.name, seed, fit.seconds)
        yield NETWORK, seed, network_probabilities(output, ontology), Cost.of(fit, predict)
