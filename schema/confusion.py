"""How the cells of held-out donors were read: the mean probabilities of each true type, by donor and depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schema.depths import N_DEPTHS


@dataclass(frozen=True)
class Confusion:
    """Mean calibrated probabilities of cells of held-out donors; a donor has one reading or, by two networks, two.

    Attributes
    ----------
    donor
        int64 `[n_readings]`: number of the donor of each reading.
    cells
        int64 `[n_readings, N_DEPTHS, n_types]`: cells of each true type (level 2), those thinned to a lower depth among
        them.
    said
        float32 `[n_readings, N_DEPTHS, n_types, n_types]`: mean probabilities of all types (last axis) among the cells
        of a true type; 0 where there are none.
    """

    donor: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]
    said: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit each other or are no probabilities."""
        n_types = self.cells.shape[-1] if self.cells.ndim == 3 else -1
        expected = ((len(self.donor), N_DEPTHS, n_types), (len(self.donor), N_DEPTHS, n_types, n_types))
        if (self.cells.shape, self.said.shape) != expected:
            raise ValueError(f"Expected shapes {expected} but got {self.cells.shape} and {self.said.shape}.")
        if np.any(self.cells < 0) or not np.all((self.said >= 0) & (self.said <= 1 + 1e-5)):
            raise ValueError("Expected numbers of cells and probabilities.")

    @classmethod
    def empty(cls, n_types: int) -> Confusion:
        """Return what is known without held-out donors."""
        shape = (0, N_DEPTHS, n_types)
        return cls(np.zeros(0, np.int64), np.zeros(shape, np.int64), np.zeros((*shape, n_types), np.float32))

    @property
    def n_donors(self) -> int:
        """Number of donors."""
        return len(np.unique(self.donor))

    def of_readings(self, chosen: npt.NDArray[np.bool_]) -> Confusion:
        """Return some readings, bool `[n_readings]`."""
        return Confusion(self.donor[chosen], self.cells[chosen], self.said[chosen])

    def and_also(self, other: Confusion) -> Confusion:
        """Return these readings and those of another network of the same donors."""
        return Confusion(
            np.concatenate([self.donor, other.donor]),
            np.concatenate([self.cells, other.cells]),
            np.concatenate([self.said, other.said]),
        )


@dataclass(frozen=True, kw_only=True)
class DetectionLimit:
    """Limit of detection of the burden.

    Attributes
    ----------
    percent
        97.5th percentile of the burden of neutrophil-free samples.
    n_cells
        Cells of such a sample.
    n_donors, n_samples
        Held-out donors whose cells they were made of, and number of samples.
    """

    percent: float
    n_cells: int
    n_donors: int
    n_samples: int

    def __post_init__(self) -> None:
        """Refuse what is no limit."""
        if not 0 <= self.percent <= 100 or min(self.n_cells, self.n_donors, self.n_samples) < 1:
            raise ValueError(f"Expected a percentage of some samples but got {self}.")
