"""The shares of neutrophil states in tissue: cells and reference donors drawn anew, mistakes between states undone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from schema.confusion import Confusion

Floats = npt.NDArray[np.float64]

N_DRAWS = 400
"""Compositions that are drawn for a sample."""
PRIOR_READINGS = 6.0
"""Readings of each state that the mean of all donors adds to drawn donors, who may have none."""
N_STEPS = 60
"""Steps of expectation and maximisation; more move the intervals by nothing that shows (docs/log.md, 2026-12-01)."""
_JEFFREYS = 0.5
_SEED = 0


class StateReading:
    """How the neutrophil states of held-out donors were read, at all depths together, and what that leaves open.

    A state that no donor has is taken to be read right.

    Parameters
    ----------
    confusion
        Of states among neutrophils, of the held-out donors.
    """

    def __init__(self, confusion: Confusion) -> None:
        cells = confusion.cells.sum(axis=1).astype(np.float64)
        said = np.einsum("ndt,ndts->nts", confusion.cells, confusion.said, dtype=np.float64)
        n_states, total = cells.shape[1], cells.sum(axis=0)
        mean = np.where(total[:, None] > 0, said.sum(axis=0) / np.maximum(total, 1)[:, None], np.eye(n_states))
        times = _times_drawn(confusion.donor, np.random.default_rng(_SEED))
        of_draws = np.einsum("dn,nts->dts", times, said) + PRIOR_READINGS * mean
        self._readings = np.clip(of_draws / (times @ cells + PRIOR_READINGS)[..., None], 1e-9, None)

    def draw(self, cells: Floats, seed: np.random.SeedSequence) -> Floats:
        """Draw compositions of the tissue that a sample may be of, float64 `[N_DRAWS, n_states]`, rows summing to 1.

        What is read in each draw comes from the Dirichlet posterior of the cells with Jeffreys' prior. The donors that
        say how states are read are drawn with replacement, and the composition is the likeliest that is read so, by
        expectation and maximisation on the simplex (Dempster, Laird and Rubin 1977, doi
        10.1111/j.2517-6161.1977.tb01600.x).

        Parameters
        ----------
        cells
            float64 `[n_states]`, expected cells of each state, as counted; at least one state and some cells.
        seed
            Seed of the draws.
        """
        read = np.random.default_rng(seed).dirichlet(cells + _JEFFREYS, N_DRAWS)
        found = np.full(read.shape, 1 / len(cells))
        for _ in range(N_STEPS):
            ratio = read / np.matmul(found[:, None, :], self._readings)[:, 0]
            found = found * np.matmul(self._readings, ratio[..., None])[..., 0]
        return np.asarray(found / found.sum(axis=1, keepdims=True))


def drawn_interval(drawn: Floats, counted: float, n_cells: float) -> tuple[float, float]:
    """Return the middle 95 % of drawn shares, widened to hold the counted one; 0 or 1 within half a cell of them.

    Parameters
    ----------
    drawn
        float64 `[n_draws]`, in 0..1.
    counted
        Share that is reported.
    n_cells
        Expected cells of the whole.
    """
    low, high = np.percentile(drawn, (2.5, 97.5))
    low, high = min(low, counted), max(high, counted)
    return (low if low * n_cells >= 0.5 else 0.0), (high if (1 - high) * n_cells >= 0.5 else 1.0)


def _times_drawn(donor: npt.NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Return how often each reading's donor is drawn, float64 `[N_DRAWS, n_readings]`."""
    donors, place = np.unique(donor, return_inverse=True)
    if not len(donors):
        return np.zeros((N_DRAWS, 0))
    return rng.multinomial(len(donors), np.full(len(donors), 1 / len(donors)), N_DRAWS)[:, place].astype(np.float64)
