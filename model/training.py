"""The LightningModule: losses, metrics and the optimiser around a network; the only Lightning file of the room."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from model.augment import Augmentation, AugmentationConfig
from model.losses import hierarchical_cross_entropy, hierarchical_losses
from model.made_labels import drawn_with_made, implied_labels
from model.metrics import CellTypeMetrics, MeanLoss
from model.network import Network
from model.optimiser import SharedMomentAdamW
from model.prior import log_adjustment
from model.tree import LabelTree
from schema.batch import PADDING, CellBatch
from schema.errors import UsageError
from schema.labels import UNLABELLED, CellOntology

REFERENCE_RATE, REFERENCE_BATCH = 4e-3, 512
"""Peak learning rate, and the cells per step at which it suits (docs/results/batch_size.md)."""

HIGHEST_RATE = 8e-3
"""Beyond it nothing was measured."""

FIRST_LAYER_SCALE = 3.0
"""Factor on the learning rate for the weights of the first layer where they share a moment (docs/log.md)."""


def usual_learning_rate(batch_size: int) -> float:
    """Return the peak learning rate for a number of cells per step over all ranks: by its square root, to a limit."""
    return min(HIGHEST_RATE, REFERENCE_RATE * math.sqrt(batch_size / REFERENCE_BATCH))


@dataclass(frozen=True, kw_only=True)
class OptimisationConfig:
    """How the network is trained."""

    learning_rate: float | None = None
    """Peak learning rate (one cycle); None = 4e-3 * sqrt(cells per step / 512), at
    most 8e-3."""
    weight_decay: float = 1e-2
    """AdamW weight decay."""
    ancestor_weight: float = 0.3
    """Weight of each ancestor of a label in the cell type loss."""
    shared_moment: bool = False
    """Whether the weights of the first layer share one second moment: better where few studies differ much, by gene
    panel or technique, and types are told apart across them (docs/log.md)."""
    logit_adjustment: float = 1.0
    """How much of the log prior of the training labels is added to the logits; 0 = plain cross-entropy."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if (self.learning_rate is not None and self.learning_rate <= 0) or self.logit_adjustment < 0:
            raise UsageError(
                "learning_rate > 0 and logit_adjustment >= 0",
                got=str(self),
                where="optimisation",
                fix="Correct the value.",
            )


class TrainingModule(pl.LightningModule):
    """Trains a network on batches of cells.

    Parameters
    ----------
    network
        The network; all architecture is in it.
    ontology
        Label tree.
    config
        Optimisation.
    augmentation
        What is made of training cells.
    seed
        Seed of dropout and augmentation, >= 0.
    batch_size
        Cells of an optimiser step, over all ranks.
    n_steps
        Optimiser steps of the whole training: batches of an epoch on one rank, times epochs. Lightning's own estimate
        would ask for the loaders before it has restored their state.
    label_counts
        `[n_nodes]`, training cells with each node as label: the prior that the network's probabilities imply, with the
        expected shares of droplets that are made and that no label names (see `model.made_labels`).
    drawn_counts
        `[n_nodes]`, how often they are drawn in the long run, where rare labels are drawn more often; None = alike. The
        loss is taken under the prior of what is drawn and made, so that the probabilities keep that of the cells there
        are.
    """

    drawn_shift: Tensor

    def __init__(
        self,
        network: Network,
        ontology: CellOntology,
        config: OptimisationConfig,
        augmentation: AugmentationConfig | None = None,
        *,
        seed: int,
        batch_size: int,
        n_steps: int,
        label_counts: Tensor,
        drawn_counts: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network, self.config = network, config
        self.seed, self.n_steps = seed, n_steps
        self.learning_rate = config.learning_rate or usual_learning_rate(batch_size)
        augmentation = augmentation or AugmentationConfig()
        drawn = drawn_with_made(label_counts if drawn_counts is None else drawn_counts, ontology, augmentation)
        log_prior = log_adjustment(implied_labels(label_counts, ontology, augmentation), ontology)
        log_drawn = log_adjustment(drawn, ontology)
        network.cell_type_head.adjust(log_prior, config.logit_adjustment)
        self.register_buffer("drawn_shift", log_drawn - log_prior, persistent=False)
        self.tree, self.augmentation = LabelTree(ontology), Augmentation(ontology, augmentation)
        self.train_metrics = CellTypeMetrics(ontology, "train")
        self.cell_metrics, self.val_loss = CellTypeMetrics(ontology, "val"), MeanLoss()

    def on_train_batch_start(self, batch: CellBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Seed what is drawn in this step, so that it does not depend on how training came to it."""
        torch.manual_seed(step_seed(self.seed, self.global_step, self.global_rank))

    def training_step(self, batch: CellBatch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of a batch of cells."""
        config, label = self.config, batch.cell_type
        with torch.no_grad():
            cells = self.augmentation(batch)
        latent = self.network.encoder(cells.expression, cells.present, cells.file)
        logits = self.network.cell_type_head.of_members(latent)
        drawn, of_each = (logits + self.drawn_shift).flatten(0, 1), cells.cell_type.repeat(len(logits))
        cell_loss = hierarchical_cross_entropy(drawn, of_each, self.tree, config.ancestor_weight)
        as_it_is = label.where(label == cells.cell_type, UNLABELLED)
        self.train_metrics.update(logits.detach().mean(dim=0), as_it_is, self.tree)
        self.log("train/cell_type/loss", cell_loss, prog_bar=True, batch_size=len(label))
        return cell_loss

    def on_train_epoch_end(self) -> None:
        """Log how the training cells were called on the way, made droplets left out; dropout was on."""
        self.log_dict(self.train_metrics.compute())
        self.train_metrics.reset()

    def on_validation_epoch_start(self) -> None:
        """Begin new counts."""
        self.cell_metrics.reset()
        self.val_loss.reset()

    def validation_step(self, batch: CellBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Count the cells of a batch, padding left out."""
        is_cell = batch.row != PADDING
        label = batch.cell_type[is_cell]
        logits = self.network(batch).logits[is_cell].float()
        self.cell_metrics.update(logits, label, self.tree)
        self.val_loss.update(hierarchical_losses(logits, label, self.tree, self.config.ancestor_weight), label)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics."""
        self.log_dict(self.cell_metrics.compute(), prog_bar=True)
        self.log("val/cell_type/loss", self.val_loss.compute())

    def configure_optimizers(self) -> Any:
        """Return AdamW with one cycle."""
        optimiser = self._optimiser()
        peaks = [group["lr"] for group in optimiser.param_groups]
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peaks, total_steps=max(2, self.n_steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _optimiser(self) -> torch.optim.AdamW:
        first, rate, decay = self.network.encoder.first.weight, self.learning_rate, self.config.weight_decay
        if not self.config.shared_moment:
            return torch.optim.AdamW(self.network.parameters(), lr=rate, weight_decay=decay)
        others = [parameter for parameter in self.network.parameters() if parameter is not first]
        return SharedMomentAdamW(others, [first], lr=rate, weight_decay=decay, shared_scale=FIRST_LAYER_SCALE)


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of a training step on a rank, 0 to 2**64 - 1; neighbours have nothing in common."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])
