"""What a training goes on from: whole checkpoints, the last and the one before; one too when it is asked to stop."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, ModelCheckpoint
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from schema.disk import whole_file
from schema.errors import InputError, UsageError
from schema.signals import STOP, Stopped

logger = logging.getLogger(__name__)

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
"""Names of checkpoints: the last, the one before it, and the one that did best on validation."""

_ASK_EVERY = 8
"""Steps between two questions to the other processes; alone, a process looks after each."""


class WholeCheckpoints(CheckpointIO):
    """Writes checkpoints whole or not at all, and reads plain values only.

    Lightning's own writer stages a file where temporary files are; when that is another disk, its last step is a copy,
    which leaves half a file in place of the old one when the disk is full.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint; the file of that name is the old one or the new one at every moment.

        Raises
        ------
        OutputError
            If the disk is full or read-only; the old file is as it was.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as draft, draft.open("wb") as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self,
        path: Any,
        map_location: Any | None = None,
        weights_only: bool | None = None,  # noqa: FBT001 - Lightning's signature
    ) -> dict[str, Any]:
        """Read a checkpoint; nothing in it can run code, whatever is asked for.

        Raises
        ------
        InputError
            If it is damaged, or holds more than plain values.
        """
        return read_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a checkpoint."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Read a checkpoint as `WholeCheckpoints` does."""
    try:
        content: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(
            "a checkpoint is whole and holds plain values",
            got=type(error).__name__,
            where=path.name,
            fix="Train anew into another folder.",
        ) from error
    return content


def newest_whole(folder: Path) -> Path | None:
    """Return the last checkpoint of a folder, or the one before it where the last is damaged; None = there is none.

    Raises
    ------
    InputError
        If there are some and none is whole.
    """
    there = [path for path in (folder / LAST, folder / PREVIOUS) if path.is_file()]
    for path in there:
        if _is_whole(path):
            if path.name != LAST:
                logger.warning("%s is missing or damaged: going on from %s", LAST, path.name)
            return path
    if there:
        raise InputError(
            "a checkpoint to go on from must be whole",
            got=f"{' and '.join(path.name for path in there)} damaged",
            where=folder.parent.name,
            fix="Train anew into another folder.",
        )
    return None


def _is_whole(path: Path) -> bool:
    """Return whether all parts of a checkpoint have the checksums they were written with; torch does not look."""
    try:
        with zipfile.ZipFile(path) as parts:
            return parts.testzip() is None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return False


class FiniteLoss(Callback):
    """Ends a training whose loss is no number any more, before a checkpoint is written of it."""

    def __init__(self) -> None:
        self._is_lost: Tensor | None = None

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Keep in mind whether the loss is finite; look now and then, at once where that costs nothing."""
        lost = ~torch.isfinite(outputs["loss"].detach()).all()
        self._is_lost = lost if self._is_lost is None else self._is_lost | lost
        if trainer.global_step % 50 == 0 or (lost.device.type == "cpu" and trainer.world_size == 1):
            self._check(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look."""
        self._check(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Look."""
        self._check(trainer)

    def _check(self, trainer: pl.Trainer) -> None:
        if self._is_lost is None:
            return
        if trainer.strategy.reduce_boolean_decision(bool(self._is_lost), all=False):
            raise UsageError(
                "the loss must stay a number",
                got="NaN or infinity",
                where=f"the training, at or before step {trainer.global_step}",
                fix="Train anew with a lower --optimisation.learning_rate, or in 32-true.",
            )


class ResumeCheckpoint(Checkpoint):
    """Writes what a run goes on from: every so many steps, before validation, after each epoch and when asked to stop.

    Not on the last step of an epoch: Lightning would take that epoch for done and leave out its validation.

    Parameters
    ----------
    folder
        Where the checkpoints are.
    every_n_steps
        Steps between two.
    """

    def __init__(self, folder: Path, every_n_steps: int) -> None:
        self._folder, self._every_n_steps = folder, every_n_steps

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Answer signals again: Lightning has put its own answers in place, which end a run without a checkpoint."""
        STOP.listen()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write, if it is time; end, if that was asked."""
        ends = _is_asked_to_stop(trainer, trainer.global_step)
        is_due = trainer.global_step % self._every_n_steps == 0 or batch_idx == trainer.num_training_batches - 2
        if (ends or is_due) and not trainer.is_last_batch:
            self._write(trainer)
        if ends:
            raise _stopped(trainer)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """End, if that was asked: the checkpoint was written a step before."""
        if _is_asked_to_stop(trainer, batch_idx):
            raise _stopped(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write."""
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            _keep_previous(self._folder)
        trainer.save_checkpoint(self._folder / LAST)


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best epoch; what it remembers of files are names, so that a run folder can move and names no place."""

    def state_dict(self) -> dict[str, Any]:
        """Return what is remembered, without folders."""
        return _with_paths(super().state_dict(), lambda path: Path(path).name)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what was remembered, in the folder of now."""
        folder = Path(str(self.dirpath))
        super().load_state_dict(_with_paths(state_dict, lambda path: str(folder / path)) | {"dirpath": self.dirpath})


def _with_paths(state: dict[str, Any], change: Any) -> dict[str, Any]:
    changed = dict(state, dirpath="")
    for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
        changed[name] = change(state[name]) if state[name] else ""
    changed["best_k_models"] = {change(path): score for path, score in state["best_k_models"].items()}
    return changed


def _keep_previous(folder: Path) -> None:
    """Give the last checkpoint a second name; where names cannot be doubled, there is no previous one."""
    if not (folder / LAST).exists():
        return
    draft = folder / f".{PREVIOUS}.part"
    with suppress(OSError):
        draft.unlink(missing_ok=True)
        os.link(folder / LAST, draft)
        os.replace(draft, folder / PREVIOUS)  # noqa: PTH105 - one call that replaces atomically
        draft.unlink(missing_ok=True)  # it stays where both were one file already


def _is_asked_to_stop(trainer: pl.Trainer, number: int) -> bool:
    """Return whether any process was asked to stop; all processes come to the same answer at the same step."""
    if trainer.world_size == 1:
        return STOP.asked is not None
    return number % _ASK_EVERY == 0 and trainer.strategy.reduce_boolean_decision(STOP.asked is not None, all=False)


def _stopped(trainer: pl.Trainer) -> Stopped:
    logger.info("asked to stop at step %d: --resume true goes on from there", trainer.global_step)
    return Stopped(STOP.asked or signal.SIGTERM)
