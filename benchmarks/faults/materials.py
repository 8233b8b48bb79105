"""What faults are made from: a small simulated cohort, a bundle trained on it, and a good file with its answer."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import numpy as np

import train
from benchmarks.measure import ROOT
from datamodules.simulate import simulate
from datamodules.simulation.config import SimulationConfig
from schema.command import parse_config

N_CELLS = 120
"""Cells of the good file."""

_KEPT = ["sample_id", "donor_id", "sort_gate"]


class Materials(NamedTuple):
    """Where the good things lie.

    Attributes
    ----------
    training
        Cohort that the bundle was trained on.
    good
        .h5ad of unseen mice: CSR float32, Ensembl ids in `gene_id`, samples in `sample_id`.
    bundle
        The bundle, beside it.
    """

    training: Path
    good: Path
    bundle: Path


def make_materials(folder: Path, seed: int = 100) -> Materials:
    """Simulate a cohort, train on it and write the good file; about half a minute."""
    config = SimulationConfig(output=folder, n_mice=2, n_held_out_mice=1, n_cells=60, n_genes=700, seed=seed)
    with contextlib.redirect_stdout(sys.stderr):
        training, held_out = simulate(config)
        for path in (training, held_out):
            _name_genes(path)
        _write_good(held_out, folder / "good.h5ad")
        arguments = ["--config", str(ROOT / "configs/debug.yaml"), "--data.files", str(training)]
        arguments += ["--output", str(folder / "run"), "--data.stage_scale", "mouse_carcinogenesis"]
        arguments += ["--trainer.max_epochs", "4"]
        train.train(parse_config(train.TrainConfig, arguments))
    (folder / "run/bundle").rename(folder / "bundle")
    return Materials(training, folder / "good.h5ad", folder / "bundle")


def ensembl_ids(n_genes: int) -> list[str]:
    """Return made-up Ensembl ids of mouse genes."""
    return [f"ENSMUSG{number:011d}" for number in range(1, n_genes + 1)]


def _name_genes(path: Path) -> None:
    adata = ad.read_h5ad(path)
    adata.var["gene_id"] = ensembl_ids(adata.n_vars)
    adata.write_h5ad(path)


def _write_good(path: Path, target: Path) -> None:
    adata = ad.read_h5ad(path)
    rows = np.linspace(0, adata.n_obs - 1, N_CELLS).astype(int)
    good = adata[rows].copy()
    good.obs, good.uns = good.obs[_KEPT].copy(), {}
    good.obs["sample_id"] = good.obs["sample_id"].cat.remove_unused_categories()
    good.write_h5ad(target)
