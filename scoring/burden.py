"""NBS-1.0: neutrophils per 100 viable nucleated singlets of a sample, or of its CD45+ cells, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.confusion import Confusion
from schema.errors import UsageError
from schema.labels import CellOntology
from scoring.burden_sketch import BurdenSketch, SampleSums
from scoring.burden_types import BurdenTypes
from scoring.by_sample import rows_by_sample
from scoring.correction import Corrected, Correction
from scoring.estimators import called_share, counted_share, em_share
from scoring.interval import draw_donors, draw_protocols, draw_sampling

Floats = npt.NDArray[np.float64]

CORRECTED, COUNTED, CALLED, EM = "corrected", "counted", "called", "em"
ESTIMATORS = (CORRECTED, COUNTED, CALLED, EM)


@dataclass(frozen=True, kw_only=True)
class BurdenConfig:
    """How the burden and its interval are computed."""

    estimator: Literal["corrected", "counted", "called", "em"] = "corrected"
    """What the burden is: mistakes on held-out donors undone, probabilities summed, calls counted, or probabilities
    moved from the training prior by expectation maximisation. Of a bundle without held-out donors: counted."""
    n_replicates: int = 2000
    """Draws per sample that the interval is made of, >= 100."""
    level: float = 0.95
    """Level of the interval, between 0.5 and 1."""
    seed: int = 0
    """Seed of the draws, >= 0."""

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
    """What a bundle knows that the burden rests on.

    Attributes
    ----------
    confusion
        How cells of held-out donors were read; may have no donor.
    leaf_prior
        float64 `[n_leaves]`: prior of the leaves that the probabilities imply.
    """

    confusion: Confusion
    leaf_prior: Floats

    def n_donors(self, ontology: CellOntology) -> int:
        """Return the held-out donors that an interval draws from: those with neutrophils and other counted cells."""
        return Correction(self.confusion, BurdenTypes.of(ontology)).n_donors


class BurdenAccumulator:
    """The burden of every sample, from cells that come block by block; 3.2 KB per sample, whatever their number.

    The result is the same to the last bit however the cells are cut into blocks and in whatever order they come.

    Parameters
    ----------
    ontology
        Label tree.
    immune_only
        bool `[n_samples]`: samples of which CD45+ cells were sorted, whose burden is NBS-1.0/CD45.
    config
        How the burden is computed.
    """

    def __init__(self, ontology: CellOntology, immune_only: npt.NDArray[np.bool_], config: BurdenConfig) -> None:
        self._config, self._immune_only = config, immune_only
        self._types = {name: BurdenTypes.of(ontology, immune_only=name) for name in (False, True)}
        of_samples = [self._types[bool(name)] for name in immune_only]
        self._sketch = BurdenSketch(of_samples, self._types[False].n_types)

    def update(
        self,
        sample: npt.NDArray[np.int64],
        probabilities: npt.NDArray[np.floating],
        library_size: npt.NDArray[np.floating],
    ) -> None:
        """Add a block of cells.

        Parameters
        ----------
        sample
            int64 `[n_cells]`: index of each cell's sample.
        probabilities
            float `[n_cells, n_leaves]`: calibrated leaf probabilities.
        library_size
            float `[n_cells]`: UMI over all genes of the file.

        Raises
        ------
        ValueError
            If lengths differ, or a probability is not one.
        """
        if not len(sample) == len(probabilities) == len(library_size):
            raise ValueError(f"Expected {len(sample)} cells but got {len(probabilities)} and {len(library_size)}.")
        for code, rows in rows_by_sample(sample, len(self._immune_only)):
            self._sketch.update(code, probabilities[rows], library_size[rows])

    def estimate(self, reference: BurdenReference) -> pd.DataFrame:
        """Return the burden of every sample.

        Each draw of the interval takes a share that tissues of such a sample may have, and adds what another donor and
        another protocol may shift it by (`scoring.interval`). Around whatever estimator is asked for, the interval is
        that of the corrected share, widened where it leaves out the estimate.

        Returns
        -------
        DataFrame
            One row per sample: n_cells (int64); n_denominator, n_neutrophils (float64, expected cells);
            burden_percent, burden_low, burden_high, then burden_corrected_percent, burden_counted_percent,
            burden_called_percent, burden_em_percent (float64, percent; NaN where no cell is counted); burden_estimator
            (text): "counted" without held-out donors, else what the config says.
        """
        corrections = {name: Correction(reference.confusion, types) for name, types in self._types.items()}
        rows = []
        for code, name in enumerate(self._immune_only.tolist()):
            scorer = _Scorer(self._types[name], corrections[name], reference, self._config)
            seed = np.random.SeedSequence(self._config.seed, spawn_key=(code,))
            rows.append(scorer.row(self._sketch.sums(code), seed))
        return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


_COLUMNS = {
    "n_cells": "int64",
    **dict.fromkeys(("n_denominator", "n_neutrophils", "burden_percent", "burden_low", "burden_high"), "float64"),
    **{f"burden_{name}_percent": "float64" for name in ESTIMATORS},
    "burden_estimator": "object",
}


@dataclass(frozen=True)
class _Scorer:
    """Scores samples that are counted alike."""

    types: BurdenTypes
    correction: Correction
    reference: BurdenReference
    config: BurdenConfig

    def row(self, sums: SampleSums, seed: np.random.SeedSequence) -> dict[str, object]:
        """Return the burden of a sample."""
        corrected = self.correction.correct(sums.by_type)
        shares = self._shares(sums, corrected)
        name = self.config.estimator if self.reference.confusion.n_donors else COUNTED
        low, high = self._interval(sums, corrected, shares[name], np.random.default_rng(seed))
        counted = float(corrected.cells[:, self.types.counted].sum())
        return {
            "n_cells": sums.n_cells,
            "n_denominator": counted,
            "n_neutrophils": shares[name] * counted if counted > 0 else 0.0,
            **{"burden_percent": 100 * shares[name], "burden_low": 100 * low, "burden_high": 100 * high},
            **{f"burden_{estimator}_percent": 100 * shares[estimator] for estimator in ESTIMATORS},
            "burden_estimator": name,
        }

    def _shares(self, sums: SampleSums, corrected: Corrected) -> dict[str, float]:
        prior = self.types.share(self.types.of_leaves @ self.reference.leaf_prior)
        return {
            CORRECTED: float(np.clip(self.types.share(corrected.cells), 0, 1)),
            COUNTED: counted_share(sums, self.types),
            CALLED: called_share(sums),
            EM: em_share(sums, prior),
        }

    def _interval(
        self, sums: SampleSums, corrected: Corrected, estimate: float, rng: np.random.Generator
    ) -> tuple[float, float]:
        share, n_draws = self.types.share(corrected.cells), self.config.n_replicates
        if np.isnan(share) or np.isnan(estimate):
            return np.nan, np.nan
        drawn = draw_sampling(sums, corrected, self.types, n_draws, rng)
        drawn -= draw_donors(self.correction.shifts(corrected), self.correction.n_donors, n_draws, rng)
        drawn += draw_protocols(counted_share(sums, self.types), share, n_draws, rng)
        tail = (1 - self.config.level) / 2
        low, high = np.clip(np.quantile(drawn, [tail, 1 - tail]), 0, 1)
        return min(float(low), estimate), max(float(high), estimate)
