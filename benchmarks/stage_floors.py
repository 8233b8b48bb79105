"""Floors for the stage of samples: fitted on the training samples of a cohort, asked about its held-out ones.

All but the probes are told the true types of all cells, which a network must find out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import anndata as ad
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy import sparse

from benchmarks.joint import log_scaled
from model.proportional_odds import fit_proportional_odds
from model.stage_features import COMPOSITION
from model.stage_folds import choose_penalty
from model.stage_heads import StageInputs

PRIOR_SHARE = 0.005
LEAST_CELLS = 10
"""Cells of a type in a sample for its pseudobulk; with fewer it stands at the mean of the samples."""

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class StagedCells(NamedTuple):
    """Cells of samples whose stage is known.

    Attributes
    ----------
    counts
        Raw counts with `cell_type` (true), by cell.
    sample
        int64 `[n_cells]`, sample of each cell.
    level, donor, study
        int64 `[n_samples]`.
    """

    counts: ad.AnnData
    sample: Ints
    level: Ints
    donor: Ints
    study: Ints

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.level)

    def mean_of(self, values: Doubles | sparse.csr_matrix, chosen: npt.NDArray[np.bool_] | None = None) -> Doubles:
        """Return the mean of the values of the (chosen) cells of each sample, `[n_samples, n]`; NaN without cells."""
        weight = np.ones(len(self.sample)) if chosen is None else chosen.astype(float)
        place = sparse.csr_matrix((weight, (self.sample, np.arange(len(self.sample)))), (self.n_samples, len(weight)))
        n_cells = np.asarray(place.sum(axis=1))
        with np.errstate(invalid="ignore"):
            total = place @ values
            found: Doubles = np.asarray(total.toarray() if sparse.issparse(total) else total) / n_cells
        return found


def composition(training: StagedCells, test: StagedCells) -> tuple[Doubles, Doubles]:
    """Return centred log-ratios of the true types."""
    types = sorted(training.counts.obs["cell_type"].unique())

    def of(cells: StagedCells) -> Doubles:
        dummies = np.asarray(cells.counts.obs["cell_type"].to_numpy()[:, None] == np.array(types), dtype=np.float64)
        logs = np.log(cells.mean_of(dummies) + PRIOR_SHARE)
        return np.asarray(logs - logs.mean(axis=1, keepdims=True))

    return of(training), of(test)


def pseudobulk(training: StagedCells, test: StagedCells) -> tuple[Doubles, Doubles]:
    """Return the mean normalised expression of all cells of a sample."""
    genes = list(training.counts.var_names)
    return tuple(cells.mean_of(log_scaled(cells.counts, genes)) for cells in (training, test))  # type: ignore[return-value]


def type_pseudobulk(training: StagedCells, test: StagedCells) -> tuple[Doubles, Doubles]:
    """Return the mean normalised expression of the cells of each true type of a sample, side by side."""
    genes = list(training.counts.var_names)
    blocks: tuple[list[Doubles], list[Doubles]] = ([], [])
    scaled = [log_scaled(cells.counts, genes) for cells in (training, test)]
    for name in sorted(training.counts.obs["cell_type"].unique()):
        means = []
        for cells, values in zip((training, test), scaled, strict=True):
            is_type = (cells.counts.obs["cell_type"] == name).to_numpy()
            mean = cells.mean_of(values, is_type)
            mean[np.bincount(cells.sample[is_type], minlength=cells.n_samples) < LEAST_CELLS] = np.nan
            means.append(mean)
        if np.isfinite(means[0]).any():
            centre = np.nanmean(means[0], axis=0)
            for block, mean in zip(blocks, means, strict=True):
                block.append(np.where(np.isfinite(mean), mean, centre))
    return np.hstack(blocks[0]), np.hstack(blocks[1])


def depth(training: StagedCells, test: StagedCells) -> tuple[Doubles, Doubles]:
    """Return the logarithms of cells and of UMI per cell, a probe: nothing of biology."""

    def of(cells: StagedCells) -> Doubles:
        umi = np.log(np.asarray(cells.counts.X.sum(axis=1), dtype=np.float64).clip(1))
        n_cells = np.log(np.bincount(cells.sample, minlength=cells.n_samples))[:, None]
        return np.hstack([n_cells, cells.mean_of(umi)])

    first, second = of(training), of(test)
    mean, spread = first.mean(axis=0), first.std(axis=0) + 1e-9
    return (first - mean) / spread, (second - mean) / spread


def batch(training: StagedCells, test: StagedCells) -> tuple[Doubles, Doubles]:
    """Return the study, a probe."""
    studies = np.unique(training.study)
    return tuple((cells.study[:, None] == studies).astype(np.float64) for cells in (training, test))


Features = Callable[[StagedCells, StagedCells], tuple[Doubles, Doubles]]
FLOORS: dict[str, Features] = {
    "composition": composition,
    "pseudobulk": pseudobulk,
    "cell-type pseudobulk": type_pseudobulk,
}
PROBES: dict[str, Features] = {"depth alone": depth, "study alone": batch}
MAJORITY = "majority"


def majority(training: StagedCells, test: StagedCells, n_levels: int) -> Doubles:
    """Return P(level >= k) by the shares of the training samples, float64 `[n_samples, n_levels - 1]`."""
    shares = np.bincount(training.level, minlength=n_levels) / training.n_samples
    return np.tile(shares[::-1].cumsum()[::-1][1:], (test.n_samples, 1))


def ridge(features: Features, training: StagedCells, test: StagedCells, n_levels: int, seed: int) -> Doubles:
    """Return P(level >= k) by ridge proportional odds, the penalty chosen on training donors held out in turn."""
    first, second = (torch.from_numpy(part).float() for part in features(training, test))
    level = torch.from_numpy(training.level)
    penalty = choose_penalty(COMPOSITION, StageInputs.of_values(first), level, training.donor, n_levels, seed)
    model = fit_proportional_odds([first], level, n_levels, penalty)
    found: Doubles = model(second).sigmoid().double().numpy()
    return found


def staged_cells(path: str, scale: dict[str, int]) -> StagedCells:
    """Read a simulated file; stages by name to level."""
    cells = ad.read_h5ad(path)
    cells.obs["cell_type"] = cells.obs["true_cell_type_id"].astype(str)
    sample = cells.obs["sample_id"].astype("category").cat
    first = cells.obs.groupby("sample_id", observed=True).first().loc[sample.categories]
    donor, study = (pd.Categorical(first[name]).codes.astype(np.int64) for name in ("donor_id", "study"))
    level = first["tumor_stage"].map(scale).to_numpy(np.int64)
    return StagedCells(cells, sample.codes.to_numpy().astype(np.int64), level, donor, study)
