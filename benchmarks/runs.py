"""One run of one method: the network through train.py and predict.py, a floor through a process of its own."""

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
FLOORS_OF_REAL = ("majority", "logistic", "pca_logistic")
"""Floors of `make real`; `make bench-cells` has them all."""
DRAWS_NOTHING = ("majority", "logistic")

Texts = npt.NDArray[np.str_]
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
        Epochs of the network and cells per batch; None = those of the config.
    seed
        Seed of the network or of the floor.
    config
        Config of the network.
    """

    files: tuple[Path, ...]
    test_donors: tuple[str, ...] = ()
    max_epochs: int | None = None
    batch_size: int | None = None
    seed: int
    config: str = EXPERIMENT


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of fitting and of predicting, whole processes, and the largest resident memory of each, MiB."""

    fit_seconds: float
    predict_seconds: float
    fit_peak_mib: float
    predict_peak_mib: float

    @classmethod
    def of(cls, fit: Measured, predict: Measured) -> Cost:
        """Return the cost of two processes."""
        return cls(
            fit_seconds=fit.seconds,
            predict_seconds=predict.seconds,
            fit_peak_mib=fit.peak_mib,
            predict_peak_mib=predict.peak_mib,
        )


def train_network(training: Training, run: Path) -> Measured:
    """Train with train.py into a run folder."""
    command = python("train.py", "--config", training.config, "--output", str(run), "--seed", str(training.seed))
    command += ["--data.files", json.dumps([str(path) for path in training.files])]
    command += ["--split.test_donors", json.dumps(list(training.test_donors))]
    chosen = {"--trainer.max_epochs": training.max_epochs, "--data.batch_size": training.batch_size}
    command += [text for name, value in chosen.items() if value is not None for text in (name, str(value))]
    command += ["--trainer.accelerator", "cpu", "--trainer.progress_bar", "false"]
    return run_measured(command, run.with_suffix(".train.log"))


def predict_network(run: Path, test: Path, output: Path, orthologs: Path | None = None) -> Measured:
    """Predict a file with predict.py and the bundle of a run."""
    command = python(
        "predict.py", str(test), "--bundle", str(run / "bundle"), "--output", str(output), "--report", "false"
    )
    command += ["--orthologs", str(orthologs)] if orthologs else []
    return run_measured(command, output.with_suffix(".predict.log"))


def network_probabilities(output: Path, ontology: CellOntology) -> Floats:
    """Read the probability of every node from a prediction, float `[n_cells, n_nodes]`."""
    cells = ad.read_h5ad(output / "annotated.h5ad")
    names = [str(name) for name in cells.uns["neutrostage"]["probability_columns"]]
    return node_probabilities(names, cells.obsm["neutrostage_probabilities"], ontology)


def floor_probabilities(
    method: str, training: Training, test: Path, output: Path, command: Sequence[str] = ()
) -> tuple[Texts, Floats, Cost]:
    """Fit a floor in one process and predict in another.

    Parameters
    ----------
    method, training, test
        What is fitted, on what, and which cells are predicted.
    output
        Beginning of the paths of model, probabilities and logs.
    command
        What runs the floor (see `benchmarks.floor_process`); empty = `benchmarks.floors` with this interpreter.

    Returns
    -------
    tuple
        Classes `[n_classes]`, probabilities float `[n_cells, n_classes]` and what it cost.
    """
    command = command or python("-m", "benchmarks.floors")
    model, found = output.with_suffix(".model"), output.with_suffix(".npz")
    fit = [*command, "fit", "--method", method, "--seed", str(training.seed), "--model", str(model)]
    fit += ["--train", *(str(path) for path in training.files), "--test-donors", *training.test_donors]
    fitted = run_measured(fit, output.with_suffix(".fit.log"))
    predict = [*command, "predict", "--model", str(model), "--test", str(test), "--output", str(found)]
    predicted = run_measured(predict, output.with_suffix(".predict.log"))
    with np.load(found) as stored:
        return stored["classes"], stored["probabilities"], Cost.of(fitted, predicted)


def run_floor(method: str, training: Training, test: Path, output: Path, ontology: CellOntology) -> tuple[Floats, Cost]:
    """Fit a floor and predict; return node probabilities and what it cost."""
    classes, probabilities, cost = floor_probabilities(method, training, test, output)
    return node_probabilities(classes.tolist(), probabilities, ontology), cost


def floor_seeds(method: str, seeds: Sequence[int]) -> Sequence[int]:
    """Return the seeds worth running on the same cells: one for floors without anything drawn."""
    return seeds[:1] if method in DRAWS_NOTHING else seeds
