"""The prior over leaves that training implies, and the log prior that the cell type loss is adjusted by."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from schema.labels import CellOntology

PSEUDO_COUNT = 1.0
"""Cells added to each leaf for the prior, so that no probability is zero."""


def leaf_cells(label_counts: Tensor, ontology: CellOntology) -> Tensor:
    """Return the training cells of each leaf, cells labelled at inner nodes shared out among the leaves below.

    Inner nodes are shared out from the deepest upwards, in proportion to the cells that the leaves have by then; evenly
    where they have none. A count of "neutrophil" thus follows the neutrophil states that were labelled, and a count of
    "myeloid" follows neutrophils, monocytes and the rest.

    Parameters
    ----------
    label_counts
        `[n_nodes]`, training cells labelled with each node, >= 0.
    ontology
        Label tree.

    Returns
    -------
    Tensor
        float64 `[n_leaves]`, summing to all labelled cells.
    """
    below = torch.from_numpy(ontology.leaves_below).double()
    counts = label_counts.double()
    cells = counts[torch.from_numpy(ontology.leaves)]
    inner = np.setdiff1d(np.arange(len(counts)), ontology.leaves)
    for node in inner[np.argsort(-ontology.levels[inner], kind="stable")].tolist():
        share = cells * below[node]
        share = share if float(share.sum()) > 0 else below[node]
        cells = cells + counts[node] * share / share.sum()
    return cells


def leaf_prior(label_counts: Tensor, ontology: CellOntology) -> Tensor:
    """Return the prior that the network's probabilities imply, float64 `[n_leaves]`, > 0, summing to 1."""
    cells = leaf_cells(label_counts, ontology) + PSEUDO_COUNT
    return cells / cells.sum()


def log_adjustment(label_counts: Tensor, ontology: CellOntology) -> Tensor:
    """Return the log prior that the loss adds to the logits, float32 `[n_leaves]`.

    Leaves without any training cell stand at the mean of those that have some. At their own prior, next to nothing, the
    softmax would not see them: nothing would push their logits down, and calls without the prior would fall for them.
    """
    cells, prior = leaf_cells(label_counts, ontology), leaf_prior(label_counts, ontology)
    seen = cells > 0
    mean = prior[seen].mean() if bool(seen.any()) else prior.mean()
    return torch.where(seen, prior, mean).log().float()
