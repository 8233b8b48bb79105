"""Floors that a network must pass: majority, logistic regression, PCA with logistic regression, a plain MLP.

As a command (see `benchmarks.floor_process`) it fits one of them on files and predicts the cells of another file.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anndata as ad
import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from benchmarks.floor_process import Commands, run
from benchmarks.joint import MIN_CELLS, labels_of, log_scaled, shown_genes

N_COMPONENTS = 50

Texts = npt.NDArray[np.str_]
Floats = npt.NDArray[np.floating]


class Classifier(Protocol):
    """What can be asked for probabilities, as scikit-learn's classifiers."""

    def predict_proba(self, x: sparse.csr_matrix) -> Floats:
        """Map cells float32 CSR `[n_cells, n_genes]` to probabilities float `[n_cells, n_classes]`."""


@dataclass(frozen=True)
class Floor:
    """A fitted floor: its classes `[n_classes]` and what gives their probabilities."""

    classes: Texts
    model: Classifier


class Shares:
    """Gives every cell the same probabilities."""

    def __init__(self, shares: Floats) -> None:
        self._shares = shares

    def predict_proba(self, x: sparse.csr_matrix) -> Floats:
        """Map cells float32 CSR `[n_cells, n_genes]` to probabilities float `[n_cells, n_classes]`."""
        return np.tile(self._shares, (x.shape[0], 1))


def fit_majority(x: sparse.csr_matrix, labels: Texts, seed: int) -> Floor:  # noqa: ARG001 - siblings share a signature
    """Give every cell the shares of the classes among the training cells, so that the commonest is always called."""
    classes, counts = np.unique(labels, return_counts=True)
    return Floor(classes, Shares(counts / counts.sum()))


def fit_logistic(x: sparse.csr_matrix, labels: Texts, seed: int) -> Floor:
    """Fit multinomial logistic regression with ridge penalty (C = 1) on log1p counts."""
    model = LogisticRegression(C=1.0, max_iter=1000, random_state=seed).fit(x, labels)
    return Floor(model.classes_.astype(str), model)


def fit_pca_logistic(x: sparse.csr_matrix, labels: Texts, seed: int) -> Floor:
    """Fit logistic regression on the first 50 principal components of log1p counts, both from the training cells."""
    n_components = min(N_COMPONENTS, x.shape[0] - 1, x.shape[1] - 1)
    pca = PCA(n_components=n_components, svd_solver="randomized", random_state=seed)
    logistic = LogisticRegression(C=1.0, max_iter=1000, random_state=seed)
    model = make_pipeline(FunctionTransformer(_dense, accept_sparse=True), pca, logistic).fit(x, labels)
    return Floor(model.classes_.astype(str), model)


def fit_mlp(x: sparse.csr_matrix, labels: Texts, seed: int) -> Floor:
    """Fit a plain MLP on log1p counts (see `benchmarks.floor_mlp`)."""
    from benchmarks.floor_mlp import PlainMlp  # here, so that the other floors are not charged with torch's memory

    classes, codes = np.unique(labels, return_inverse=True)
    return Floor(classes, PlainMlp(x.shape[1], len(classes), seed).fit(x, codes))


FLOORS: dict[str, Callable[[sparse.csr_matrix, Texts, int], Floor]] = {
    "majority": fit_majority,
    "logistic": fit_logistic,
    "pca_logistic": fit_pca_logistic,
    "mlp": fit_mlp,
}


def fit(parts: list[ad.AnnData], method: str, seed: int, model: Path) -> None:
    """Fit a floor on training cells and write it with its genes."""
    genes = shown_genes(parts, MIN_CELLS)
    x = sparse.vstack([log_scaled(cells, genes) for cells in parts], format="csr")
    model.write_bytes(pickle.dumps((genes, FLOORS[method](x, labels_of(parts), seed))))


def predict(model: Path, test: Path) -> tuple[Texts, Floats]:
    """Return classes and probabilities of the cells of a file."""
    genes, floor = pickle.loads(model.read_bytes())  # noqa: S301 - what fit wrote a moment ago
    return floor.classes, floor.model.predict_proba(log_scaled(ad.read_h5ad(test), genes))


def _dense(x: sparse.csr_matrix) -> Floats:
    return np.asarray(x.toarray())


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit or predict."""
    run(Commands(fit, predict), tuple(FLOORS), arguments)


if __name__ == "__main__":
    main()
