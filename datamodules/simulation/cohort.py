"""The simulated cohort: which mice there are, at which stage, in which study, and what their tissue is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from datamodules.simulation.design import N_STAGES, SubsetDesign, TissueDesign

Doubles = npt.NDArray[np.float64]

N_STUDIES = 2
STUDY_DEPTH = (1.0, 0.75)
"""Sequencing depth of each study, as a factor on library sizes."""
MIDDLE_STAGE = 2
"""Stage that all samples take in whatever does not move with stage."""
COMPOSITION_CONCENTRATION = 90.0
"""Dirichlet concentration of type fractions between mice: a fraction of 10 % has a standard deviation of 3.1 %."""
SUBSET_CONCENTRATION = 40.0
"""Dirichlet concentration of subset shares between mice."""


@dataclass(frozen=True, kw_only=True)
class SimulatedSample:
    """One mouse, from which one sample was taken.

    Attributes
    ----------
    study, stage, mouse
        Codes: 0-based study, level of the stage scale, number of the mouse within both (from 1).
    held_out
        Whether it goes to the held-out file.
    neutrophils_lost
        Whether its low-count barcodes were never called.
    """

    study: int
    stage: int
    mouse: int
    held_out: bool
    neutrophils_lost: bool = False

    @property
    def sample_id(self) -> str:
        """Name such as S1-M2-03: study, stage, mouse."""
        return f"S{self.study + 1}-M{self.stage}-{self.mouse:02d}"

    @property
    def donor_id(self) -> str:
        """Name of the mouse."""
        return f"donor-{self.sample_id}"


def plan_samples(n_mice: int, n_held_out_mice: int, *, confounded: bool) -> tuple[SimulatedSample, ...]:
    """Return all samples: studies x stages x mice, training mice first, and the sample that lost its neutrophils.

    Parameters
    ----------
    n_mice, n_held_out_mice
        Mice per stage and study in either file.
    confounded
        Whether each stage is seen by one study only: the first three by the first, the last two by the second.
    """
    samples = [
        SimulatedSample(study=study, stage=stage, mouse=mouse, held_out=mouse > n_mice)
        for study in range(N_STUDIES)
        for stage in range(N_STAGES)
        for mouse in range(1, n_mice + n_held_out_mice + 1)
        if not confounded or study == stage // 3
    ]
    last = {"stage": N_STAGES - 1, "mouse": n_mice + n_held_out_mice + 1}
    lost = SimulatedSample(study=N_STUDIES - 1, held_out=True, neutrophils_lost=True, **last)
    return (*samples, lost)


def draw_composition(rng: np.random.Generator, design: TissueDesign, stage: int) -> Doubles:
    """Draw the type fractions of one sample around the mean of a stage, float64 `[n_types]` summing to 1."""
    return _draw_fractions(rng, [t.percent[stage] for t in design.types], COMPOSITION_CONCENTRATION)


def draw_subset_shares(rng: np.random.Generator, subsets: Sequence[SubsetDesign], stage: int) -> Doubles:
    """Draw the shares of a type's subsets around a stage's mean, float64 `[n_subsets]` summing to 1; empty for none."""
    return _draw_fractions(rng, [s.percent[stage] for s in subsets], SUBSET_CONCENTRATION)


def _draw_fractions(rng: np.random.Generator, percent: Sequence[float], concentration: float) -> Doubles:
    fractions = np.zeros(len(percent))
    if not percent:
        return fractions
    mean = np.array(percent) / sum(percent)
    fractions[mean > 0] = rng.dirichlet(concentration * mean[mean > 0])
    return fractions
