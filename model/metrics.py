"""Metrics by head, named "<split>/<head>/<metric>"; torchmetrics adds up over batches and ranks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from model.tree import LabelTree
from schema.labels import TYPE_LEVEL, UNLABELLED, CellOntology


class Confusion(Metric):
    """How often each class was called for each label; counting does not make the host wait for the device."""

    full_state_update = False
    counts: Tensor

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(n_classes, n_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, called: Tensor, label: Tensor) -> None:
        """Count calls and labels, int64 `[n_cells]`; cells labelled UNLABELLED do not count."""
        n_classes = len(self.counts)
        pair = torch.where(label == UNLABELLED, n_classes**2, label * n_classes + called)
        counts = torch.zeros(n_classes**2 + 1, dtype=torch.int64, device=pair.device)
        self.counts += counts.index_add_(0, pair, torch.ones_like(pair))[:-1].view(n_classes, n_classes)

    def compute(self) -> Tensor:
        """Return the counts, int64 `[n_labels, n_calls]`."""
        return self.counts


class MeanLoss(Metric):
    """Mean of a loss over the labelled cells of all batches and ranks; NaN without any."""

    full_state_update = False
    total: Tensor
    n_cells: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("n_cells", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, losses: Tensor, label: Tensor) -> None:
        """Add losses float32 `[n_cells]`, 0 where the label int64 `[n_cells]` is UNLABELLED."""
        self.total += losses.sum()
        self.n_cells += (label != UNLABELLED).sum()

    def compute(self) -> Tensor:
        """Return the mean, scalar."""
        return self.total / self.n_cells


class CellTypeMetrics(nn.Module):
    """Macro-F1 and accuracy over types (level 2), macro-F1 over the finest level that labels reach.

    Cells labelled above a level do not count at that level. Classes that occur neither in labels nor in calls do not
    enter a macro mean.
    """

    types: Tensor
    below_types: Tensor
    type_of_node: Tensor
    leaf_of_node: Tensor

    def __init__(self, ontology: CellOntology, prefix: str) -> None:
        super().__init__()
        n_nodes, types = len(ontology.nodes), ontology.nodes_at(TYPE_LEVEL)
        leaf = np.full(n_nodes, UNLABELLED)
        leaf[ontology.leaves] = ontology.leaves
        self.register_buffer("types", torch.from_numpy(types), persistent=False)
        self.register_buffer("below_types", torch.from_numpy(ontology.leaves_below[types]).float().T, persistent=False)
        self.register_buffer("type_of_node", torch.from_numpy(ontology.ancestor_at(TYPE_LEVEL)), persistent=False)
        self.register_buffer("leaf_of_node", torch.from_numpy(leaf), persistent=False)
        self.by_type, self.by_leaf = Confusion(n_nodes), Confusion(n_nodes)
        self.prefix = f"{prefix}/cell_type/"

    def update(self, logits: Tensor, label: Tensor, tree: LabelTree) -> None:
        """Count a batch: logits float `[n_cells, n_leaves]`, label int64 `[n_cells]` (node index or UNLABELLED)."""
        known = label != UNLABELLED
        of_types = logits.float().softmax(dim=1) @ self.below_types
        type_label = self.type_of_node[label].where(known, UNLABELLED)
        self.by_type.update(self.types[of_types.argmax(dim=1)], type_label)
        leaf_label = self.leaf_of_node[label].where(known, UNLABELLED)
        self.by_leaf.update(tree.leaves[logits.argmax(dim=1)], leaf_label)

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics by name; empty before the first batch."""
        if not self.by_type.update_called:
            return {}
        by_type = self.by_type.compute()
        return {
            f"{self.prefix}f1_macro": macro_f1(by_type),
            f"{self.prefix}accuracy": by_type.diagonal().sum() / by_type.sum().clamp_min(1),
            f"{self.prefix}f1_macro_finest": macro_f1(self.by_leaf.compute()),
        }

    def reset(self) -> None:
        """Forget all counts."""
        self.by_type.reset()
        self.by_leaf.reset()


def macro_f1(confusion: Tensor) -> Tensor:
    """Return the mean F1 of the classes that occur in labels or calls, scalar; 0 where none does.

    Parameters
    ----------
    confusion
        int64 `[n_labels, n_calls]`.
    """
    found = confusion.sum(dim=0) + confusion.sum(dim=1)
    f1 = 2 * confusion.diagonal() / found.clamp_min(1)
    return f1.sum() / (found > 0).sum().clamp_min(1)
