"""The LightningDataModule: files and a split in, streams of cell batches out."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl

from datamodules.buffers import ReadMemory
from datamodules.data_config import DataConfig
from datamodules.dataset import Dataset, Split, open_dataset
from datamodules.draw import drawn_rows, label_weights, usual_batch_size
from datamodules.loaders import BatchLoader
from datamodules.mixing import LIMIT, choose_sizes, expected_mixing
from datamodules.order import Plan, ReadSizes, SequentialPlan, Share, ShuffledPlan
from datamodules.read import CPU, read_batches
from datamodules.splits import SplitConfig
from schema.batch import CellBatch
from schema.errors import UsageError

logger = logging.getLogger(__name__)


class CellDataModule(pl.LightningDataModule):
    """Streams cells of the training and validation donors; donors set aside for testing are never read.

    Parameters
    ----------
    data, split
        What to read and how to split it.
    seed
        Seed of the split and of the order.

    Attributes
    ----------
    dataset
        The opened files with what is known of their cells; after `prepare`.
    reads
        How much is read at once in training; after `prepare`.
    """

    dataset: Dataset
    reads: ReadSizes

    def __init__(self, data: DataConfig, split: SplitConfig, seed: int) -> None:
        super().__init__()
        self.data, self.split, self.seed = data, split, seed
        self._opened = False
        self._memory: dict[tuple[Split, type[Plan]], ReadMemory] = {}

    def prepare(self) -> None:
        """Open the files and choose how they are read; the second call does nothing."""
        if self._opened:
            return
        self._take(open_dataset(self.data, self.split, self.seed))
        self.dataset.log()

    def joined(self) -> CellDataModule:
        """Return the same data with the validation donors among those trained on (see `Dataset.joined`)."""
        cells = CellDataModule(self.data, self.split, self.seed)
        cells._take(self.dataset.joined())
        return cells

    def _take(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.reads = self._sizes()
        self._weights = label_weights(self.dataset.training_codes(), self.data.balance)
        self._opened = True

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        """Prepare on every rank; all ranks come to the same split and vocabulary."""
        self.prepare()

    def train_dataloader(self) -> BatchLoader:
        """Return this rank's stream for the current epoch."""
        share = Share(seed=self.seed, epoch=self._epoch, rank=self._rank, world=self._world)
        return self._loader("train", self.training_plan(share))

    def val_dataloader(self) -> BatchLoader:
        """Return this rank's part of the validation rows, in file order; all ranks get equally many batches."""
        sizes, size = self.dataset.n_rows("val"), self.data.eval_batch_size
        return self._loader("val", SequentialPlan(sizes, size, rank=self._rank, world=self._world))

    def batches(self, split: Split, most_cells: int | None = None) -> Iterator[CellBatch]:
        """Yield the cells of a split in file order, in host memory: each once, or so many of them, drawn at random."""
        rows = self.dataset.rows[split]
        rows = rows if most_cells is None else drawn_rows(rows, most_cells, self.seed)
        plan = SequentialPlan([len(part) for part in rows], self.data.eval_batch_size)
        return read_batches(self.dataset.files, rows, plan, n_threads=self._n_threads)

    def training_plan(self, share: Share) -> ShuffledPlan:
        """Return the plan of one rank and epoch."""
        sizes = self.dataset.n_rows("train")
        return ShuffledPlan(sizes, self.reads, share, self._weights)

    def n_training_batches(self, world: int) -> int:
        """Return the batches of each rank in each epoch."""
        return self.training_plan(Share(seed=self.seed, world=world)).n_batches

    def drawn_labels(self) -> npt.NDArray[np.float64]:
        """Return how many cells per epoch are drawn with each node as label, float64 `[n_nodes]`."""
        counts = self.dataset.training_labels()
        drawn = np.where(counts > 0, np.maximum(counts, 1.0) ** (1 - self.data.balance), 0.0)
        return np.asarray(drawn * counts.sum() / max(1.0, drawn.sum()))

    def state_dict(self) -> dict[str, Any]:
        """Return what must be the same when a run goes on from a checkpoint: data, order and number of processes."""
        rows = hashlib.sha256()
        for part in self.dataset.rows["train"]:
            rows.update(np.asarray(part).tobytes())
        return {
            "seed": self.seed,
            "processes": self._world,
            "batch_size": self.reads.batch_size,
            "block_rows": self.reads.block_rows,
            "window_rows": self.reads.window_rows,
            "balance": self.data.balance,
            "genes": self.dataset.vocabulary.digest,
            "rows": rows.hexdigest(),
            "epochs": self.trainer.max_epochs if self.trainer else None,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse a checkpoint of a run that read otherwise: its batches cannot be gone on from.

        Raises
        ------
        UsageError
            Naming what differs.
        """
        here = self.state_dict()
        other = [name for name in here if state_dict.get(name) != here[name]]
        if other:
            shown = ", ".join(f"{name} {here[name]} instead of {state_dict.get(name)}" for name in other)
            raise UsageError(
                "a run goes on with the data, the order and the number of processes that it began with",
                got=shown,
                where="the checkpoint to go on from",
                fix="Restore them, or train anew into another folder.",
            )

    @property
    def _epoch(self) -> int:
        return self.trainer.current_epoch if self.trainer else 0

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    @property
    def _n_threads(self) -> int:
        ranks_here = self.trainer.num_devices if self.trainer else 1
        return self.data.threads or max(1, min(8, len(os.sched_getaffinity(0)) // ranks_here))

    def _loader(self, split: Split, plan: Plan) -> BatchLoader:
        device = self.trainer.strategy.root_device if self.trainer else CPU
        memory = self._memory.setdefault((split, type(plan)), ReadMemory(pinned=device.type == "cuda"))
        return BatchLoader(
            self.dataset.files,
            self.dataset.rows[split],
            plan,
            device=device,
            n_threads=self._n_threads,
            memory=memory,
            n_done=self._n_done,
        )

    def _n_done(self) -> int:
        """Return the batches of this epoch that were trained on."""
        progress = self.trainer.fit_loop.epoch_loop.batch_progress.current if self.trainer else None
        return getattr(progress, "processed", 0)

    def _sizes(self) -> ReadSizes:
        """Return how much is read at once: what the config says, else what mixes the labels well enough."""
        data, codes = self.data, self.dataset.training_codes()
        batch_size = data.batch_size or usual_batch_size(sum(self.dataset.n_rows("train")))
        stores = [file.store for file in self.dataset.files]
        chosen = choose_sizes(
            codes,
            batch_size,
            shuffled=all(store.kind == "packed" for store in stores) and not data.balance,
            in_chunks=any(store.chunk_rows > 1 for store in stores),
        )
        sizes = ReadSizes(
            batch_size=batch_size,
            block_rows=data.block_rows or chosen.block_rows,
            window_rows=data.window_rows or chosen.window_rows,
        )
        mixing = expected_mixing(codes, sizes)
        logger.log(
            logging.INFO if mixing.ratio <= LIMIT else logging.WARNING,
            "batches of %d: blocks of %d rows, %d rows shuffled together; labels vary %.1f times as much as at random",
            *(sizes.batch_size, sizes.block_rows, sizes.window_rows, mixing.ratio),
        )
        return sizes
