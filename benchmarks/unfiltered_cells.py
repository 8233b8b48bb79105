"""Cells of a simulated cohort among droplets without a cell, and cells thinned to few UMI."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

MEDIAN_EMPTY, MOST_EMPTY = 4.0, 49
"""UMI of droplets without a cell: median of a lognormal, and the most."""

AMBIENT_UMI = (60, 300)
"""UMI of the droplets that hold more ambient RNA, uniform."""

THINNED = (20, 35, 50, 75, 100, 150, 250)
"""Expected UMI to which cells are thinned."""

N_THINNED = 3000
"""Cells that are thinned."""


def write_unfiltered(cells: ad.AnnData, path: Path, n_empty: int, n_ambient: int, seed: int = 0) -> Path:
    """Write cells in random order among droplets whose UMI are drawn from the summed counts of their sample."""
    rng = np.random.default_rng(seed)
    samples = cells.obs["sample_id"].astype(str)
    names = samples.unique()
    counts, obs = [sparse.csr_matrix(cells.X)], [cells.obs[["sample_id"]].astype(str)]
    for name in names:
        profile = np.asarray(cells.X[(samples == name).to_numpy()].sum(axis=0)).ravel()
        empty = rng.poisson(rng.lognormal(np.log(MEDIAN_EMPTY), 0.9, n_empty // len(names)))
        ambient = rng.poisson(rng.uniform(*AMBIENT_UMI, n_ambient // len(names)))
        size = np.concatenate([np.minimum(empty, MOST_EMPTY), ambient])
        counts.append(_droplets(rng, profile, size))
        obs.append(pd.DataFrame({"sample_id": name}, index=[f"{name}-droplet-{i}" for i in range(len(size))]))
    order = rng.permutation(sum(part.shape[0] for part in counts))
    everything = ad.AnnData(sparse.vstack(counts).tocsr()[order], obs=pd.concat(obs).iloc[order], var=cells.var)
    everything.write_h5ad(path)
    return path


def _droplets(
    rng: np.random.Generator, profile: npt.NDArray[np.floating], size: npt.NDArray[np.int64]
) -> sparse.csr_matrix:
    """Return droplets of so many UMI each, float32 CSR `[n_droplets, n_genes]`."""
    gene = np.searchsorted(np.cumsum(profile) / profile.sum(), rng.random(size.sum())).clip(max=len(profile) - 1)
    row = np.repeat(np.arange(len(size)), size)
    ones = np.ones(len(gene), dtype=np.float32)
    return sparse.coo_matrix((ones, (row, gene)), shape=(len(size), len(profile))).tocsr()


def write_thinned(cells: ad.AnnData, path: Path, seed: int = 0) -> Path:
    """Write some cells once for each of `THINNED`, every count thinned binomially."""
    rng = np.random.default_rng(seed)
    cells = cells[rng.permutation(cells.n_obs)[:N_THINNED]].copy()
    counts = sparse.csr_matrix(cells.X)
    library_size = np.asarray(counts.sum(axis=1)).ravel()
    parts = []
    for umi in THINNED:
        thin = counts.copy()
        kept = np.repeat(np.minimum(1, umi / library_size), np.diff(thin.indptr))
        thin.data = rng.binomial(thin.data.astype(np.int64), kept).astype(np.float32)
        thin.eliminate_zeros()
        obs = cells.obs[["true_cell_type_id"]].astype(str).assign(sample_id=str(umi))
        obs.index = [f"{name}-{umi}" for name in obs.index]
        parts.append(ad.AnnData(thin, obs=obs, var=cells.var))
    ad.concat(parts, merge="same").write_h5ad(path)
    return path
