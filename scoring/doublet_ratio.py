"""Neutrophil x malignant droplets against what two cells that meet by chance would give."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from schema.labels import TYPE_LEVEL, CellOntology
from scoring.intervals import rate_ratio_interval

Floats = npt.NDArray[np.float64]

MIN_DOUBLETS = 20
"""Expected doublets: with fewer, none or one of the pair both fit chance, whatever the composition."""

MIN_PAIR = 1.0
"""Neutrophil x malignant doublets, found or by chance: with less than one of both there is nothing to compare."""


class DoubletRatio(NamedTuple):
    """Droplets of two cells, by sample.

    Attributes
    ----------
    n_doublets, n_pair, n_pair_by_chance
        float64 `[n_samples]`: doublets, those of a neutrophil and a malignant cell, and how many chance would make.
    log2_ratio, low, high
        float64 `[n_samples]`: log2 of found over by chance, and its 95 % interval; NaN with too few doublets.
    """

    n_doublets: Floats
    n_pair: Floats
    n_pair_by_chance: Floats
    log2_ratio: Floats
    low: Floats
    high: Floats


def chance_of_pair(expected_cells: Floats, ontology: CellOntology) -> Floats:
    """Return the share of neutrophil x malignant pairs among pairs of two types that meet at random.

    2 n m / (1 - sum of squared shares), over the shares of all types that are cells. Pairs of one type are left out of
    both, because nothing tells them from a cell.

    Parameters
    ----------
    expected_cells
        float64 `[n_samples, n_leaves]`.
    ontology
        Label tree.

    Returns
    -------
    ndarray
        float64 `[n_samples]`; NaN without two types.
    """
    roles = ontology.roles
    droplets = ontology.below(*(role for role in (roles.ambient, roles.doublet) if role))
    types = ontology.nodes_at(TYPE_LEVEL)
    cells = np.where(droplets, 0.0, expected_cells) @ ontology.leaves_below[types].T
    total = cells.sum(axis=1, keepdims=True)
    share = np.divide(cells, total, out=np.zeros_like(cells), where=total > 0)
    of = {int(node): share[:, place] for place, node in enumerate(types)}
    pair = 2 * of[ontology.index_by_id[roles.neutrophil]] * of[ontology.index_by_id[roles.malignant]]
    unlike = 1 - np.square(share).sum(axis=1)
    chance: Floats = np.full(len(pair), np.nan)
    np.divide(pair, unlike, out=chance, where=(unlike > 1e-9) & (total[:, 0] > 0))
    return chance


def doublet_ratio(expected_cells: Floats, ontology: CellOntology) -> DoubletRatio:
    """Return found over expected neutrophil x malignant doublets of each sample, all NaN for a tree without them.

    What chance makes is told from the *other* doublets: n_other * q / (1 - q), q as in `chance_of_pair`. Were it told
    from all, the more the pair stands out the more of it would be expected. The interval takes both counts as Poisson.

    Parameters
    ----------
    expected_cells
        float64 `[n_samples, n_leaves]`: sums of the calibrated probabilities of each leaf.
    ontology
        Label tree.
    """
    pair_role, doublet_role = ontology.roles.neutrophil_malignant_doublet, ontology.roles.doublet
    if pair_role is None or doublet_role is None:
        return DoubletRatio(*np.full((6, len(expected_cells)), np.nan))
    n_doublets = expected_cells[:, ontology.below(doublet_role)].sum(axis=1)
    n_pair = expected_cells[:, ontology.below(pair_role)].sum(axis=1)
    n_other, chance = n_doublets - n_pair, chance_of_pair(expected_cells, ontology)
    odds = np.divide(chance, 1 - chance, out=np.full(len(chance), np.nan), where=chance < 1)
    by_chance = n_other * odds
    low, high = rate_ratio_interval(n_pair, n_other)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, low, high = (np.log2(value / odds) for value in (n_pair / n_other, low, high))
    enough = (n_doublets >= MIN_DOUBLETS) & (np.maximum(n_pair, by_chance) >= MIN_PAIR)
    shown = (np.where(enough, value, np.nan) for value in (ratio, low, high))
    return DoubletRatio(n_doublets, n_pair, by_chance, *shown)
