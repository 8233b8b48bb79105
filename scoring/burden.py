"""NBS-1.0, first form: neutrophils per 100 viable nucleated singlets of a sample, with an interval, in flat memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.errors import UsageError
from scoring.by_sample import rows_by_sample
from scoring.resampling import PoissonWeights, make_buffer

Floats = npt.NDArray[np.float64]

_UNIT = 2.0**24
"""Probabilities are summed as whole multiples of 2^-24 (float32's precision), so that every sum is exact below 2^53."""

_BLOCK = 512  # cells per matrix product: the weights stay in the cache
_MIN_CONTRAST = 0.1
"""Least sensitivity minus false-positive rate: donors in whom neutrophils are hardly seen widen the interval, and no
division by nearly zero happens."""


@dataclass(frozen=True, kw_only=True)
class BurdenConfig:
    """How the interval of the burden is computed."""

    n_replicates: int = 500
    """Bootstrap replicates per sample, >= 100."""
    level: float = 0.95
    """Level of the interval, between 0.5 and 1."""
    seed: int = 0
    """Seed of the resampling, >= 0."""

    def __post_init__(self) -> None:
        """Refuse values that give no interval."""
        fix = "See predict.py --help."
        if self.n_replicates < 100:
            raise UsageError(
                "at least 100 replicates are needed", got=f"{self.n_replicates}", where="burden.n_replicates", fix=fix
            )
        if not 0.5 <= self.level < 1:
            raise UsageError("the level must be in [0.5, 1)", got=f"{self.level}", where="burden.level", fix=fix)
        if self.seed < 0:
            raise UsageError("the seed must be >= 0", got=f"{self.seed}", where="burden.seed", fix=fix)


@dataclass(frozen=True)
class BurdenReference:
    """Error rates of the cell-type head on donors it was not trained on, one entry per donor; may be empty.

    Attributes
    ----------
    sensitivity
        float64 `[n_donors]`: mean calibrated neutrophil probability of true neutrophils, in 0..1.
    false_positive
        float64 `[n_donors]`: mean calibrated neutrophil probability of the other cells that the burden counts, in 0..1.
    """

    sensitivity: Floats
    false_positive: Floats

    def __post_init__(self) -> None:
        """Refuse rates that are not one finite pair per donor."""
        both = (np.asarray(self.sensitivity), np.asarray(self.false_positive))
        if both[0].ndim != 1 or both[0].shape != both[1].shape:
            raise ValueError(f"Expected one pair per donor but got {both[0].shape} and {both[1].shape}.")
        if not all(np.all((rates >= 0) & (rates <= 1)) for rates in both):
            raise ValueError("Expected finite rates in 0..1; leave out donors without true neutrophils.")

    @property
    def n_donors(self) -> int:
        """Number of donors."""
        return len(self.sensitivity)

    @classmethod
    def of_rates(cls, sensitivity: Sequence[float], false_positive: Sequence[float]) -> BurdenReference:
        """Return the donors that had both neutrophils and other cells; NaN marks what a donor did not have."""
        pairs = np.array([sensitivity, false_positive], dtype=np.float64)
        return cls(*np.clip(pairs[:, np.isfinite(pairs).all(axis=0)], 0, 1))

    @classmethod
    def empty(cls) -> BurdenReference:
        """Return a reference without donors: intervals then cover the sampling of cells only."""
        return cls(np.empty(0), np.empty(0))


class BurdenAccumulator:
    """Sums and bootstrap sums of every sample, fed block by block.

    Memory is `16 * n_replicates` bytes per sample, whatever the number of cells. The result is the same to the last bit
    however the rows are cut into blocks and whichever other samples stand between them, as long as the cells of a
    sample arrive in their order.

    Parameters
    ----------
    n_samples
        Number of samples of the run.
    config
        How the interval is computed.
    """

    def __init__(self, n_samples: int, config: BurdenConfig) -> None:
        self._config = config
        self._n_cells = np.zeros(n_samples, dtype=np.int64)
        self._sums = np.zeros((n_samples, 2))  # neutrophil, denominator, in units of 2^-24
        self._replicates = np.zeros((n_samples, 2, config.n_replicates))
        self._weights = [PoissonWeights(self._seed(code, 0), config.n_replicates) for code in range(n_samples)]
        self._buffer = make_buffer(_BLOCK, config.n_replicates)

    def update(self, sample: npt.NDArray[np.int64], neutrophil: Floats, denominator: Floats) -> None:
        """Add a block of cells.

        Parameters
        ----------
        sample
            int64 `[n_cells]`: index of each cell's sample.
        neutrophil
            float `[n_cells]`: calibrated probability of being a neutrophil.
        denominator
            float `[n_cells]`: calibrated probability of being any cell that the burden counts, neutrophils included.

        Raises
        ------
        ValueError
            If a length differs, a probability is not one, or a neutrophil is not part of the denominator.
        """
        values = np.stack([_fixed_point(neutrophil), _fixed_point(denominator)])
        if len(sample) != values.shape[1]:
            raise ValueError(f"Expected {len(sample)} probabilities but got {values.shape[1]}.")
        if np.any(values[0] > values[1] + 16):  # 16 units = 1e-6: rounding of float32 sums
            raise ValueError("Expected neutrophils to be part of the denominator.")
        for code, rows in rows_by_sample(sample, len(self._n_cells)):
            self._add(code, values[:, rows])

    def estimate(self, reference: BurdenReference) -> pd.DataFrame:
        """Return the burden of every sample.

        The estimate is the plain ratio of summed calibrated probabilities. Each replicate of the interval resamples the
        cells, adds a Jeffreys half-count to both sides (so that no neutrophil among few cells is not certainty), and
        undoes the error rates of one drawn reference donor: (q - false_positive) / (sensitivity - false_positive).
        The percentile interval is widened where it leaves out the estimate.

        Returns
        -------
        DataFrame
            One row per sample: n_cells (int64), n_denominator, n_neutrophils (float64, expected cells), burden_percent,
            burden_low, burden_high (float64, percent; NaN where no cell is counted).
        """
        n_neutrophils, n_denominator = self._sums.T / _UNIT
        share = np.divide(
            n_neutrophils, n_denominator, out=np.full(len(n_denominator), np.nan), where=n_denominator > 0
        )
        bounds = [self._interval(code, value, reference) for code, value in enumerate(share)]
        low, high = np.array(bounds).reshape(-1, 2).T
        return pd.DataFrame(
            {
                "n_cells": self._n_cells.copy(),
                "n_denominator": n_denominator,
                "n_neutrophils": n_neutrophils,
                "burden_percent": 100 * share,
                "burden_low": 100 * low,
                "burden_high": 100 * high,
            }
        )

    def _seed(self, code: int, purpose: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self._config.seed, spawn_key=(code, purpose))

    def _add(self, code: int, values: Floats) -> None:
        self._n_cells[code] += values.shape[1]
        self._sums[code] += values.sum(axis=1)
        for start in range(0, values.shape[1], _BLOCK):
            part = values[:, start : start + _BLOCK]
            self._replicates[code] += part @ self._weights[code].draw(part.shape[1], self._buffer)

    def _interval(self, code: int, share: float, reference: BurdenReference) -> tuple[float, float]:
        if np.isnan(share):
            return np.nan, np.nan
        rng = np.random.default_rng(self._seed(code, 1))
        half_neutrophil, half_other = rng.gamma(0.5, size=(2, self._config.n_replicates))
        neutrophil, denominator = self._replicates[code] / _UNIT
        replicates = (neutrophil + half_neutrophil) / (denominator + half_neutrophil + half_other)
        if reference.n_donors:
            sensitivity, false_positive = draw_error_rates(reference, self._config.n_replicates, rng)
            replicates = undo_errors(replicates, sensitivity, false_positive)
        tail = (1 - self._config.level) / 2
        low, high = np.quantile(replicates, [tail, 1 - tail])
        return min(float(low), share), max(float(high), share)


def draw_error_rates(reference: BurdenReference, n_draws: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw the error rates of donors like those of the reference: a smoothed bootstrap.

    A new donor is not one of the few seen: plain draws of 8 donors span their range, outside which a ninth falls two
    times in nine. Each draw is therefore jittered by a normal of Silverman's bandwidth, 1.06 sd n^(-1/5).

    Returns
    -------
    tuple
        Sensitivity and false-positive rate, float64 `[n_draws]` each, in 0..1, drawn in pairs.
    """
    pairs = np.stack([reference.sensitivity, reference.false_positive], axis=1)
    bandwidth = np.zeros(2)
    if reference.n_donors > 1:
        bandwidth = 1.06 * pairs.std(axis=0, ddof=1) * reference.n_donors**-0.2
    drawn = pairs[rng.integers(reference.n_donors, size=n_draws)] + bandwidth * rng.standard_normal((n_draws, 2))
    sensitivity, false_positive = np.clip(drawn, 0, 1).T
    return sensitivity, false_positive


def undo_errors(share: Floats, sensitivity: Floats, false_positive: Floats) -> Floats:
    """Return the true share that gives an observed one under error rates, clipped to 0..1 (Rogan and Gladen 1978)."""
    contrast = np.maximum(sensitivity - false_positive, _MIN_CONTRAST)
    corrected: Floats = np.clip((share - false_positive) / contrast, 0, 1)
    return corrected


def _fixed_point(probability: Floats) -> Floats:
    values = np.asarray(probability, dtype=np.float64)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1 + 1e-6)):
        raise ValueError("Expected probabilities in 0..1, one per cell.")
    return np.round(np.minimum(values, 1) * _UNIT)
