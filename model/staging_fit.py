"""Fits the heads for the stage on a frozen network: look at the samples, let heads compete, judge, assemble."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from model.network import Network
from model.proportional_odds import ordinal_loss
from model.stage_contest import Contest, StageTask, at_least, compete, probe, rows_of, scores_of
from model.stage_features import StageFeatures
from model.stage_heads import HEADS, StageInputs
from model.stage_look import StagedSamples, StageLook, look_at
from model.stage_support import StageSupport, judge
from model.staging import Staging, StagingShape
from schema.batch import CellBatch
from schema.labels import CellOntology
from schema.predictions import STAGE_OUTPUTS

MOST_SAMPLES = 1_000
"""Samples that heads are fitted on; more are drawn from at random."""
PROBE = "probe"
"""In place of an output, in the rows of probes."""

Doubles = npt.NDArray[np.float64]
Batches = Callable[[int | None], Iterable[CellBatch]]


@dataclass(frozen=True, kw_only=True)
class FittedStaging:
    """Heads, how all of them compared on held-out donors, and whether a stage is claimed, by output."""

    staging: Staging
    rows: list[dict[str, Any]]
    support: Mapping[str, StageSupport]


def fit_staging(
    network: Network,
    temperatures: Tensor,
    ontology: CellOntology,
    samples: StagedSamples,
    *,
    batches: Batches,
    n_levels: int,
    seed: int,
) -> FittedStaging | None:
    """Fit all heads in donor folds on a frozen network and keep the best of each output.

    Parameters
    ----------
    network, temperatures
        The network, in evaluation mode, and the temperatures of its probabilities.
    ontology
        Label tree.
    samples
        Samples with a known stage.
    batches
        Their cells, among others.
    n_levels
        Levels of the scale.
    seed
        Seed of folds, drawn cells and permutations.

    Returns
    -------
    FittedStaging or None
        None where there are fewer than two stages or two donors.
    """
    samples = samples.drawn(MOST_SAMPLES, seed)
    if len(np.unique(samples.level)) < 2 or len(np.unique(samples.donor)) < 2:
        return None
    look = look_at(network, temperatures, ontology, samples, batches(None), seed)
    return learn_stage(look, samples, ontology, n_levels=n_levels, seed=seed)


@torch.no_grad()
def learn_stage(
    look: StageLook, samples: StagedSamples, ontology: CellOntology, *, n_levels: int, seed: int
) -> FittedStaging:
    """Fit all heads on what a network made of samples, of two stages and two donors at least."""
    features = StageFeatures(ontology, look.sums.values.shape[2])
    sums = features.fit(look.sums)
    low, high = int(samples.level.min()), int(samples.level.max())
    task = StageTask(torch.from_numpy(samples.level - low), samples.donor, samples.study, high - low + 1, seed)
    seen = {output: features.seen_types(output)[look.bag.cell_type] for output in STAGE_OUTPUTS}
    inputs = {name: StageInputs(features.blocks(sums, name), look.bag.where(kept)) for name, kept in seen.items()}
    contests = {output: compete(inputs[output], task) for output in STAGE_OUTPUTS}
    probes = probe(sums, task)
    rows = [row for output, contest in contests.items() for row in rows_of(output, contest.scores, contest.chosen)]
    staging = _assemble(features, inputs, contests, ontology, lowest=low, n_levels=n_levels)
    for output, contest in contests.items():
        _fill(staging, output, contest, task.level)
    return FittedStaging(
        staging=staging.eval(),
        rows=rows + rows_of(PROBE, {name: scores_of(task.level, said) for name, said in probes.items()}),
        support={output: _judged(contest, probes, task) for output, contest in contests.items()},
    )


def _assemble(
    features: StageFeatures,
    inputs: Mapping[str, StageInputs],
    contests: Mapping[str, Contest],
    ontology: CellOntology,
    *,
    lowest: int,
    n_levels: int,
) -> Staging:
    """Return new heads of the kinds that won, with the features that they read."""
    fits = [contests[output].fit for output in STAGE_OUTPUTS]
    parts = [inputs[output] for output in STAGE_OUTPUTS]
    shape = StagingShape(
        heads=tuple(contests[output].chosen for output in STAGE_OUTPUTS),
        n_folds=len(fits[0].models),
        seen=(lowest, lowest + fits[0].logits.shape[1]),
        sizes=tuple((part.blocks.composition.shape[1], part.blocks.looks.shape[1]) for part in parts),
    )
    widths = {"n_hidden": features.centre.shape[1], "n_latent": parts[0].bag.latent.shape[1]}
    staging = Staging(ontology, shape, **widths, n_levels=n_levels)
    staging.features.load_state_dict(features.state_dict())
    return staging


def _judged(contest: Contest, probes: Mapping[str, Doubles], task: StageTask) -> StageSupport:
    return judge(
        level=task.level.numpy(),
        donor=task.donor,
        study=task.study,
        at_least=at_least(contest.fit.logits),
        probes=probes,
        n_heads=len(HEADS),
        seed=task.seed,
    )


def _fill(staging: Staging, output: str, contest: Contest, level: Tensor) -> None:
    """Put the models that won into the heads of an output, with the temperature of their held-out predictions."""
    heads = staging.output(output)
    heads.temperature.fill_(fit_stage_temperature(contest.fit.logits, level))
    for place, model in zip(heads.models, contest.fit.models, strict=True):
        place.load_state_dict(model.state_dict())


def fit_stage_temperature(logits: Tensor, level: Tensor) -> float:
    """Return the temperature at which the levels of held-out donors are likeliest, 1/8 to 8."""

    def loss(log_temperature: float) -> float:
        return float(ordinal_loss(logits.double() / np.exp(log_temperature), level).mean())

    bound = np.log(8)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))
