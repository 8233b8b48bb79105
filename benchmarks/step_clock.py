"""What a Lightning training run spends on its steps, and how much of it waiting for the loader."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.profilers import Profiler

from schema.batch import CellBatch

FETCH = "[_TrainingEpochLoop].train_dataloader_next"
"""What Lightning calls asking the loader for the next batch."""


MANY = 1_000_000
"""Epochs or batches that no run comes to: the clock ends it."""


class FetchTimer(Profiler):
    """Takes the seconds of the last time that Lightning asked for a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds, self._start = 0.0, 0.0

    def start(self, action_name: str) -> None:
        """Start the clock of an action."""
        if action_name == FETCH:
            self._start = time.perf_counter()

    def stop(self, action_name: str) -> None:
        """Stop the clock of an action."""
        if action_name == FETCH:
            self.seconds = time.perf_counter() - self._start


class StepClock(pl.Callback):
    """Adds up steps from end to end, without the first of each epoch, and ends the training after some seconds.

    Parameters
    ----------
    limit_seconds
        Counted seconds after which the training ends.
    n_warm
        Steps at the start of the training that are not counted.

    Attributes
    ----------
    n_steps, n_cells, seconds, wait_seconds
        Steps counted, their cells, their wall seconds, and those of them in which the loader was waited for.
    """

    def __init__(self, limit_seconds: float, n_warm: int) -> None:
        self.n_steps = self.n_cells = 0
        self.seconds = self.wait_seconds = 0.0
        self.fetch = FetchTimer()
        self._limit, self._n_warm, self._last = limit_seconds, n_warm, 0.0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ARG002 - Lightning's signature
        batch: CellBatch,
        batch_idx: int,
    ) -> None:
        """Count a step; the device is waited for where counting begins and ends."""
        over, counts = self.seconds >= self._limit, batch_idx > 0 and trainer.global_step > self._n_warm
        if not counts or trainer.is_last_batch or over:
            synchronise(pl_module.device)
        now = time.perf_counter()
        if counts:
            self.n_steps += 1
            self.n_cells += batch.n_cells
            self.seconds += now - self._last
            self.wait_seconds += self.fetch.seconds
        self._last = now
        trainer.should_stop = trainer.should_stop or over

    def figures(self) -> dict[str, float]:
        """Return what was counted."""
        names = ("n_steps", "n_cells", "seconds", "wait_seconds")
        return {name: getattr(self, name) for name in names}


class SameBatch(pl.LightningDataModule):
    """Gives one batch again and again."""

    def __init__(self, batch: CellBatch) -> None:
        super().__init__()
        self._batch = batch

    def train_dataloader(self) -> _Repeated:
        """Return the batch, many times."""
        return _Repeated(self._batch)


class _Repeated:
    def __init__(self, batch: CellBatch) -> None:
        self._batch = batch

    def __iter__(self) -> Iterator[CellBatch]:
        return (self._batch for _ in range(MANY))

    def __len__(self) -> int:
        return MANY


def fit(
    trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule, clock: StepClock
) -> dict[str, float]:
    """Train until the clock ends it, with nothing else called back, and return what it counted."""
    trainer.callbacks = [clock]  # type: ignore[attr-defined]
    trainer.profiler = clock.fetch  # type: ignore[attr-defined]
    trainer.fit(module, datamodule=data)
    return clock.figures()


def synchronise(device: torch.device) -> None:
    """Wait for what a CUDA device has been asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
