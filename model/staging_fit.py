"""Fits the heads for the stage on a frozen network, in donor folds, and keeps the one that wins on held-out donors."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from model.network import Network
from model.preprocess import to_dense
from model.proportional_odds import ProportionalOdds, fit_proportional_odds, ordinal_loss
from model.sample_sums import SampleSums
from model.stage_features import StageFeatures
from model.stage_folds import N_FOLDS, CrossFit, cross_fit, donor_folds, nested_fit
from model.stage_heads import COMPOSITION, HEADS, StageInputs
from model.stage_support import StageSupport, called_level, judge, quadratic_kappa, ranked_probability_score
from model.staging import ALL, OUTPUTS, Staging, StagingShape, attended, feature_blocks
from model.tree import LabelTree
from schema.batch import CellBatch
from schema.labels import UNLABELLED, CellOntology

MOST_SAMPLES = 1_000
"""Samples that heads are fitted on; more are drawn from at random."""
MOST_BAG_CELLS, BAG_CELLS = 20_000, 200
"""Cells that attention is trained on: over all samples, and of one."""
_PROBE_PENALTY = 3e-3

Ints = npt.NDArray[np.int64]
Batches = Callable[[int | None], Iterable[CellBatch]]


@dataclass(frozen=True, kw_only=True)
class StagedSamples:
    """Samples that heads are fitted on.

    Attributes
    ----------
    sample
        int64 `[n]`, number of the sample in the batches.
    level, donor, study
        int64 `[n]`: code of the stage, and codes of donor and study.
    n_cells
        int64 `[n]`.
    """

    sample: Ints
    level: Ints
    donor: Ints
    study: Ints
    n_cells: Ints

    def drawn(self, most: int, seed: int) -> StagedSamples:
        """Return so many of them, drawn at random."""
        if len(self.sample) <= most:
            return self
        kept = np.sort(np.random.default_rng(seed).choice(len(self.sample), most, replace=False))
        return StagedSamples(**{name: value[kept] for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class FittedStaging:
    """Heads, how all of them compared on held-out donors, and whether a stage is claimed."""

    staging: Staging
    rows: list[dict[str, Any]]
    support: StageSupport


@torch.no_grad()
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
    """Fit all heads in donor folds on a frozen network and keep the best.

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
    n_hidden = network.encoder.first.out_features
    if len(np.unique(samples.level)) < 2 or len(np.unique(samples.donor)) < 2:
        return None
    features = StageFeatures(ontology, n_hidden)
    sums, bag = _look(network, LabelTree(ontology), temperatures, features, samples, batches(None), seed)
    sums = features.fit(sums)
    low, high = int(samples.level.min()), int(samples.level.max())
    level, n_seen = torch.from_numpy(samples.level - low), high - low + 1
    rows: list[dict[str, Any]] = []
    fitted: dict[str, dict[str, CrossFit]] = {output: {} for output in OUTPUTS}
    inputs = {output: _inputs(features, sums, bag, output) for output in OUTPUTS}
    for output in OUTPUTS:
        for head in HEADS:
            found = nested_fit(head, inputs[output], level, samples.donor, n_seen, seed)
            fitted[output][head] = found
            rows.append({"output": output, "head": head, **_scores(level, found.logits)})
    scores = {head: np.mean([row["rps"] for row in rows if row["head"] == head]) for head in HEADS}
    chosen = min(HEADS, key=scores.__getitem__)
    probes = {name: _probe(name, sums, level, samples, n_seen, seed) for name in _probe_names(samples)}
    rows += [{"output": "probe", "head": name, **_scores(level, logits)} for name, logits in probes.items()]
    support = judge(
        level=level.numpy(),
        donor=samples.donor,
        study=samples.study,
        at_least=fitted[ALL][chosen].logits.sigmoid().double().numpy(),
        probes={row["head"]: row["quadratic_kappa"] for row in rows if row["output"] == "probe"},
        n_heads=len(HEADS),
        seed=seed,
    )
    shape = StagingShape(
        head=chosen,
        n_folds=len(fitted[ALL][chosen].models),
        seen=(low, high),
        sizes=tuple((inputs[o].composition.shape[1], inputs[o].looks.shape[1]) for o in OUTPUTS),
    )
    staging = Staging(ontology, shape, n_hidden=n_hidden, n_latent=network.encoder.n_latent, n_levels=n_levels)
    staging.features.load_state_dict(features.state_dict())
    for number, output in enumerate(OUTPUTS):
        found = fitted[output][chosen]
        staging.temperature[number] = fit_stage_temperature(found.logits, level)
        for place, model in zip(staging.heads(output), found.models, strict=True):
            place.load_state_dict(model.state_dict())
    marked = [{**row, "chosen": row["head"] == chosen and row["output"] in OUTPUTS} for row in rows]
    return FittedStaging(staging=staging.eval(), rows=marked, support=support)


def fit_stage_temperature(logits: Tensor, level: Tensor) -> float:
    """Return the temperature at which the levels of held-out donors are likeliest, 1/8 to 8."""

    def loss(log_temperature: float) -> float:
        return float(ordinal_loss(logits.double() / np.exp(log_temperature), level).mean())

    bound = np.log(8)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


def _scores(level: Tensor, logits: Tensor) -> dict[str, float]:
    """Return kappa, mean absolute error in stages and ranked probability score of held-out predictions."""
    truth, at_least = level.numpy(), logits.sigmoid().double().numpy()
    return {
        "quadratic_kappa": quadratic_kappa(truth, called_level(at_least), at_least.shape[1] + 1),
        "mae": float(np.abs(at_least.sum(axis=1) - truth).mean()),
        "rps": float(ranked_probability_score(truth, at_least).mean()),
    }


def _probe_names(samples: StagedSamples) -> list[str]:
    return ["depth", "study"] if len(np.unique(samples.study)) > 1 else ["depth"]


def _probe(name: str, sums: SampleSums, level: Tensor, samples: StagedSamples, n_levels: int, seed: int) -> Tensor:
    """Return held-out logits of what knows only numbers of cells and counts, or only the study."""
    if name == "depth":
        n_cells = sums.n_cells.clamp_min(1)
        values = torch.stack([n_cells.log(), sums.log_counts / n_cells], dim=1)
        values = (values - values.mean(dim=0)) / values.std(dim=0).clamp_min(1e-6)
    else:
        values = torch.nn.functional.one_hot(torch.from_numpy(np.unique(samples.study, return_inverse=True)[1])).float()
    nothing = torch.zeros(0, dtype=torch.int64)
    inputs = StageInputs(values, values[:, :0], torch.zeros(0, 1), nothing, nothing)

    def fit(some: StageInputs, their: Tensor, donors: Ints) -> ProportionalOdds:  # noqa: ARG001 - as `nested_fit`
        return fit_proportional_odds(some.blocks(COMPOSITION), their, n_levels, _PROBE_PENALTY)

    fold = donor_folds(samples.donor, level.numpy(), N_FOLDS, seed)
    return cross_fit(fit, COMPOSITION, inputs, level, samples.donor, fold).logits


def _inputs(features: StageFeatures, sums: SampleSums, bag: tuple[Tensor, Tensor, Tensor], output: str) -> StageInputs:
    latent, cell_type, sample = bag
    kept = attended(features, cell_type, output)
    return StageInputs(*feature_blocks(features, sums, output), latent[kept], cell_type[kept], sample[kept])


def _look(
    network: Network,
    tree: LabelTree,
    temperatures: Tensor,
    features: StageFeatures,
    samples: StagedSamples,
    batches: Iterable[CellBatch],
    seed: int,
) -> tuple[SampleSums, tuple[Tensor, Tensor, Tensor]]:
    """Return sums of the whole hidden layer, and some cells of each sample: latent, called type and sample."""
    n_samples, n_leaves = len(samples.sample), len(tree.leaves)
    n_hidden = network.encoder.first.out_features
    sums = SampleSums.empty(n_samples, n_leaves=n_leaves, n_types=features.n_types, n_values=n_hidden)
    place = torch.full((int(samples.sample.max()) + 2,), UNLABELLED)
    place[torch.from_numpy(samples.sample)] = torch.arange(n_samples)
    size = min(BAG_CELLS, MOST_BAG_CELLS / n_samples)
    share = torch.from_numpy(np.minimum(1.0, size / np.maximum(1, samples.n_cells)))
    generator = torch.Generator().manual_seed(seed)
    bag: list[tuple[Tensor, Tensor, Tensor]] = []
    for batch in batches:
        sample = place[batch.sample.clamp_max(len(place) - 1)]
        rows = torch.nonzero((sample != UNLABELLED) & (batch.library_size > 0))[:, 0]
        if not len(rows):
            continue
        some, sample = batch.of_rows(rows), sample[rows]
        hidden = network.encoder.hidden(to_dense(some), some.present, some.file)
        latent = network.encoder.after_first(hidden)
        probabilities = tree.leaf_probabilities(network.cell_type_head(latent).float(), temperatures)
        cell_type = features.called_type(probabilities)
        counted = features.counted_type[cell_type]
        drawn = counted & (torch.rand(len(rows), generator=generator, dtype=torch.float64) < share[sample])
        bag.append((latent[drawn], cell_type[drawn], sample[drawn]))
        cells = (sample, some.library_size, probabilities, cell_type, hidden)
        sums.add(*(part[counted] for part in cells))
    latent, cell_type, sample = (torch.cat(parts) for parts in zip(*bag, strict=True))
    return sums, (latent, cell_type, sample)
