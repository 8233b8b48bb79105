"""Metrics by head, named "<split>/<head>/<metric>"; torchmetrics does the counting."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassCohenKappa, MulticlassF1Score

from model.tree import LabelTree
from schema.labels import UNLABELLED, CellOntology

TYPE_LEVEL = 2


class CellTypeMetrics(nn.Module):
    """Macro-F1 and accuracy over types (level 2), macro-F1 over the finest level that labels reach.

    Cells labelled above a level do not count at that level. Classes that occur neither in labels nor in calls do not
    enter a macro mean.
    """

    answers: Tensor
    of_node: Tensor

    def __init__(self, ontology: CellOntology, prefix: str) -> None:
        super().__init__()
        n_nodes, types = len(ontology.nodes), ontology.nodes_at(TYPE_LEVEL)
        self.register_buffer("answers", torch.from_numpy(types), persistent=False)
        self.register_buffer("of_node", torch.from_numpy(ontology.ancestor_at(TYPE_LEVEL)), persistent=False)
        self.by_type = MetricCollection(
            {
                "f1_macro": MulticlassF1Score(n_nodes, average="macro", ignore_index=UNLABELLED),
                "accuracy": MulticlassAccuracy(n_nodes, average="micro", ignore_index=UNLABELLED),
            },
            prefix=f"{prefix}/cell_type/",
        )
        self.by_leaf = MetricCollection(
            {"f1_macro_finest": MulticlassF1Score(n_nodes, average="macro", ignore_index=UNLABELLED)},
            prefix=f"{prefix}/cell_type/",
        )

    def update(self, logits: Tensor, label: Tensor, tree: LabelTree) -> None:
        """Count a batch: logits float `[n_cells, n_leaves]`, label int64 `[n_cells]` (node index or UNLABELLED)."""
        scores = tree.node_scores(logits)
        called = self.answers[scores[:, self.answers].argmax(dim=1)]
        known = label != UNLABELLED
        type_label = label.where(~known, self.of_node[label])
        self.by_type.update(called, type_label)
        is_leaf = known & (tree.below[label].sum(dim=1) == 1)
        self.by_leaf.update(tree.leaves[logits.argmax(dim=1)], label.where(is_leaf, label.new_tensor(UNLABELLED)))

    def compute(self) -> dict[str, Tensor]:
        """Return the metrics by name."""
        return {**self.by_type.compute(), **self.by_leaf.compute()}

    def reset(self) -> None:
        """Forget all counts."""
        self.by_type.reset()
        self.by_leaf.reset()


class StageMetrics(nn.Module):
    """Quadratic kappa and mean absolute error in stages, over samples."""

    def __init__(self, n_levels: int, prefix: str) -> None:
        super().__init__()
        self.kappa = MulticlassCohenKappa(num_classes=n_levels, weights="quadratic")
        self.error = MeanAbsoluteError()
        self.prefix = f"{prefix}/tumor_stage/"

    def compute_once(self, probabilities: Tensor, tumor_stage: Tensor) -> dict[str, Tensor]:
        """Return both metrics of the samples whose stage is known; empty where none is.

        Parameters
        ----------
        probabilities
            float `[n_samples, n_levels]`.
        tumor_stage
            int64 `[n_samples]`, code or UNLABELLED.
        """
        known = tumor_stage != UNLABELLED
        if not bool(known.any()):
            return {}
        probabilities, tumor_stage = probabilities[known], tumor_stage[known]
        levels = probabilities.new_tensor(range(probabilities.shape[1]))
        called = probabilities.argmax(dim=1)
        self.kappa.reset()
        self.error.reset()
        return {
            f"{self.prefix}quadratic_kappa": self.kappa(called, tumor_stage),
            f"{self.prefix}mae": self.error((probabilities * levels).sum(dim=1), tumor_stage.float()),
        }
