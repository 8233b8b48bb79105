"""Fits the novelty score, and the limit from which on a cell is out of distribution, on cells with known labels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score
from torch import Tensor

from model.novelty import Novelty
from model.profiles import PSEUDO_COUNT, Profiles, type_counts
from schema.batch import CellBatch
from schema.labels import TYPE_LEVEL, UNLABELLED, CellOntology

CENTRE_CELLS = 5
"""Training cells that a node needs for its centre."""

LEAST_CELLS = 20
"""Held-out cells that a type needs to be left out."""

_TRIED = 200
"""Limits that are tried, evenly spread over the known cells that may be flagged."""

_LEAST_SPREAD = 1e-6


class EncodedCells(NamedTuple):
    """What the network says of labelled cells.

    Attributes
    ----------
    latent, logits
        float32 `[n_cells, n_latent]` and `[n_cells, n_leaves]`.
    divergence, log_counts
        float32 `[n_cells, n_types]` and `[n_cells]`, from `model.profiles.Profiles.divergences`.
    label
        int64 `[n_cells]`, node index or UNLABELLED.
    """

    latent: Tensor
    logits: Tensor
    divergence: Tensor
    log_counts: Tensor
    label: Tensor


def fit_profiles(profiles: Profiles, training: Iterable[CellBatch], ontology: CellOntology) -> None:
    """Take the mean profile of each type from training cells.

    Parameters
    ----------
    profiles
        Their tensors are written.
    training
        Cells of the donors trained on.
    ontology
        Label tree.
    """
    place = np.full(len(ontology.nodes), UNLABELLED)
    types = ontology.nodes_at(TYPE_LEVEL)
    place[types] = np.arange(len(types))
    of_node = ontology.ancestor_at(TYPE_LEVEL)
    node_type = torch.from_numpy(np.append(np.where(of_node == UNLABELLED, UNLABELLED, place[of_node]), UNLABELLED))
    counts, cells = torch.zeros_like(profiles.log_profile.T), torch.zeros(len(types), dtype=torch.int64)
    for batch in training:
        more_counts, more_cells = type_counts(batch, node_type, len(types))
        counts, cells = counts + more_counts, cells + more_cells
    counts += PSEUDO_COUNT
    profiles.log_profile.copy_((counts / counts.sum(dim=1, keepdim=True)).log().T)
    profiles.seen.copy_(cells >= CENTRE_CELLS)


def fit_novelty(novelty: Novelty, training: EncodedCells, held_out: EncodedCells) -> None:
    """Take centres and covariance from training cells, mean and spread of the parts from held-out ones.

    Parameters
    ----------
    novelty
        The score; its tensors are written.
    training
        Cells of the donors trained on.
    held_out
        Cells of other donors; where there are none, the training cells stand in.
    """
    fit_centres(novelty, training)
    if not bool(novelty.seen.any()):
        return
    known = held_out if len(held_out.label) else training
    mean, spread = _mean_and_spread(novelty, known)
    novelty.mean.copy_(mean)
    novelty.spread.copy_(spread)
    novelty.profiles.fit_depths(known.divergence, known.log_counts)


def carry_novelty(novelty: Novelty, training: EncodedCells, before: Novelty, before_training: EncodedCells) -> None:
    """Fit the score of a network for which no donor was held out, from that of a like network for which some were.

    Profiles are taken over. How far held-out cells lie beyond training cells is taken from before, in standard
    deviations of training cells.

    Parameters
    ----------
    novelty, training
        The score, whose tensors are written, and the cells that its network was trained on.
    before, before_training
        The score of the other network, and the cells that that one was trained on.
    """
    novelty.profiles.load_state_dict(before.profiles.state_dict())
    fit_centres(novelty, training)
    if not bool(novelty.seen.any() and before.seen.any()):
        return
    (mean, spread), (mean_before, spread_before) = (
        _mean_and_spread(score, cells) for score, cells in ((novelty, training), (before, before_training))
    )
    novelty.mean.copy_(mean + (before.mean - mean_before) * spread / spread_before)
    novelty.spread.copy_(before.spread * spread / spread_before)


def fit_centres(novelty: Novelty, training: EncodedCells) -> None:
    """Take the centres of nodes and the covariance around them, shrunk as Ledoit and Wolf 2004 have it."""
    labels, counts = torch.unique(training.label[training.label != UNLABELLED], return_counts=True)
    nodes = labels[counts >= CENTRE_CELLS]
    if not len(nodes):
        return
    novelty.seen[nodes] = True
    for node in nodes.tolist():
        novelty.centre[node] = training.latent[training.label == node].mean(dim=0)
    used = novelty.seen[training.label] & (training.label != UNLABELLED)
    around = (training.latent - novelty.centre[training.label])[used].double().numpy()
    covariance, _ = ledoit_wolf(around, assume_centered=True)
    floor = _LEAST_SPREAD * np.trace(covariance) / len(covariance) + np.finfo(np.float64).tiny
    precision = np.linalg.inv(covariance + floor * np.eye(len(covariance)))
    novelty.whiten.copy_(torch.from_numpy(np.linalg.cholesky(precision)))


def _mean_and_spread(novelty: Novelty, cells: EncodedCells) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of energy and distance, float32 `[2]` each."""
    parts = novelty.parts(cells.latent, cells.logits)
    return parts.mean(dim=0), parts.std(dim=0, correction=0).clamp_min(_LEAST_SPREAD)


def choose_limit(
    novelty: Novelty, held_out: EncodedCells, ontology: CellOntology, most_flagged: float
) -> tuple[float, list[dict[str, Any]]]:
    """Choose the limit on held-out donors and return it with what it finds of each type that is left out.

    A type is left out by doing without its leaves, centres and profile; the network has still learnt from it, so that
    what is found here is the better side of what is found of types that the network never saw.

    Parameters
    ----------
    novelty
        The fitted score.
    held_out
        Cells of donors that were not trained on.
    ontology
        Label tree.
    most_flagged
        Largest share of known cells that may lie beyond the limit, 0 to 1.

    Returns
    -------
    float
        The limit at which the share found of left-out types (mean over types) exceeds the share of known cells flagged
        by most; infinite without labelled cells.
    list of dict
        For each type left out: its id, its cells, the area under the ROC curve of left-out against known cells, and the
        share of it beyond the limit.
    """
    known = held_out.label != UNLABELLED
    if not bool(known.any()):
        return float("inf"), []
    misfit = novelty.profiles(held_out.divergence, held_out.log_counts)
    scores = novelty(held_out.latent[known], held_out.logits[known], misfit[known]).numpy()
    of_type = ontology.ancestor_at(TYPE_LEVEL)[held_out.label[known].numpy()]
    strange = {
        int(node): _left_out(novelty, held_out, known, of_type == node, int(node), ontology)
        for node, n_cells in zip(*np.unique(of_type[of_type != UNLABELLED], return_counts=True), strict=True)
        if n_cells >= LEAST_CELLS
    }
    tried = np.quantile(scores, 1 - most_flagged * np.arange(1, _TRIED + 1) / _TRIED)
    gain = [_mean_found(strange, limit) - float((scores > limit).mean()) for limit in tried]
    limit = float(tried[int(np.argmax(gain))]) if strange else float(tried[-1])
    rows = [
        {
            "left_out": ontology.nodes[node].id,
            "n_cells": len(found),
            "auroc": _auroc(found, scores[of_type != node]),
            "found": float((found > limit).mean()),
        }
        for node, found in strange.items()
    ]
    return limit, rows


def _left_out(
    novelty: Novelty,
    held_out: EncodedCells,
    known: torch.Tensor,
    is_type: npt.NDArray[np.bool_],
    node: int,
    ontology: CellOntology,
) -> npt.NDArray[np.float32]:
    """Return the scores of the cells of a type as if it had never been seen, float32 `[n_cells_of_type]`."""
    below = ontology.leaves_below
    leaves = torch.from_numpy(below[node])
    nodes = torch.from_numpy(~(below & ~below[node]).any(axis=1))
    cells = torch.from_numpy(np.flatnonzero(known.numpy())[is_type])
    parts = novelty.parts(held_out.latent[cells], held_out.logits[cells], (nodes, leaves))
    profile = torch.from_numpy(ontology.nodes_at(TYPE_LEVEL) == node)
    misfit = novelty.profiles(held_out.divergence[cells], held_out.log_counts[cells], profile)
    scores: npt.NDArray[np.float32] = novelty.score(parts, misfit).numpy()
    return scores


def _mean_found(strange: dict[int, npt.NDArray[np.float32]], limit: float) -> float:
    return float(np.mean([(found > limit).mean() for found in strange.values()])) if strange else 0.0


def _auroc(strange: npt.NDArray[np.float32], known: npt.NDArray[np.float32]) -> float:
    if not len(known):
        return float("nan")
    truth = np.repeat([True, False], [len(strange), len(known)])
    return float(roc_auc_score(truth, np.concatenate([strange, known])))
