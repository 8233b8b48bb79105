"""Mixtures of known share: neutrophils and other cells of a donor, thinned, with ambient RNA of the mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import anndata as ad
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

BANDS = ((0.0, 0.0), (0.0, 1.0), (1.0, 5.0), (5.0, 20.0), (20.0, 60.0))
"""Bands of the true share, percent: least and most; the first is neutrophil-free."""
UMI_RANGE = (250.0, 1000.0)
"""Median UMI to which the cells of a mixture are thinned, log-uniform."""
UMI_SPREAD = 0.35
"""Standard deviation of log UMI between the cells of a mixture; cells that have fewer keep what they have."""
AMBIENT_MOST = 0.2
"""Largest share of a mixture's counts that is ambient, uniform from 0."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """Cells of one donor to mix.

    Attributes
    ----------
    donor
        Name.
    neutrophils, others, outside
        Counts, CSR `[n_cells, n_genes]`: neutrophils, other cells that the burden counts, and those that it does not.
    outside_share
        Share of a mixture's droplets that are of the last kind.
    """

    donor: str
    neutrophils: sparse.csr_matrix
    others: sparse.csr_matrix
    outside: sparse.csr_matrix
    outside_share: float = 0.0


class Mixture(NamedTuple):
    """How a mixture is made: true share in percent, droplets, median UMI and ambient share."""

    true_percent: float
    n_droplets: int
    median_umi: float
    ambient_share: float


def draw_plan(rng: np.random.Generator, band: tuple[float, float], sizes: tuple[int, int]) -> Mixture:
    """Draw a mixture of a band: the share is log-uniform in it from 0.1 percent on, droplets log-uniform in sizes."""
    least, most = band
    share = 0.0 if most == 0 else float(np.exp(rng.uniform(np.log(max(least, 0.1)), np.log(most))))
    umi, n_droplets = (float(np.exp(rng.uniform(*np.log(span)))) for span in (UMI_RANGE, sizes))
    return Mixture(share, round(n_droplets), umi, float(rng.uniform(0, AMBIENT_MOST)))


def draw_mixture(rng: np.random.Generator, pool: Pool, plan: Mixture) -> sparse.csr_matrix:
    """Draw the droplets of a mixture, float32 CSR `[n_droplets, n_genes]`, neutrophils first.

    The number of neutrophils is drawn (binomial), as that of a tissue with the true share would be, so that an interval
    has the share to cover and not the cells that happened to be drawn. Cells are drawn without replacement where the
    pool suffices. Each is thinned binomially to its target, part of which is left to ambient RNA, drawn from the summed
    counts of the mixture.
    """
    n_outside = rng.binomial(plan.n_droplets, pool.outside_share)
    n_neutrophils = rng.binomial(plan.n_droplets - n_outside, plan.true_percent / 100)
    parts = ((pool.neutrophils, n_neutrophils), (pool.others, plan.n_droplets - n_outside - n_neutrophils))
    cells = sparse.vstack([_some(rng, *part) for part in (*parts, (pool.outside, n_outside))], format="csr")
    library_size = np.asarray(cells.sum(axis=1)).ravel()
    target = np.minimum(library_size, plan.median_umi * rng.lognormal(0, UMI_SPREAD, plan.n_droplets))
    profile = np.asarray(cells.sum(axis=0)).ravel()
    keep = (1 - plan.ambient_share) * target / np.maximum(library_size, 1)
    cells.data = rng.binomial(cells.data.astype(np.int64), np.repeat(keep, np.diff(cells.indptr))).astype(np.float32)
    soup = _ambient(rng, rng.poisson(plan.ambient_share * target), profile / profile.sum())
    mixed = sparse.csr_matrix(cells + soup)
    mixed.eliminate_zeros()
    return mixed


def write_mixtures(
    pools: Sequence[Pool], plans: Sequence[Mixture], genes: Sequence[str], seed: int, path: Path
) -> pd.DataFrame:
    """Write mixtures, one of each pool in turn, and return a row for each: `sample_id`, `donor_id`, its plan."""
    counts, rows = [], []
    for i, plan in enumerate(plans):
        pool = pools[i % len(pools)]
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,)))
        counts.append(draw_mixture(rng, pool, plan))
        rows.append({"sample_id": f"mixture-{i:04d}", "donor_id": pool.donor, **plan._asdict()})
    table = pd.DataFrame(rows)
    obs = table[["sample_id", "donor_id"]].loc[np.repeat(np.arange(len(plans)), [c.shape[0] for c in counts])]
    obs.index = pd.Index([f"cell-{i}" for i in range(len(obs))])
    cells = ad.AnnData(X=sparse.vstack(counts, format="csr"), obs=obs, var=pd.DataFrame(index=list(genes)))
    cells.write_h5ad(path)
    return table


def _some(rng: np.random.Generator, cells: sparse.csr_matrix, n: int) -> sparse.csr_matrix:
    """Return `n` cells, without replacement where there are so many."""
    return cells[rng.choice(cells.shape[0], n, replace=n > cells.shape[0])] if n else cells[:0]


def _ambient(rng: np.random.Generator, n_counts: Integers, profile: npt.NDArray[np.floating]) -> sparse.csr_matrix:
    """Return so many counts of a profile for each cell, float32 CSR."""
    gene = rng.choice(len(profile), int(n_counts.sum()), p=profile)
    cell = np.repeat(np.arange(len(n_counts)), n_counts)
    shape = (len(n_counts), len(profile))
    return sparse.csr_matrix((np.ones(len(gene), dtype=np.float32), (cell, gene)), shape=shape)
