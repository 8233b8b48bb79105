"""The LightningModule: losses, metrics and the optimiser around a network; the only Lightning file of the room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor

from model.heads import level_probabilities
from model.losses import cumulative_link_loss, hierarchical_cross_entropy
from model.metrics import CellTypeMetrics, StageMetrics
from model.network import CellOutput, Network
from model.pooling import PoolState, merge_pools
from model.preprocess import thin
from model.tree import LabelTree
from schema.batch import CellBatch
from schema.errors import UsageError
from schema.labels import CellOntology


@dataclass(frozen=True, kw_only=True)
class OptimisationConfig:
    """How the network is trained."""

    learning_rate: float = 1e-3
    """Peak learning rate of encoder and cell type head (one cycle)."""
    stage_learning_rate: float = 5e-3
    """Peak learning rate of the stage head."""
    weight_decay: float = 1e-2
    """AdamW weight decay of encoder and cell type head."""
    stage_weight_decay: float = 0.1
    """AdamW weight decay of the stage head; it sees few samples."""
    ancestor_weight: float = 0.3
    """Weight of each ancestor of a label in the cell type loss."""
    stage_weight: float = 1.0
    """Weight of the stage loss."""
    stage_trains_encoder: bool = False
    """Whether the stage loss also moves the encoder; off, it moves the stage head alone."""
    thin_share: float = 0.0
    """Share of cells thinned to a poor droplet's depth in each training batch; off, see docs/log.md of 2026-11-22."""
    thin_min: float = 150.0
    """Lowest target of thinning, UMI."""
    thin_max: float = 1000.0
    """Highest target of thinning, UMI."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not (0 <= self.thin_share <= 1 and 0 < self.thin_min <= self.thin_max and self.learning_rate > 0):
            raise UsageError(
                "0 <= thin_share <= 1, 0 < thin_min <= thin_max and learning rates > 0",
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
    """

    sample_stage: Tensor

    def __init__(
        self, network: Network, ontology: CellOntology, sample_stage: Tensor, config: OptimisationConfig
    ) -> None:
        super().__init__()
        self.network, self.config = network, config
        self.tree = LabelTree(ontology)
        self.register_buffer("sample_stage", sample_stage, persistent=False)
        self.train_metrics = CellTypeMetrics(ontology, "train")
        self.cell_metrics = CellTypeMetrics(ontology, "val")
        head = network.stage_head
        self.stage_metrics = StageMetrics(len(head.thresholds()) + 1, "val") if head is not None else None
        self._val_pool: PoolState | None = None

    def training_step(self, batch: dict[str, CellBatch], batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the loss of a batch of cells and, where there is one, a batch of bags."""
        config = self.config
        cells = thin(batch["cells"], share=config.thin_share, min_counts=config.thin_min, max_counts=config.thin_max)
        logits = self.network(cells).logits
        cell_loss = hierarchical_cross_entropy(logits, cells.cell_type, self.tree, config.ancestor_weight)
        self.train_metrics.update(logits.detach(), cells.cell_type, self.tree)
        self.log("train/cell_type/loss", cell_loss, prog_bar=True, batch_size=cells.n_cells)
        if "bags" not in batch:
            return cell_loss
        stage_loss = self._stage_loss(batch["bags"])
        self.log("train/tumor_stage/loss", stage_loss, prog_bar=True, batch_size=batch["bags"].n_cells)
        return cell_loss + config.stage_weight * stage_loss

    def on_train_epoch_end(self) -> None:
        """Log how the training cells were called on the way; dropout was on."""
        self.log_dict(self.train_metrics.compute())
        self.train_metrics.reset()

    def on_validation_epoch_start(self) -> None:
        """Begin new counts."""
        self.cell_metrics.reset()
        head = self.network.stage_head
        self._val_pool = head.empty(len(self.sample_stage)) if head is not None else None

    def validation_step(self, batch: CellBatch, batch_idx: int) -> None:  # noqa: ARG002
        """Count a batch of cells and add it to its samples."""
        output: CellOutput = self.network(batch)
        self.cell_metrics.update(output.logits, batch.cell_type, self.tree)
        loss = hierarchical_cross_entropy(output.logits, batch.cell_type, self.tree, self.config.ancestor_weight)
        self.log("val/cell_type/loss", loss, batch_size=batch.n_cells, sync_dist=True)
        head = self.network.stage_head
        if head is not None and self._val_pool is not None:
            self._val_pool = head.pool(
                self._val_pool, output.latent.float(), output.logits.float().softmax(dim=1), batch.sample
            )

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of both heads."""
        self.log_dict(self.cell_metrics.compute(), prog_bar=True)
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
        rates = [config.learning_rate]
        if head:
            groups.append({"params": head, "weight_decay": config.stage_weight_decay})
            rates.append(config.stage_learning_rate)
        optimiser = torch.optim.AdamW(groups, lr=config.learning_rate)
        n_steps = max(2, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rates, total_steps=n_steps)
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
