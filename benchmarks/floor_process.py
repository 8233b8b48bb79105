"""The command line of every floor: `fit` writes a model, `predict` writes probabilities of the cells of a file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import numpy as np
import numpy.typing as npt

from benchmarks.joint import training_cells

Texts = npt.NDArray[np.str_]
Floats = npt.NDArray[np.floating]


class Commands(NamedTuple):
    """What a floor does.

    Attributes
    ----------
    fit
        Training cells (one part per file), method, seed and path of the model to write.
    predict
        Path of a model and of an h5ad, to classes `[n_classes]` and probabilities float `[n_cells, n_classes]`.
    """

    fit: Callable[[list[ad.AnnData], str, int, Path], None]
    predict: Callable[[Path, Path], tuple[Texts, Floats]]


def run(commands: Commands, methods: Sequence[str], arguments: Sequence[str] | None = None) -> None:
    """Read the command line and fit, or predict into an `.npz` with `classes` and `probabilities`."""
    options = parse(methods, arguments)
    if options.command == "fit":
        parts = training_cells(options.train, options.test_donors)
        commands.fit(parts, options.method, options.seed, options.model)
    else:
        classes, probabilities = commands.predict(options.model, options.test)
        np.savez(options.output, classes=classes, probabilities=probabilities)


def parse(methods: Sequence[str], arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Fit a floor on files, or predict the cells of another file.")
    commands = parser.add_subparsers(dest="command", required=True)
    fit = commands.add_parser("fit")
    fit.add_argument("--method", choices=sorted(methods), required=True)
    fit.add_argument("--train", type=Path, nargs="+", required=True, help="harmonised files")
    fit.add_argument("--test-donors", nargs="*", default=[], help="donors that are left out")
    fit.add_argument("--seed", type=int, default=0)
    fit.add_argument("--model", type=Path, required=True, help="what to write")
    predict = commands.add_parser("predict")
    predict.add_argument("--model", type=Path, required=True, help="what fit wrote")
    predict.add_argument("--test", type=Path, required=True, help="cells to predict")
    predict.add_argument("--output", type=Path, required=True, help="path of the .npz")
    return parser.parse_args(arguments)
