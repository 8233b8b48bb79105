"""Which types the burden is made of: neutrophils, and what they are counted among, under the name of the score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schema.labels import TYPE_LEVEL, CellOntology

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BurdenTypes:
    """Types (level 2) by what they are to the burden.

    Attributes
    ----------
    of_leaves
        bool `[n_types, n_leaves]`: leaves of each type.
    neutrophil
        Position of the neutrophil.
    counted
        bool `[n_types]`: cells that the burden counts, neutrophils among them.
    """

    of_leaves: npt.NDArray[np.bool_]
    neutrophil: int
    counted: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, ontology: CellOntology, *, immune_only: bool = False) -> BurdenTypes:
        """Return the types of a label tree; of NBS-1.0/CD45 with `immune_only`."""
        types, roles = ontology.nodes_at(TYPE_LEVEL), ontology.roles
        of_leaves = ontology.leaves_below[types]
        outside = (of_leaves & ontology.below(*roles.outside_denominator)).any(axis=1)
        immune = ontology.inside(*roles.immune)[types]
        neutrophil = int(np.flatnonzero(types == ontology.index_by_id[roles.neutrophil])[0])
        return cls(of_leaves, neutrophil, np.asarray(~outside & immune if immune_only else ~outside))

    @property
    def n_types(self) -> int:
        """Number of types."""
        return len(self.counted)

    def share(self, cells: Floats) -> float:
        """Return neutrophils among counted cells, from cells by type `[..., n_types]`; NaN where none is counted."""
        counted = float(cells[..., self.counted].sum())
        return float(cells[..., self.neutrophil].sum()) / counted if counted > 0 else float("nan")

    def lumped(self, probabilities: Floats) -> Floats:
        """Return neutrophil, other counted and not counted mass, `[..., 3]`, of probabilities `[..., n_types]`."""
        neutrophil, counted = probabilities[..., self.neutrophil], probabilities[..., self.counted].sum(axis=-1)
        return np.stack([neutrophil, counted - neutrophil, probabilities.sum(axis=-1) - counted], axis=-1)
