"""Cells of held-out donors to mix: simulated mice, and mice of Zilionis 2019 among other real cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from benchmarks.burden_mixtures import Pool
from benchmarks.studies import node_indices
from datamodules.simulation.cohort import SimulatedSample, plan_samples
from datamodules.simulation.config import SimulationConfig
from datamodules.simulation.design import N_STAGES
from datamodules.simulation.droplets import AMBIENT, Droplets
from datamodules.simulation.sample import SampleSimulator
from schema.labels import CellOntology

Integers = npt.NDArray[np.int64]

ALMOST_ALL = 2000.0
"""Percent of neutrophils beside the 100 of all other types: 95 % of the cells."""


class PoolSimulator:
    """Draws pools of mice of a simulated cohort: the mouse is the cohort's own, its cells are new.

    Parameters
    ----------
    config
        Of the cohort; `n_cells` is that of a pool.
    """

    def __init__(self, config: SimulationConfig) -> None:
        self._ontology = CellOntology.load()
        roles = self._ontology.roles
        self._is_neutrophil = self._ontology.inside(roles.neutrophil)
        self._is_outside = self._ontology.inside(*roles.outside_denominator)
        self._simulators = [with_neutrophils(config, self._ontology, percent) for percent in (ALMOST_ALL, 0.0)]

    @property
    def genes(self) -> tuple[str, ...]:
        """Genes of the pools."""
        return self._simulators[0].tissue.genes

    def pool(self, sample: SimulatedSample) -> Pool:
        """Return the cells of a mouse, without ambient RNA, which mixtures get, and without doublets."""
        (rich, rich_node), (free, node) = (self._cells(simulator, sample) for simulator in self._simulators)
        is_other, is_outside = ~self._is_outside[node] & ~self._is_neutrophil[node], self._is_outside[node]
        return Pool(
            sample.donor_id,
            rich[self._is_neutrophil[rich_node]],
            free[is_other],
            free[is_outside],
            outside_share=float(is_outside.sum() / (is_outside | is_other).sum()),
        )

    def _cells(self, simulator: SampleSimulator, sample: SimulatedSample) -> tuple[sparse.csr_matrix, Integers]:
        """Return counts and nodes of the droplets of a mouse that hold one cell."""
        droplets = without_ambient(simulator.draw_droplets(sample))
        counts = sparse.vstack(list(simulator.draw_counts(sample, droplets)), format="csr")
        kept = (np.diff(droplets.first_part) == 1) & (droplets.kind != AMBIENT)
        return counts[kept], np.array([self._ontology.index_by_id[name] for name in droplets.kind[kept]])


def with_neutrophils(config: SimulationConfig, ontology: CellOntology, percent: float) -> SampleSimulator:
    """Return a simulator of the same tissue with another percentage of neutrophils, beside 100 of all others."""
    simulator = SampleSimulator(config, ontology)
    design, role = simulator.tissue.design, ontology.roles.neutrophil
    types = tuple(replace(t, percent=(percent,) * N_STAGES) if t.id == role else t for t in design.types)
    simulator.tissue = replace(simulator.tissue, design=replace(design, types=types))
    return simulator


def held_out_mice(n_mice: int, n_held_out_mice: int) -> list[SimulatedSample]:
    """Return the held-out mice of a cohort, without the one that lost its neutrophils."""
    planned = plan_samples(n_mice, n_held_out_mice, confounded=False)
    return [sample for sample in planned if sample.held_out and not sample.neutrophils_lost]


def without_ambient(droplets: Droplets) -> Droplets:
    """Return droplets whose cells hold no ambient RNA."""
    return replace(droplets, ambient_fraction=np.where(droplets.ambient_fraction < 1, 0, 1).astype(np.float32))


def real_pool(
    files: Sequence[Path], mouse: str, others: Sequence[str], ontology: CellOntology
) -> tuple[Pool, tuple[str, ...]]:
    """Return neutrophils of a mouse of Zilionis 2019 with other cells of its own and of others, and the genes of all.

    Parameters
    ----------
    files
        Harmonised copies.
    mouse, others
        Donor of the neutrophils, and donors whose other cells are mixed in.
    ontology
        Tree of the labels. Cells whose label leaves open whether the burden counts them are left out.
    """
    roles = ontology.roles
    either = ontology.below(roles.neutrophil, *roles.outside_denominator)
    is_neutrophil, is_other = (
        ontology.inside(roles.neutrophil),
        np.asarray(~(ontology.leaves_below & either).any(axis=1)),
    )
    read = [ad.read_h5ad(path) for path in files]
    parts = [cells[cells.obs["donor_id"].isin((mouse, *others)).to_numpy()] for cells in read]
    parts = [cells for cells in parts if cells.n_obs]
    shared = set.intersection(*(set(cells.var_names) for cells in parts))
    genes = tuple(name for name in parts[0].var_names if name in shared)
    counts = sparse.vstack([sparse.csr_matrix(cells[:, list(genes)].X) for cells in parts], format="csr")
    obs = pd.concat([cells.obs[["donor_id", "cell_type"]].astype(str) for cells in parts])
    node = node_indices(obs["cell_type"], ontology)
    of_mouse = (obs["donor_id"] == mouse).to_numpy()
    neutrophils, rest = (node >= 0) & is_neutrophil[node] & of_mouse, (node >= 0) & is_other[node]
    return Pool(mouse, counts[neutrophils], counts[rest], counts[:0]), genes
