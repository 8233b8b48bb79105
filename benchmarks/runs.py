"""One run of one method: the network through train.py and predict.py, a floor through benchmarks.floors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import numpy.typing as npt

from benchmarks.calls import node_probabilities
from benchmarks.measure import Measured, python, run_measured
from schema.labels import CellOntology

EXPERIMENT = "configs/experiment/zilionis_states.yaml"

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Training:
    """What a method learns from.

    Attributes
    ----------
    files
        Harmonised copies.
    test_donors
        Donors that are left out.
    max_epochs, batch_size
        Epochs of the network and cells per batch.
    seed
        Seed of the network or of the floor.
    """

    files: tuple[Path, ...]
    test_donors: tuple[str, ...]
    max_epochs: int
    batch_size: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of fitting and of predicting, and the larger peak of resident memory of the two, MiB."""

    fit_seconds: float
    predict_seconds: float
    peak_mib: float


def train_network(training: Training, run: Path) -> Measured:
    """Train with train.py into a run folder."""
    command = python("train.py", "--config", EXPERIMENT, "--output", str(run), "--seed", str(training.seed))
    command += ["--data.files", json.dumps([str(path) for path in training.files])]
    command += ["--split.test_donors", json.dumps(list(training.test_donors))]
    command += ["--trainer.max_epochs", str(training.max_epochs), "--data.batch_size", str(training.batch_size)]
    command += ["--trainer.accelerator", "cpu", "--trainer.progress_bar", "false"]
    return run_measured(command, run.with_suffix(".train.log"))


def predict_network(run: Path, test: Path, output: Path, orthologs: Path | None = None) -> Measured:
    """Predict a file with predict.py and the bundle of a run."""
    command = python("predict.py", str(test), "--bundle", str(run / "bundle"), "--output", str(output))
    command += ["--orthologs", str(orthologs)] if orthologs else []
    return run_measured(command, output.with_suffix(".predict.log"))


def network_probabilities(output: Path, ontology: CellOntology) -> Floats:
    """Read the probability of every node from a prediction, float `[n_cells, n_nodes]`."""
    cells = ad.read_h5ad(output / "annotated.h5ad")
    names = [str(name) for name in cells.uns["neutrostage"]["probability_columns"]]
    return node_probabilities(names, cells.obsm["neutrostage_probabilities"], ontology)


def run_floor(method: str, training: Training, test: Path, output: Path, ontology: CellOntology) -> tuple[Floats, Cost]:
    """Fit a floor and predict, in one process; return node probabilities and what it cost."""
    command = python("-m", "benchmarks.floors", "--method", method, "--seed", str(training.seed))
    command += ["--train", *(str(path) for path in training.files), "--test", str(test), "--output", str(output)]
    command += ["--test-donors", *training.test_donors]
    measured = run_measured(command, output.with_suffix(".log"))
    seconds = json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))
    with np.load(output.with_suffix(".npz")) as stored:
        of_nodes = node_probabilities(stored["classes"].tolist(), stored["probabilities"], ontology)
    return of_nodes, Cost(
        fit_seconds=seconds["fit_seconds"], predict_seconds=seconds["predict_seconds"], peak_mib=measured.peak_mib
    )


def floor_seeds(method: str, seeds: Sequence[int]) -> Sequence[int]:
    """Return the seeds worth running: one for floors without anything drawn."""
    return seeds if method == "pca_logistic" else seeds[:1]
