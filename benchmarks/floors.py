"""Floors that a network must pass: majority, logistic regression, PCA with logistic regression, a plain MLP.

As a command (see `benchmarks.floor_process`) it fits one of them on files and predicts the cells of another file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import softmax
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from benchmarks.floor_process import Commands, run
from benchmarks.joint import MIN_CELLS, labels_of, log_scaled, shown_genes

N_COMPONENTS = 50
_CELLS_AT_ONCE = 4096

Texts = npt.NDArray[np.str_]
Floats = npt.NDArray[np.floating]


class Layer(NamedTuple):
    """A linear layer: weight float `[n_out, n_in]` and bias float `[n_out]`."""

    weight: Floats
    bias: Floats


class Floor(NamedTuple):
    """A fitted floor: its classes `[n_classes]`, and the linear layers, with ReLU between, that give their logits."""

    classes: Texts
    layers: tuple[Layer, ...]

    def probabilities(self, x: sparse.csr_matrix) -> Floats:
        """Map cells float32 CSR `[n_cells, n_genes]` to probabilities float `[n_cells, n_classes]`."""
        starts = range(0, x.shape[0], _CELLS_AT_ONCE)
        logits = np.concatenate([self._logits(x[start : start + _CELLS_AT_ONCE]) for start in starts])
        return np.asarray(softmax(logits, axis=1))

    def _logits(self, x: sparse.csr_matrix) -> Floats:
        first, *later = self.layers
        values = x @ first.weight.T + first.bias
        for layer in later:
            values = np.maximum(values, 0) @ layer.weight.T + layer.bias
        return np.asarray(values)


def fit_majority(x: sparse.csr_matrix, labels: Texts, seed: int) -> Floor:  # noqa: ARG001 - siblings share a signature
    """Give every cell the shares of the classes among the training cells, so that the commonest is always called."""
    classes, counts = np.unique(labels, return_counts=True)
    return Floor(classes, (Layer(np.zeros((len(classes), x.shape[1])), np.log(counts / counts.sum())),))


def fit_logistic(x: sparse.csr_matrix, labels: Texts, seed: int) -> Floor:
    """Fit multinomial logistic regression with ridge penalty (C = 1) on log1p counts."""
    classes, layer = _logistic(x, labels, seed)
    return Floor(classes, (layer,))


def fit_pca_logistic(x: sparse.csr_matrix, labels: Texts, seed: int) -> Floor:
    """Fit logistic regression on the first 50 principal components of log1p counts, both from the training cells."""
    n_components = min(N_COMPONENTS, x.shape[0] - 1, x.shape[1] - 1)
    pca = PCA(n_components=n_components, svd_solver="randomized", random_state=seed)
    classes, layer = _logistic(pca.fit_transform(np.asarray(x.toarray())), labels, seed)
    weight = layer.weight @ pca.components_
    return Floor(classes, (Layer(weight, layer.bias - weight @ pca.mean_),))


def fit_mlp(x: sparse.csr_matrix, labels: Texts, seed: int) -> Floor:
    """Fit a plain MLP on log1p counts (see `benchmarks.floor_mlp`)."""
    from benchmarks.floor_mlp import PlainMlp  # here, so that the other floors are not charged with torch's memory

    classes, codes = np.unique(labels, return_inverse=True)
    layers = PlainMlp(x.shape[1], len(classes), seed).fit(x, codes).weights()
    return Floor(classes, tuple(Layer(*pair) for pair in layers))


FLOORS: dict[str, Callable[[sparse.csr_matrix, Texts, int], Floor]] = {
    "majority": fit_majority,
    "logistic": fit_logistic,
    "pca_logistic": fit_pca_logistic,
    "mlp": fit_mlp,
}


def fit(parts: list[ad.AnnData], method: str, seed: int, model: Path) -> None:
    """Fit a floor on training cells and write it with its genes, plain arrays."""
    genes = shown_genes(parts, MIN_CELLS)
    x = sparse.vstack([log_scaled(cells, genes) for cells in parts], format="csr")
    floor = FLOORS[method](x, labels_of(parts), seed)
    arrays: dict[str, npt.NDArray[Any]] = {"genes": np.array(genes), "classes": floor.classes}
    arrays |= {str(i): array for i, array in enumerate(chain.from_iterable(floor.layers))}
    with model.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def predict(model: Path, test: Path) -> tuple[Texts, Floats]:
    """Return classes and probabilities of the cells of a file."""
    with np.load(model, allow_pickle=False) as stored:
        arrays = [stored[str(i)] for i in range(len(stored.files) - 2)]
        genes, classes = stored["genes"].tolist(), stored["classes"]
    floor = Floor(classes, tuple(Layer(*pair) for pair in zip(arrays[::2], arrays[1::2], strict=True)))
    return classes, floor.probabilities(log_scaled(ad.read_h5ad(test), genes))


def _logistic(x: sparse.csr_matrix | Floats, labels: Texts, seed: int) -> tuple[Texts, Layer]:
    """Return the classes and the layer of a logistic regression; of two classes, the first has logit 0."""
    model = LogisticRegression(C=1.0, max_iter=1000, random_state=seed).fit(x, labels)
    weight, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        weight, bias = np.vstack([np.zeros_like(weight), weight]), np.append(0.0, bias)
    return model.classes_.astype(str), Layer(weight, bias)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit or predict."""
    run(Commands(fit, predict), tuple(FLOORS), arguments)


if __name__ == "__main__":
    main()
