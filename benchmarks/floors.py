"""Floors that a network must pass: the majority class, logistic regression, and PCA with logistic regression.

As a command it fits one of them on files and writes its probabilities for the cells of another file.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from benchmarks.joint import log_scaled, shown_genes
from benchmarks.studies import NOT_LABELLED

MIN_CELLS = 3
N_COMPONENTS = 50

Texts = npt.NDArray[np.str_]
Floats = npt.NDArray[np.float64]


class Floor(NamedTuple):
    """A fitted floor: its classes `[n_classes]`, and cells float32 CSR `[n_cells, n_genes]` to probabilities."""

    classes: Texts
    predict: Callable[[sparse.csr_matrix], Floats]


def fit_majority(x: sparse.csr_matrix, labels: Texts, seed: int) -> Floor:  # noqa: ARG001 - siblings share a signature
    """Give every cell the shares of the classes among the training cells, so that the commonest is always called."""
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts / counts.sum()
    return Floor(classes, lambda cells: np.tile(shares, (cells.shape[0], 1)))


def fit_logistic(x: sparse.csr_matrix, labels: Texts, seed: int) -> Floor:
    """Fit multinomial logistic regression with ridge penalty (C = 1) on log1p counts."""
    model = LogisticRegression(C=1.0, max_iter=1000, random_state=seed).fit(x, labels)
    return Floor(model.classes_.astype(str), model.predict_proba)


def fit_pca_logistic(x: sparse.csr_matrix, labels: Texts, seed: int) -> Floor:
    """Fit logistic regression on the first 50 principal components of log1p counts, both from the training cells."""
    n_components = min(N_COMPONENTS, x.shape[0] - 1, x.shape[1] - 1)
    pca = PCA(n_components=n_components, svd_solver="randomized", random_state=seed)
    model = make_pipeline(pca, LogisticRegression(C=1.0, max_iter=1000, random_state=seed)).fit(x.toarray(), labels)
    return Floor(model.classes_.astype(str), lambda cells: model.predict_proba(cells.toarray()))


FLOORS: dict[str, Callable[[sparse.csr_matrix, Texts, int], Floor]] = {
    "majority": fit_majority,
    "logistic": fit_logistic,
    "pca_logistic": fit_pca_logistic,
}


def training_cells(files: Sequence[Path], test_donors: Sequence[str]) -> list[ad.AnnData]:
    """Read the labelled cells of all donors that are not tested on, one part per file that has any."""
    parts = []
    for path in files:
        cells = ad.read_h5ad(path)
        use = ~cells.obs["donor_id"].isin(test_donors) & (cells.obs["cell_type"] != NOT_LABELLED)
        if use.any():
            parts.append(cells[use.to_numpy()].copy())
    return parts


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit a floor, predict, and write probabilities (`.npz`) and seconds (`.json`)."""
    parser = argparse.ArgumentParser(description="Fit a floor on files and predict another file.")
    parser.add_argument("--method", choices=sorted(FLOORS), required=True)
    parser.add_argument("--train", type=Path, nargs="+", required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--test-donors", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="path without ending")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    parts = training_cells(options.train, options.test_donors)
    genes = shown_genes(parts, MIN_CELLS)
    x = sparse.vstack([log_scaled(cells, genes) for cells in parts], format="csr")
    labels = np.concatenate([cells.obs["cell_type"].astype(str).to_numpy(dtype=str) for cells in parts])
    floor = FLOORS[options.method](x, labels, options.seed)
    fitted = time.perf_counter()
    probabilities = floor.predict(log_scaled(ad.read_h5ad(options.test), genes))
    done = time.perf_counter()
    np.savez(options.output.with_suffix(".npz"), classes=floor.classes, probabilities=probabilities)
    cost = {
        "fit_seconds": fitted - start,
        "predict_seconds": done - fitted,
        "n_cells": len(labels),
        "n_genes": len(genes),
    }
    options.output.with_suffix(".json").write_text(json.dumps(cost), encoding="utf-8")


if __name__ == "__main__":
    main()
