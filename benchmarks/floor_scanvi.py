"""scANVI as a floor: trained on reference cells, new cells mapped by surgery; runs in an environment of its own.

Xu et al. 2021, doi:10.15252/msb.20209620; surgery: Lotfollahi et al. 2022, doi:10.1038/s41587-021-01001-7.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import numpy.typing as npt
import scvi
from scipy import sparse

from benchmarks.floor_process import Commands, run
from benchmarks.joint import MIN_CELLS, NOT_LABELLED, in_order, shown_genes

N_EPOCHS = {"scvi": 60, "scanvi": 20, "surgery": 20}
"""Epochs of the three trainings; the package's own defaults (up to 400, 10 and 200) take hours here on two cores."""
SHORT = os.environ.get("QUICK") == "1"
_GENES = "genes.json"

Texts = npt.NDArray[np.str_]
Floats = npt.NDArray[np.floating]


def fit(parts: list[ad.AnnData], method: str, seed: int, model: Path) -> None:  # noqa: ARG001 - a shared signature
    """Train scVI and from it scANVI on counts of the genes that training cells show; donors are its batches."""
    scvi.settings.seed = seed
    genes = shown_genes(parts, MIN_CELLS)
    cells = ad.concat([_counts(part, genes) for part in parts])
    scvi.model.SCVI.setup_anndata(cells, batch_key="donor_id", labels_key="cell_type")
    base = scvi.model.SCVI(cells, n_layers=2, encode_covariates=True, use_layer_norm="both", use_batch_norm="none")
    base.train(max_epochs=_epochs("scvi"), **_TRAINER)
    trained = scvi.model.SCANVI.from_scvi_model(base, unlabeled_category=NOT_LABELLED)
    trained.train(max_epochs=_epochs("scanvi"), **_TRAINER)
    trained.save(str(model))
    (model / _GENES).write_text(json.dumps(genes), encoding="utf-8")


def predict(model: Path, test: Path) -> tuple[Texts, Floats]:
    """Map new donors by surgery, as its authors advise, and return classes and probabilities."""
    scvi.settings.seed = 0
    genes = json.loads((model / _GENES).read_text(encoding="utf-8"))
    cells = _counts(ad.read_h5ad(test), genes)
    cells.obs["cell_type"] = NOT_LABELLED
    mapped = scvi.model.SCANVI.load_query_data(cells, str(model))
    mapped.train(max_epochs=_epochs("surgery"), plan_kwargs={"weight_decay": 0.0}, **_TRAINER)
    table = mapped.predict(soft=True)
    return table.columns.to_numpy(dtype=str), table.to_numpy()


_TRAINER = {"accelerator": "cpu", "devices": 1, "enable_progress_bar": False, "early_stopping": False}


def _epochs(training: str) -> int:
    return 2 if SHORT else N_EPOCHS[training]


def _counts(cells: ad.AnnData, genes: Sequence[str]) -> ad.AnnData:
    counts = in_order(sparse.csr_matrix(cells.X, dtype=np.float32), cells.var_names, genes)
    obs = cells.obs[["donor_id", "cell_type"]].astype(str)
    return ad.AnnData(counts, obs=obs, var={"gene": list(genes)}).copy()


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit or predict."""
    run(Commands(fit, predict), ("scanvi",), arguments)


if __name__ == "__main__":
    main()
