"""All that is fitted on donors that a network was not trained on: temperatures, novelty and the rules of calling."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model.back_off import BackOffCurve
from model.calibration import MOST_CELLS, CalibrationCheck, fit_excess_prior, fit_temperatures
from model.confusion import read_confusion
from model.network import Network
from model.novelty import Novelty
from model.novelty_fit import EncodedCells, choose_limit, fit_novelty, fit_profiles
from model.tree import LabelTree
from schema.batch import CellBatch
from schema.calls import CallRules
from schema.confusion import Confusion
from schema.errors import UsageError
from schema.labels import TYPE_LEVEL, CellOntology

Batches = Callable[[int | None], Iterable[CellBatch]]
"""Gives the cells of a split in batches: so many of them, drawn at random, or (None) all."""


@dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """What is wanted of the calls on held-out donors."""

    accuracy: float = 0.95
    """Share of labels that shall be right: a cell's label backs off to a broader node until it holds, 0 to 1."""
    most_flagged: float = 0.05
    """Largest share of known cells that may be called out of distribution, above 0 and below 1."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not (0 < self.accuracy <= 1 and 0 < self.most_flagged < 1):
            raise UsageError(
                "accuracy and most_flagged are shares",
                got=f"{self.accuracy} and {self.most_flagged}",
                where="calibration",
                fix="Give values between 0 and 1.",
            )


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was fitted and found; `model.bundle.Bundle` says what each is.

    Attributes
    ----------
    temperatures, novelty, rules, confusion, state_confusion, metrics, checks
        As in a bundle.
    """

    temperatures: Tensor
    novelty: Novelty
    rules: CallRules
    confusion: Confusion
    state_confusion: Confusion
    metrics: Mapping[str, float]
    checks: Mapping[str, list[dict[str, Any]]]


@torch.no_grad()
def calibrate(
    network: Network,
    ontology: CellOntology,
    *,
    training: Batches,
    held_out: Batches,
    donor: Tensor,
    config: CalibrationConfig,
) -> Calibration:
    """Fit temperatures, novelty and the rules of calling, and check them; memory does not grow with the cells.

    Parameters
    ----------
    network
        The trained network, in evaluation mode.
    ontology
        Label tree.
    training, held_out
        Cells of the donors trained on, and of those kept back for this.
    donor
        int64 `[n_samples]`, donor of each sample, numbered from 0.
    config
        What is wanted of the calls.
    """
    tree = LabelTree(ontology)
    novelty = Novelty(
        n_nodes=len(ontology.nodes),
        n_latent=network.encoder.n_latent,
        n_genes=len(network.encoder.gene_mean),
        n_types=len(ontology.nodes_at(TYPE_LEVEL)),
    )
    fit_profiles(novelty.profiles, training(MOST_CELLS), ontology)
    some = encoded(network, novelty, held_out(MOST_CELLS))
    log_prior = network.cell_type_head.log_prior
    excess = fit_excess_prior(some.logits, some.label, tree, log_prior)
    network.cell_type_head.strength.sub_(excess)
    some = some._replace(logits=some.logits - excess * log_prior)
    temperatures = fit_temperatures(some.logits, some.label, tree)
    fit_novelty(novelty, encoded(network, novelty, training(MOST_CELLS)), some)
    limit, found = choose_limit(novelty, some, ontology, config.most_flagged)
    check, curve = CalibrationCheck(ontology), BackOffCurve(ontology)
    for batch in held_out(None):
        logits = network(batch).logits.float()
        node = tree.node_log_probabilities(logits, temperatures).exp()
        check.update(node, batch.cell_type)
        curve.update(node.numpy(), batch.cell_type.numpy())
    confusions = read_confusion(network, temperatures, ontology, held_out(None), donor)
    return Calibration(
        temperatures=temperatures,
        novelty=novelty,
        rules=CallRules(back_off=curve.choose(config.accuracy), novelty=limit),
        confusion=confusions.types,
        state_confusion=confusions.states,
        metrics=check.metrics(),
        checks={"reliability": check.rows(), "back_off": curve.rows(), "novelty": found},
    )


def encoded(network: Network, novelty: Novelty, batches: Iterable[CellBatch]) -> EncodedCells:
    """Return what the network and the profiles say of the cells of all batches."""
    parts = list(_encoded_batches(network, novelty, batches))
    if parts:
        return EncodedCells(*(torch.cat(column) for column in zip(*parts, strict=True)))
    return EncodedCells(
        latent=torch.zeros(0, network.encoder.n_latent),
        logits=torch.zeros(0, network.cell_type_head.n_leaves),
        divergence=torch.zeros(0, len(novelty.profiles.seen)),
        log_counts=torch.zeros(0),
        label=torch.zeros(0, dtype=torch.int64),
    )


def _encoded_batches(network: Network, novelty: Novelty, batches: Iterable[CellBatch]) -> Iterator[EncodedCells]:
    for batch in batches:
        latent, logits = network(batch)
        divergence, log_counts = novelty.profiles.divergences(batch)
        yield EncodedCells(latent.float(), logits.float(), divergence, log_counts, batch.cell_type)
