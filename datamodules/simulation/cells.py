"""Cells of one simulated type: how each divides its mRNA between its type, its subset, programmes and neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datamodules.simulation.design import SubsetDesign, TypeDesign
from datamodules.simulation.tissue import Tissue

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

BLEND = (1.0, 4.0)
"""Beta parameters of the share of its identity that a cell has from the type it is like: on average 20 %."""
ACTIVITY_SPREAD = 0.5
"""Standard deviation of log programme activity between cells."""
INTERACTION_ON, INTERACTION_OFF = 0.09, 0.005
"""Share of mRNA spent on a programme of an interaction where it is on and where it is off."""
INTERACTION_ONLY = 0.5
"""Share of the cells of an interacting pair that nothing but the interaction tells apart."""


@dataclass(frozen=True)
class CellProfiles:
    """Cells of one type.

    Attributes
    ----------
    subset
        int64 `[n_cells]`: position among the type's subsets; -1 where the type has none.
    weights
        float32 `[n_cells, n_topics]`: share of mRNA per topic of the tissue; rows sum to 1.
    """

    subset: Integers
    weights: Floats


def draw_cells(
    rng: np.random.Generator,
    tissue: Tissue,
    cell_type: TypeDesign,
    subset_shares: npt.NDArray[np.float64],
    n_cells: int,
    *,
    stage: int,
    state_overlap: float,
) -> CellProfiles:
    """Draw cells of one type.

    Parameters
    ----------
    rng
        Source of randomness.
    tissue
        What there is, and its topics.
    cell_type
        Type to draw.
    subset_shares
        float64 `[n_subsets]`: shares of its subsets; empty where it has none.
    n_cells
        Number of cells.
    stage
        Stage whose programme activities hold.
    state_overlap
        Largest share of its subset's mRNA that a cell spends on a neighbouring subset instead, 0 to 1.
    """
    weights = np.zeros((n_cells, len(tissue.names)), dtype=np.float32)
    for name, means in tissue.design.activity_of(cell_type.id).items():
        weights[:, tissue.index[name]] += means[stage] * rng.lognormal(0, ACTIVITY_SPREAD, n_cells)
    subsets = tissue.design.subsets_of(cell_type.id)
    subset = rng.choice(len(subsets), n_cells, p=subset_shares) if subsets else np.full(n_cells, -1)
    for position, each in enumerate(subsets):
        rows = np.flatnonzero(subset == position)
        _spend_on_subsets(rng, weights, rows, each, tissue, state_overlap)
        _spend_on_interactions(rng, weights, rows, each, tissue)
    _spend_rest_on_type(rng, weights, cell_type, tissue)
    return CellProfiles(subset, weights)


def _spend_on_subsets(
    rng: np.random.Generator, weights: Floats, rows: Integers, subset: SubsetDesign, tissue: Tissue, overlap: float
) -> None:
    astray = overlap * rng.beta(2, 2, len(rows))
    neighbor = rng.choice([tissue.index[name] for name in subset.neighbors], len(rows))
    weights[rows, tissue.index[subset.id]] += subset.share * (1 - astray)
    weights[rows, neighbor] += subset.share * astray


def _spend_on_interactions(
    rng: np.random.Generator, weights: Floats, rows: Integers, subset: SubsetDesign, tissue: Tissue
) -> None:
    for interaction in tissue.design.interactions:
        if subset.id not in interaction.subsets:
            continue
        pair = np.array([tissue.index[name] for name in interaction.subsets])
        hidden = rows[rng.random(len(rows)) < INTERACTION_ONLY]
        weights[np.ix_(hidden, pair)] = weights[np.ix_(hidden, pair)].mean(axis=1, keepdims=True)
        first = rng.random(len(rows)) < 0.5
        second = first if subset.id == interaction.subsets[0] else ~first
        for name, on in zip(interaction.programmes, (first, second), strict=True):
            weights[rows, tissue.index[name]] += np.where(on, INTERACTION_ON, INTERACTION_OFF)


def _spend_rest_on_type(rng: np.random.Generator, weights: Floats, cell_type: TypeDesign, tissue: Tissue) -> None:
    spent = weights.sum(axis=1)
    weights *= np.minimum(1, 0.8 / np.maximum(spent, 1e-9))[:, None]
    rest = 1 - weights.sum(axis=1)
    blend = np.zeros(len(weights)) if cell_type.like is None else rng.beta(*BLEND, len(weights))
    weights[:, tissue.index[cell_type.id]] += rest * (1 - blend)
    if cell_type.like is not None:
        weights[:, tissue.index[cell_type.like]] += rest * blend
