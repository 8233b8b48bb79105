"""The limit of detection: the burden of neutrophil-free samples, made of the other cells of held-out donors."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from schema.confusion import Confusion, DetectionLimit
from schema.depths import N_DEPTHS
from schema.labels import TYPE_LEVEL, CellOntology
from scoring.burden_types import BurdenTypes
from scoring.correction import Correction

Floats = npt.NDArray[np.float64]

N_CELLS = 500
"""Cells of a neutrophil-free sample: from here on a burden may be assessable."""
MOST_SAMPLES = 2000
"""Samples that are made, about."""
LEAST_DONORS = 2
"""Donors: each is read with the mistakes of the others undone."""
_QUANTILE = 0.975


def detection_limit(confusion: Confusion, ontology: CellOntology, seed: int = 0) -> DetectionLimit | None:
    """Return the 97.5th percentile of the burden of neutrophil-free samples; None with fewer than two donors.

    A sample is made of the cells of one donor that are no neutrophils, at one depth or at all of them, in the shares in
    which the donor has them. What is said of its cells is drawn from what was said of the donor's; mistakes are undone
    as the other donors make them. Never less than one cell of the sample: none that was mistaken among the few cells of
    a few donors does not mean that none ever is.

    Parameters
    ----------
    confusion
        How cells of held-out donors were read.
    ontology
        Label tree.
    seed
        Seed of the draws.
    """
    donors = np.unique(confusion.donor)
    if len(donors) < LEAST_DONORS:
        return None
    types, rng = BurdenTypes.of(ontology), np.random.default_rng(seed)
    is_free = np.arange(types.n_types) != types.neutrophil
    n_each = max(1, MOST_SAMPLES // (len(confusion.donor) * (N_DEPTHS + 1)))
    found: list[float] = []
    for donor in donors:
        others = Correction(confusion.of_readings(confusion.donor != donor), types)
        for reading in np.flatnonzero(confusion.donor == donor):
            free = np.where(is_free, confusion.cells[reading], 0)[..., None] * confusion.said[reading]
            said = free.sum(axis=1, dtype=np.float64)
            for wanted in (*np.eye(N_DEPTHS), np.ones(N_DEPTHS)):
                found += _burdens(said * wanted[:, None], others, types, n_each, rng)
    if not found:
        return None
    limit = max(float(np.quantile(found, _QUANTILE, method="higher")), 100 / N_CELLS)
    return DetectionLimit(percent=limit, n_cells=N_CELLS, n_donors=len(donors), n_samples=len(found))


def unread_types(confusion: Confusion, labels: Iterable[str], ontology: CellOntology) -> list[str]:
    """Return the names of counted types that were learnt and of which no held-out donor has cells, in node order.

    How often their cells are taken for neutrophils is not known: the limit of detection and the interval leave it out.

    Parameters
    ----------
    confusion
        How cells of held-out donors were read.
    labels
        Ids of the nodes that training cells are labelled with.
    ontology
        Label tree.
    """
    types, ancestor = ontology.nodes_at(TYPE_LEVEL), ontology.ancestor_at(TYPE_LEVEL)
    learnt = np.isin(types, [ancestor[ontology.index_by_id[label]] for label in labels])
    unread = learnt & BurdenTypes.of(ontology).counted & (confusion.cells.sum(axis=(0, 1)) == 0)
    return [ontology.nodes[node].name for node in types[unread]]


def _burdens(said: Floats, correction: Correction, types: BurdenTypes, n: int, rng: np.random.Generator) -> list[float]:
    """Return the burden, percent, of samples drawn from summed probabilities `[N_DEPTHS, n_types]`."""
    total = float(said.sum())
    if total <= 0:
        return []
    drawn = rng.multinomial(N_CELLS, said.ravel() / total, size=n).reshape(n, *said.shape)
    shares = [types.share(correction.correct(sample.astype(np.float64)).cells) for sample in drawn]
    return [100 * float(np.clip(share, 0, 1)) for share in shares if not np.isnan(share)]
