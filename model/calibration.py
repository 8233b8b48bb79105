"""Calibration on held-out donors: one temperature per level of the label tree, and how well the result holds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from model.tree import LabelTree
from schema.labels import UNLABELLED, CellOntology

_LOG_BOUND = 2.5


def fit_temperatures(logits: Tensor, label: Tensor, tree: LabelTree) -> Tensor:
    """Fit one temperature per level by maximum likelihood (Guo et al. 2017, arXiv:1706.04599, on a tree).

    P(node) is the product of P(child | parent) down its path, so each level is fitted on its own step of the path.

    Parameters
    ----------
    logits
        float `[n_cells, n_leaves]` of cells of donors that were not trained on.
    label
        int64 `[n_cells]`, node index or UNLABELLED.
    tree
        The label tree.

    Returns
    -------
    Tensor
        float `[n_levels]`, between exp(-2.5) and exp(2.5); 1 at levels that no label reaches.
    """
    known = label != UNLABELLED
    scores, on_path = tree.node_scores(logits[known].float()), tree.path[label[known]]
    log_temperature = torch.zeros(tree.n_levels, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = -(tree.conditional(scores, log_temperature.exp()) * on_path).sum() / max(1, len(scores))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    if len(scores):
        optimiser.step(closure)  # type: ignore[no-untyped-call]
    return log_temperature.detach().clamp(-_LOG_BOUND, _LOG_BOUND).exp()


def expected_calibration_error(confidence: Tensor, correct: Tensor, n_bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy over equal-width bins, weighted by cells (Guo et al. 2017).

    Parameters
    ----------
    confidence
        float `[n_cells]`, probability of the called type.
    correct
        bool `[n_cells]`.
    n_bins
        Number of bins on 0 to 1.
    """
    if not len(confidence):
        return float("nan")
    bins = (confidence * n_bins).long().clamp_max(n_bins - 1)
    gap = torch.zeros(n_bins, dtype=torch.float64).index_add(0, bins, confidence.double() - correct.double())
    return float(gap.abs().sum() / len(confidence))


def neutrophil_reference(
    probability: Tensor, label_is_neutrophil: Tensor, donor: Tensor, n_donors: int
) -> tuple[Tensor, Tensor]:
    """Return each donor's mean neutrophil probability among its neutrophils and among its other cells.

    Parameters
    ----------
    probability
        float `[n_cells]`, calibrated neutrophil probability of cells in the burden's denominator.
    label_is_neutrophil
        bool `[n_cells]`.
    donor
        int64 `[n_cells]`, 0 <= donor < n_donors.

    Returns
    -------
    tuple
        sensitivity and false positive rate, float64 `[n_donors]`; NaN where a donor has no such cells.
    """

    def mean_over(cells: Tensor) -> Tensor:
        zeros = torch.zeros(n_donors, dtype=torch.float64)
        total = zeros.index_add(0, donor[cells], probability[cells].double())
        return total / zeros.index_add(0, donor[cells], torch.ones(int(cells.sum()), dtype=torch.float64))

    return mean_over(label_is_neutrophil), mean_over(~label_is_neutrophil)


def calibration_metrics(node: Tensor, label: Tensor, ontology: CellOntology) -> dict[str, float]:
    """Return accuracy and expected calibration error of the called type (level 2) on held-out donors.

    Parameters
    ----------
    node
        float `[n_cells, n_nodes]`, calibrated probability of each node.
    label
        int64 `[n_cells]`, node index or UNLABELLED.
    ontology
        Label tree.

    Returns
    -------
    dict
        By name; empty where no cell is labelled at level 2 or below.
    """
    types = torch.from_numpy(ontology.nodes_at(2))
    truth = torch.from_numpy(np.append(ontology.ancestor_at(2), UNLABELLED))[label]
    known = truth != UNLABELLED
    if not bool(known.any()):
        return {}
    confidence, called = node[known][:, types].max(dim=1)
    correct = types[called] == truth[known]
    return {
        "val/cell_type/accuracy_calibrated": float(correct.float().mean()),
        "val/cell_type/ece": expected_calibration_error(confidence, correct),
    }


def burden_reference(node: Tensor, label: Tensor, donor: Tensor, ontology: CellOntology) -> dict[str, list[float]]:
    """Return what each held-out donor says of neutrophils found and missed, among the cells that the burden counts.

    Cells whose label leaves open whether they are neutrophils ("myeloid"), or that the burden does not count, stay out.

    Parameters
    ----------
    node, label, ontology
        As for `calibration_metrics`.
    donor
        int64 `[n_cells]`.

    Returns
    -------
    dict
        "sensitivity" and "false_positive", one value per donor (see `neutrophil_reference`).
    """
    below, roles = ontology.leaves_below, ontology.roles
    neutrophil_leaves, outside_leaves = ontology.below(roles.neutrophil), ontology.below(*roles.outside_denominator)
    is_neutrophil = torch.from_numpy(~(below & ~neutrophil_leaves).any(axis=1))
    is_other = torch.from_numpy(~(below & (neutrophil_leaves | outside_leaves)).any(axis=1))
    use = (label != UNLABELLED) & (is_neutrophil | is_other)[label]
    outside = [ontology.index_by_id[name] for name in roles.outside_denominator]
    counted = (1 - node[:, outside].sum(dim=1)).clamp_min(1e-6)
    share = (node[:, ontology.index_by_id[roles.neutrophil]] / counted).clamp_max(1.0)
    donors, position = torch.unique(donor[use], return_inverse=True)
    sensitivity, false_positive = neutrophil_reference(share[use], is_neutrophil[label[use]], position, len(donors))
    return {"sensitivity": sensitivity.tolist(), "false_positive": false_positive.tolist()}
