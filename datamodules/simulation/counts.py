"""Negative-binomial counts from means, as a Poisson number of logarithmic-series events instead of a draw per gene."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.float32]


def draw_counts(rng: np.random.Generator, means: Floats, overdispersion: float) -> csr_matrix:
    """Draw negative-binomial counts with variance `mean + overdispersion * mean**2`, exactly.

    A negative binomial with mean m and size r is a sum of logarithmic-series events, of which there are a Poisson
    number with rate `r * log1p(m / r)` (Quenouille 1949, doi 10.2307/3001916). All genes of all cells are laid on one
    line, as long as their rates; the events are a Poisson process on it, so they come sorted by cell and gene.

    Parameters
    ----------
    rng
        Source of randomness.
    means
        float32 `[n_cells, n_genes]`: expected UMI.
    overdispersion
        1 / r, > 0.

    Returns
    -------
    csr_matrix
        float32 `[n_cells, n_genes]`: UMI counts, column indices int32 and sorted within rows.
    """
    ratio = means * np.float32(overdispersion)
    line = np.log1p(ratio).astype(np.float64).ravel()
    np.cumsum(line, out=line)
    n_events = int(rng.poisson(line[-1] / overdispersion))
    place = np.searchsorted(line, _sorted_uniform(rng, n_events, line[-1]), side="right")
    chance = ratio.ravel()[place]
    sizes = rng.logseries(chance / (1 + chance))
    first = np.flatnonzero(np.diff(place, prepend=-1))
    counts = np.add.reduceat(sizes, first) if n_events else sizes
    return _as_csr(place[first], counts, means.shape)


def _sorted_uniform(rng: np.random.Generator, n: int, upper: float) -> npt.NDArray[np.float64]:
    """Return `n` uniform draws below `upper` in rising order: normalised sums of exponential gaps (no sort needed)."""
    rising = np.cumsum(rng.standard_exponential(n + 1))
    return np.asarray(np.minimum(rising[:-1] * (upper / rising[-1]), np.nextafter(upper, 0)))


def _as_csr(place: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], shape: tuple[int, ...]) -> csr_matrix:
    n_cells, n_genes = shape
    indptr = np.searchsorted(place, np.arange(n_cells + 1) * n_genes)
    column = (place % n_genes).astype(np.int32)
    return csr_matrix((counts.astype(np.float32), column, indptr.astype(np.int32)), shape=(n_cells, n_genes))
