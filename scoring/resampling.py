"""Bootstrap weights of cells as a stream: the same weights however the rows are cut into blocks."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

_PER_WORD = 4  # 16-bit numbers in one 64-bit draw


def _poisson_table() -> npt.NDArray[np.float64]:
    """Return the Poisson(1) value of each 16-bit uniform number, float64 `[65536]`, by inverting the distribution."""
    shares = np.array([math.exp(-1) / math.factorial(k) for k in range(9)])
    edges = np.round(65536 * np.cumsum(shares)).astype(np.int64)
    return np.searchsorted(edges, np.arange(65536), side="right").astype(np.float64)


_WEIGHT_OF = _poisson_table()


class PoissonWeights:
    """Endless rows of Poisson(1) weights for the streaming bootstrap of one sample.

    Row `i` belongs to the `i`-th cell of the sample and depends on the seed and `i` alone. Resampling n cells with
    replacement gives each cell a Binomial(n, 1/n) count; Poisson(1) is its limit and needs no n (Chamandy et al. 2012,
    "Estimating uncertainty for massive data streams").

    Parameters
    ----------
    seed
        Names the stream.
    n_replicates
        Weights per cell.
    """

    def __init__(self, seed: np.random.SeedSequence, n_replicates: int) -> None:
        self._bits = np.random.PCG64(seed)
        self._n_words = -(-n_replicates // _PER_WORD)
        self._n_replicates = n_replicates

    def draw(self, n_cells: int, buffer: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the weights of the next cells, float64 `[n_cells, n_replicates]`, whole numbers 0..9.

        Parameters
        ----------
        n_cells
            Number of cells.
        buffer
            Memory from `make_buffer` for at least so many cells; the result is a view of it, good until the next draw.
        """
        words = self._bits.random_raw(n_cells * self._n_words).astype("<u8", copy=False)
        uniform = words.view("<u2").reshape(n_cells, self._n_words * _PER_WORD)
        np.take(_WEIGHT_OF, uniform, out=buffer[:n_cells], mode="clip")  # mode "raise" would copy the buffer
        return buffer[:n_cells, : self._n_replicates]


def make_buffer(n_cells: int, n_replicates: int) -> npt.NDArray[np.float64]:
    """Return memory for the weights of so many cells, shared by all samples."""
    return np.empty((n_cells, -(-n_replicates // _PER_WORD) * _PER_WORD))
