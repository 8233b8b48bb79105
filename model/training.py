"""The LightningModule: losses, metrics and the optimiser around a network; the only Lightning file of the room."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from model.augment import Augmentation, AugmentationConfig
from model.heads import level_probabilities
from model.losses import cumulative_link_loss, hierarchical_cross_entropy, hierarchical_losses
from model.made_labels import drawn_with_made, implied_labels
from model.metrics import CellTypeMetrics, MeanLoss, StageMetrics
from model.network import CellOutput, Network
from model.pooling import PoolState, merge_pools
from model.prior import log_adjustment
from model.tree import LabelTree
from schema.batch import PADDING, CellBatch
from schema.errors import UsageError
from schema.labels import UNLABELLED, CellOntology

REFERENCE_RATE, REFERENCE_BATCH = 4e-3, 512
"""Peak learning rate, and the cells per step at which it suits (docs/results/batch_size.md)."""

HIGHEST_RATE = 8e-3
"""Beyond it nothing was measured."""


def usual_learning_rate(batch_size: int) -> float:
    """Return the peak learning rate for a number of cells per step over all ranks: by its square root, to a limit."""
    return min(HIGHEST_RATE, REFERENCE_RATE * math.sqrt(batch_size / REFERENCE_BATCH))


@dataclass(frozen=True, kw_only=True)
class OptimisationConfig:
    """How the network is trained."""

    learning_rate: float | None = None
    """Peak learning rate of encoder and cell type head (one cycle); None = 4e-3 * sqrt(cells per step / 512), at
    most 8e-3."""
    stage_learning_rate: float = 5e-3
    """Peak learning rate of the stage head."""
    weight_decay: float = 1e-2
    """AdamW weight decay of encoder and cell type head."""
    stage_weight_decay: float = 0.1
    """AdamW weight decay of the stage head; it sees few samples."""
    ancestor_weight: float = 0.3
    """Weight of each ancestor of a label in the cell type loss."""
    logit_adjustment: float = 1.0
    """How much of the log prior of the training labels is added to the logits; 0 = plain cross-entropy."""
    stage_weight: float = 1.0
    """Weight of the stage loss."""
    stage_trains_encoder: bool = False
    """Whether the stage loss also moves the encoder; off, it moves the stage head alone."""

    def __post_init__(self) -> None:
        """Check ranges."""
        rates = (self.stage_learning_rate, *(() if self.learning_rate is None else (self.learning_rate,)))
        if min(rates) <= 0 or self.logit_adjustment < 0:
            raise UsageError(
                "learning rates > 0 and logit_adjustment >= 0",
                got=str(self),
                where="optimisation",
                fix="Correct the value.",
            )


class TrainingModule(pl.LightningModule):
    """Trains a network on batches of cells and bags of samples.

    Parameters
    ----------
    network
        The network; all architecture is in it.
    ontology
        Label tree.
    sample_stage
        int64 `[n_samples]`, stage code of each sample or UNLABELLED.
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

    sample_stage: Tensor
    drawn_shift: Tensor

    def __init__(
        self,
        network: Network,
        ontology: CellOntology,
        sample_stage: Tensor,
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
        self.register_buffer("sample_stage", sample_stage, persistent=False)
        self.train_metrics = CellTypeMetrics(ontology, "train")
        self.cell_metrics, self.val_loss = CellTypeMetrics(ontology, "val"), MeanLoss()
        head = network.stage_head
        self.stage_metrics = StageMetrics(len(head.thresholds()) + 1, "val") if head is not None else None
        self._val_pool: PoolState | None = None

    def on_train_batch_start(self, batch: dict[str, CellBatch], batch_idx: int) -> None:  # noqa: ARG002
        """Seed what is drawn in this step, so that it does not depend on how training came to it."""
        torch.manual_seed(step_seed(self.seed, self.global_step, self.global_rank))

    def training_step(self, batch: dict[str, CellBatch], batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of a batch of cells and, where there is one, a batch of bags."""
        config, label = self.config, batch["cells"].cell_type
        with torch.no_grad():
            cells = self.augmentation(batch["cells"])
        latent = self.network.encoder(cells.expression, cells.present, cells.file)
        logits = self.network.cell_type_head.of_members(latent)
        drawn, of_each = (logits + self.drawn_shift).flatten(0, 1), cells.cell_type.repeat(len(logits))
        cell_loss = hierarchical_cross_entropy(drawn, of_each, self.tree, config.ancestor_weight)
        as_it_is = label.where(label == cells.cell_type, UNLABELLED)
        self.train_metrics.update(logits.detach().mean(dim=0), as_it_is, self.tree)
        self.log("train/cell_type/loss", cell_loss, prog_bar=True, batch_size=len(label))
        if "bags" not in batch:
            return cell_loss
        stage_loss = self._stage_loss(batch["bags"])
        self.log("train/tumor_stage/loss", stage_loss, prog_bar=True, batch_size=batch["bags"].n_cells)
        return cell_loss + config.stage_weight * stage_loss

    def on_train_epoch_end(self) -> None:
        """Log how the training cells were called on the way, made droplets left out; dropout was on."""
        self.log_dict(self.train_metrics.compute())
        self.train_metrics.reset()

    def on_validation_epoch_start(self) -> None:
        """Begin new counts."""
        self.cell_metrics.reset()
        self.val_loss.reset()
        head = self.network.stage_head
        self._val_pool = head.empty(len(self.sample_stage)) if head is not None else None

    def validation_step(self, batch: CellBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Count the cells of a batch, padding left out, and add them to their samples."""
        is_cell = batch.row != PADDING
        label, sample = batch.cell_type[is_cell], batch.sample[is_cell]
        latent, logits = (part[is_cell].float() for part in self.network(batch))
        self.cell_metrics.update(logits, label, self.tree)
        self.val_loss.update(hierarchical_losses(logits, label, self.tree, self.config.ancestor_weight), label)
        head = self.network.stage_head
        if head is not None and self._val_pool is not None:
            self._val_pool = head.pool(self._val_pool, latent, logits.softmax(dim=1), sample)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of both heads."""
        self.log_dict(self.cell_metrics.compute(), prog_bar=True)
        self.log("val/cell_type/loss", self.val_loss.compute())
        head = self.network.stage_head
        if head is None or self._val_pool is None or self.stage_metrics is None:
            return
        pool = self._over_ranks(self._val_pool)
        seen = pool.n_cells > 0
        seen_pool = PoolState(*(part[seen] for part in pool))
        if bool(seen.any()):
            probabilities = level_probabilities(head(seen_pool))
            self.log_dict(self.stage_metrics.compute_once(probabilities, self.sample_stage[seen]))

    def configure_optimizers(self) -> Any:
        """Return AdamW with one cycle, with its own rate and decay for the stage head."""
        head = list(self.network.stage_head.parameters()) if self.network.stage_head is not None else []
        of_head = {id(parameter) for parameter in head}
        body = [p for p in self.network.parameters() if id(p) not in of_head]
        config = self.config
        groups = [{"params": body, "weight_decay": config.weight_decay}]
        rates = [self.learning_rate]
        if head:
            groups.append({"params": head, "weight_decay": config.stage_weight_decay})
            rates.append(config.stage_learning_rate)
        optimiser = torch.optim.AdamW(groups, lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rates, total_steps=max(2, self.n_steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _stage_loss(self, bags: CellBatch) -> Tensor:
        head = self.network.stage_head
        if head is None:
            raise ValueError("Expected a network with a stage head, because bags are given.")
        with torch.set_grad_enabled(self.config.stage_trains_encoder):
            output: CellOutput = self.network(bags)
        samples, position = torch.unique(bags.sample, return_inverse=True)
        probabilities = output.logits.detach().float().softmax(dim=1)
        state = head.pool(head.empty(len(samples)), output.latent.float(), probabilities, position)
        return cumulative_link_loss(head(state), self.sample_stage[samples])

    def _over_ranks(self, pool: PoolState) -> PoolState:
        """Merge the states of all ranks; each has seen some cells of a sample."""
        if self.trainer.world_size == 1:
            return pool
        gathered = PoolState(*(cast(Tensor, self.all_gather(part)) for part in pool))
        merged = PoolState(*(part[0] for part in gathered))
        for rank in range(1, self.trainer.world_size):
            merged = merge_pools(merged, PoolState(*(part[rank] for part in gathered)))
        return merged


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of a training step on a rank, 0 to 2**64 - 1; neighbours have nothing in common."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0])
