"""The LightningDataModule: files and a split in, streams of cell batches and of bags out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.combined_loader import CombinedLoader
from torch.utils.data import DataLoader, IterableDataset

from datamodules.cell_labels import load_label_map, resolve_labels
from datamodules.columns import pick_column
from datamodules.order import (
    Ints,
    Share,
    Window,
    bag_windows,
    cut_into_blocks,
    n_batches,
    sequential_windows,
    shuffled_windows,
)
from datamodules.read import SourceFile, read_ahead
from datamodules.samples import ColumnsConfig, sample_table
from datamodules.splits import SplitConfig, as_names, split_donors
from datamodules.store import CellStore, open_store
from datamodules.vocabulary import build_vocabulary, common_species, gene_statistics
from schema.batch import CellBatch
from schema.errors import InputError, UsageError
from schema.genes import GeneVocabulary, match_genes
from schema.labels import UNLABELLED, CellOntology
from schema.stages import StageScale

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which files are read, what their columns mean, and how batches are drawn."""

    files: str | tuple[str, ...] = ()
    """One or several ([a, b]) files or glob patterns: .h5ad, .zarr, 10x folders, 10x .h5."""
    layer: str = "auto"
    """Where raw counts are: auto, X, raw, or the name of a layer."""
    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    """Columns of obs."""
    label_map: Path | None = None
    """YAML of label: node (or null = unlabelled), before the ontology's own synonyms."""
    ontology: Path | None = None
    """Label tree to use instead of the project's own."""
    stage_scale: str | None = None
    """Stage scale of the samples (see schema/stage_scales.yaml); None trains no stage head."""
    min_cells: int = 3
    """Fewest training cells that must show a gene for the vocabulary, cells."""
    batch_size: int = 512
    """Cells per training batch and rank."""
    eval_batch_size: int = 2048
    """Cells per validation batch."""
    block_rows: int = 32
    """Consecutive rows read at once in training."""
    window_rows: int = 16384
    """Rows held in memory and shuffled together, per rank."""
    bag_samples: int = 8
    """Samples per batch of bags, for the stage head."""
    bag_cells: int = 64
    """Cells drawn from each of those samples."""
    statistics_cells: int = 50_000
    """Most training cells looked at for the vocabulary and the mean expression."""

    def __post_init__(self) -> None:
        """Check ranges."""
        sizes = ("batch_size", "eval_batch_size", "block_rows", "window_rows", "bag_samples", "bag_cells", "min_cells")
        wrong = [name for name in sizes if getattr(self, name) < 1]
        if wrong:
            raise UsageError(
                "sizes are >= 1", got=f"{wrong[0]}={getattr(self, wrong[0])}", where="data", fix="Raise it."
            )


class BatchStream(IterableDataset[CellBatch]):
    """The batches of a plan, read ahead in a thread; its length is the plan's."""

    def __init__(self, files: Sequence[SourceFile], windows: Sequence[Window]) -> None:
        self.files, self.windows = files, windows

    def __iter__(self) -> Iterator[CellBatch]:
        """Read the plan from its first batch."""
        return read_ahead(self.files, self.windows)

    def __len__(self) -> int:
        """Return the number of batches."""
        return n_batches(self.windows)


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
    ontology, scale, vocabulary, gene_mean
        Label tree, stage scale (or None), genes of the network and their mean expression float32 `[n_genes]`.
    samples
        One row per sample: `sample_id`, `file`, `donor_id`, `study`, `tumor_stage` (code), `n_cells`, `split`.
    files
        The opened files as the reader sees them.
    """

    def __init__(self, data: DataConfig, split: SplitConfig, seed: int) -> None:
        super().__init__()
        self.data, self.split, self.seed = data, split, seed
        self._opened = False

    def prepare(self) -> None:
        """Open the files, resolve labels, split donors and build the vocabulary; the second call does nothing."""
        if self._opened:
            return
        self.ontology = CellOntology.load(self.data.ontology)
        self.scale = StageScale.load(self.data.stage_scale) if self.data.stage_scale else None
        stores = [open_store(path, layer=self.data.layer) for path in expand_files(as_names(self.data.files))]
        self.species = common_species(stores)
        self.samples, sample_of_cells = sample_table(stores, self.data.columns, self.scale)
        self.samples["split"] = self._split()
        labels = [self._labels(store) for store in stores]
        self._rows = [self._rows_of_splits(codes) for codes in sample_of_cells]
        self._require_labels(labels)
        self.vocabulary, self.gene_mean = self._vocabulary(stores)
        self.files = [
            SourceFile(store, match_genes(self.vocabulary, store.gene_symbols, store.gene_ids), label, sample)
            for store, label, sample in zip(stores, labels, sample_of_cells, strict=True)
        ]
        self._log_what_was_found()
        self._opened = True

    def setup(self, stage: str) -> None:  # noqa: ARG002 - Lightning's signature
        """Prepare on every rank; all ranks come to the same split and vocabulary."""
        self.prepare()

    def train_dataloader(self) -> CombinedLoader:
        """Return this rank's stream for the current epoch: "cells" always, "bags" where stages are known."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        share = Share(seed=self.seed, epoch=epoch, rank=self._rank, world=self._world)
        blocks = cut_into_blocks(self.rows("train"), self.data.block_rows)
        windows = shuffled_windows(
            blocks, batch_size=self.data.batch_size, window_rows=self.data.window_rows, share=share
        )
        loaders = {"cells": _loader(BatchStream(self.files, windows))}
        if bags := self._bag_rows():
            plan = bag_windows(
                bags,
                n_batches=n_batches(windows),
                n_samples=self.data.bag_samples,
                n_cells=self.data.bag_cells,
                share=share,
            )
            loaders["bags"] = _loader(BatchStream(self.files, plan))
        return CombinedLoader(loaders, mode="min_size")

    def val_dataloader(self) -> DataLoader[CellBatch]:
        """Return this rank's part of the validation rows, in file order."""
        blocks = cut_into_blocks(self.rows("val"), self.data.eval_batch_size)[self._rank :: self._world]
        return _loader(BatchStream(self.files, sequential_windows(blocks, batch_size=self.data.eval_batch_size)))

    def rows(self, split: str) -> list[Ints]:
        """Return the rows of a split, for each file int64, ascending."""
        return [by_split[split] for by_split in self._rows]

    def training_labels(self) -> Ints:
        """Return how many training cells carry each node as label, int64 `[n_nodes]`."""
        labels = np.concatenate([f.cell_type[r] for f, r in zip(self.files, self.rows("train"), strict=True)])
        return np.bincount(labels[labels != UNLABELLED], minlength=len(self.ontology.nodes)).astype(np.int64)

    def training_stages(self) -> Ints:
        """Return the stage codes of the training samples whose stage is known, int64."""
        codes = self.samples.loc[self.samples["split"] == "train", "tumor_stage"].to_numpy(dtype=np.int64)
        known: Ints = codes[codes != UNLABELLED]
        return known

    @property
    def sample_stage(self) -> torch.Tensor:
        """Stage code of each sample, int64 `[n_samples]`; UNLABELLED where not known."""
        return torch.from_numpy(self.samples["tumor_stage"].to_numpy(dtype=np.int64))

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    def _split(self) -> pd.Series:
        stratum = self.samples["study"] + "/" + self.samples["tumor_stage"].astype(str)
        strata = dict(zip(self.samples["donor_id"], stratum, strict=True))
        return self.samples["donor_id"].map(split_donors(strata, self.split, self.seed))

    def _labels(self, store: CellStore) -> Ints:
        column = pick_column(store, self.data.columns.cell_type, "cell_type")
        if column is None:
            return np.full(store.n_cells, UNLABELLED, dtype=np.int64)
        label_map = load_label_map(self.data.label_map) if self.data.label_map else None
        return resolve_labels(store.obs(column), self.ontology, label_map, f"{store.name}, obs[{column!r}]")

    def _rows_of_splits(self, sample: Ints) -> dict[str, Ints]:
        split = self.samples["split"].to_numpy()[sample]
        return {name: np.flatnonzero(split == name) for name in ("train", "val", "test")}

    def _require_labels(self, labels: Sequence[Ints]) -> None:
        if not any((label[rows] != UNLABELLED).any() for label, rows in zip(labels, self.rows("train"), strict=True)):
            raise InputError(
                "training needs labelled cells",
                got="none among the training donors",
                where="data.files",
                fix="Name the label column (data.columns.cell_type), or check the label map.",
            )

    def _vocabulary(self, stores: Sequence[CellStore]) -> tuple[GeneVocabulary, np.ndarray]:
        blocks = cut_into_blocks(self.rows("train"), 1024)
        n_rows = sum(b.stop - b.start for b in blocks)
        kept = np.random.default_rng(self.seed).permutation(len(blocks))
        kept = np.sort(kept[: max(1, int(len(blocks) * min(1.0, self.data.statistics_cells / max(1, n_rows))))])
        chosen = [blocks[i] for i in kept]
        statistics = [
            gene_statistics(store, [b for b in chosen if b.file == index]) for index, store in enumerate(stores)
        ]
        return build_vocabulary(stores, statistics, species=self.species, min_cells=self.data.min_cells)

    def _bag_rows(self) -> list[tuple[int, Ints]]:
        """Return file and rows of each training sample whose stage is known."""
        known = self.samples[(self.samples["split"] == "train") & (self.samples["tumor_stage"] != UNLABELLED)]
        return [
            (file, np.flatnonzero(self.files[file].sample == sample))
            for sample, file in zip(known.index.to_numpy(), known["file"].to_numpy(dtype=int), strict=True)
        ]

    def _log_what_was_found(self) -> None:
        logger.info("%s: %d genes in the vocabulary", self.species, self.vocabulary.n_genes)
        for file in self.files:
            logger.info(
                "%s: %d cells, %d of %d vocabulary genes (%.1f %%) by %s, %d cells labelled",
                file.store.name,
                file.store.n_cells,
                file.match.n_found,
                self.vocabulary.n_genes,
                100 * file.match.n_found / self.vocabulary.n_genes,
                file.match.by,
                int((file.cell_type != UNLABELLED).sum()),
            )
        for name, part in self.samples.groupby("split"):
            logger.info("%s: %d donors, %d samples", name, part["donor_id"].nunique(), len(part))


def expand_files(patterns: Sequence[str]) -> list[Path]:
    """Return the files that the patterns name, each once, sorted within a pattern.

    Raises
    ------
    InputError
        If a pattern names nothing.
    UsageError
        If there is no pattern.
    """
    if not patterns:
        raise UsageError("training needs files", got="none", where="data.files", fix="Name files: --data.files a.h5ad")
    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern).expanduser()
        matches = [path] if path.exists() else sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
        if not matches:
            raise InputError("data.files must exist", got=repr(pattern), where="data.files", fix="Check the path.")
        found += [match for match in matches if match not in found]
    return found


def _loader(stream: BatchStream) -> DataLoader[CellBatch]:
    """Return a loader that passes batches on as they are; the stream has its own thread."""
    return DataLoader(stream, batch_size=None, num_workers=0, pin_memory=torch.cuda.is_available())
