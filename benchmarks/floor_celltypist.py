"""CellTypist as a floor, and its whole route from a file to tables; runs in an environment of its own.

Dominguez Conde et al. 2022, doi:10.1126/science.abl5197.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import anndata as ad
import celltypist
import numpy as np
import numpy.typing as npt
from scipy import sparse

from benchmarks.floor_process import Commands, run
from benchmarks.joint import MIN_CELLS, labels_of, log_scaled, shown_genes

Texts = npt.NDArray[np.str_]
Floats = npt.NDArray[np.floating]


def fit(parts: list[ad.AnnData], method: str, seed: int, model: Path) -> None:  # noqa: ARG001 - a shared signature
    """Train with stochastic gradient descent and else the defaults; the default solver is refused by scikit-learn."""
    genes = shown_genes(parts, MIN_CELLS)
    x = sparse.vstack([log_scaled(cells, genes) for cells in parts], format="csr")
    trained = celltypist.train(
        x, labels=labels_of(parts), genes=np.array(genes), use_SGD=True, check_expression=False, random_state=seed
    )
    trained.write(str(model))  # under this name, but with the ending .pkl
    model.with_suffix(".pkl").rename(model)


def predict(model: Path, test: Path) -> tuple[Texts, Floats]:
    """Return classes and probabilities; they are of one class against the rest each, and do not sum to 1."""
    table = annotate(model, test).probability_matrix
    return table.columns.to_numpy(dtype=str), table.to_numpy()


def annotate(model: Path, test: Path) -> celltypist.classifier.AnnotationResult:
    """Read a file of counts, scale and annotate it, each cell by itself (no majority vote)."""
    cells = ad.read_h5ad(test)
    scaled = ad.AnnData(log_scaled(cells, list(cells.var_names)), obs=cells.obs, var=cells.var)
    return celltypist.annotate(scaled, model=celltypist.models.Model.load(str(model)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit or predict; `tables MODEL FILE FOLDER` annotates a file and writes CellTypist's own tables."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[0] == "tables":
        model, test, folder = (Path(text) for text in given[1:])
        folder.mkdir(parents=True, exist_ok=True)
        annotate(model, test).to_table(str(folder))
    else:
        run(Commands(fit, predict), ("celltypist",), given)


if __name__ == "__main__":
    main()
