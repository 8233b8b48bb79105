"""The data of a training run, opened: labels resolved, donors split, vocabulary built; no batch is read yet."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from datamodules.cell_labels import load_label_map, resolve_labels
from datamodules.columns import pick_column
from datamodules.data_config import DataConfig
from datamodules.draw import evenly_spread
from datamodules.files import expand_files, require_rows
from datamodules.narrow import Rows, narrow
from datamodules.order import Ints
from datamodules.samples import sample_table
from datamodules.sources import SourceFile
from datamodules.splits import SplitConfig, as_names, split_donors
from datamodules.store import CellStore, open_store
from datamodules.vocabulary import build_vocabulary, gene_statistics, species_of
from schema.errors import InputError
from schema.flat_labels import FLAT, flat_ontology
from schema.genes import GeneVocabulary, match_genes
from schema.labels import UNLABELLED, CellOntology
from schema.orthologs import load_orthologs
from schema.stages import StageScale

logger = logging.getLogger(__name__)

Split = Literal["train", "val", "test"]
Codes = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Opened files with what is known of their cells.

    Attributes
    ----------
    ontology, scale
        Label tree, and stage scale or None.
    species
        "mouse" or "human", for each file.
    samples
        One row per sample: `sample_id`, `file`, `donor_id`, `study`, `tumor_stage` (code), `n_cells`, `split`.
    files
        The files as the reader sees them.
    rows
        For each split and file the rows, ascending.
    vocabulary, gene_mean
        Genes of the network and their mean expression in the training cells, float32 `[n_genes]`.
    """

    ontology: CellOntology
    scale: StageScale | None
    species: tuple[str, ...]
    samples: pd.DataFrame
    files: tuple[SourceFile, ...]
    rows: dict[Split, list[Rows]]
    vocabulary: GeneVocabulary
    gene_mean: npt.NDArray[np.float32]

    def n_rows(self, split: Split) -> list[int]:
        """Return the number of rows of each file in a split."""
        return [len(rows) for rows in self.rows[split]]

    def training_codes(self) -> list[Codes]:
        """Return for each file the labels of its training cells, int16, in row order."""
        return [file.cell_type[np.asarray(rows)] for file, rows in zip(self.files, self.rows["train"], strict=True)]

    def training_labels(self) -> Ints:
        """Return how many training cells carry each node as label, int64 `[n_nodes]`."""
        labels = np.concatenate(self.training_codes())
        return np.bincount(labels[labels != UNLABELLED], minlength=len(self.ontology.nodes)).astype(np.int64)

    def staged_samples(self) -> pd.DataFrame:
        """Return the rows of `samples` that train and whose stage is known; the index is the number of the sample."""
        return self.samples[(self.samples["split"] == "train") & (self.samples["tumor_stage"] != UNLABELLED)]

    def joined(self) -> Dataset:
        """Return the data with the validation donors among those trained on, and none left for validation."""
        pairs = zip(self.rows["train"], self.rows["val"], strict=True)
        both = [Rows(np.union1d(np.asarray(train), np.asarray(val))) for train, val in pairs]
        none = [Rows(np.empty(0, dtype=np.int64)) for _ in self.files]
        samples = self.samples.assign(split=self.samples["split"].replace("val", "train"))
        return replace(self, samples=samples, rows={**self.rows, "train": both, "val": none})

    def log(self) -> None:
        """Log what was found."""
        genes = self.vocabulary
        logger.info("%s: %d genes in the vocabulary", genes.all_species, genes.n_genes)
        if genes.other is not None:
            alone = [f"{names.n_named - genes.n_shared} of {names.species}" for names in (genes, genes.other)]
            logger.info("%d of them are one-to-one orthologs; %s have no counterpart", genes.n_shared, ", ".join(alone))
        for file, species in zip(self.files, self.species, strict=True):
            names = genes.seen_by(species) or genes
            logger.info(
                "%s: %s, %d cells, %d of %d vocabulary genes (%.1f %%) by %s, %d cells labelled",
                file.store.name,
                species,
                file.store.n_cells,
                file.match.n_found,
                names.n_named,
                100 * file.match.n_found / max(1, names.n_named),
                file.match.by,
                int((file.cell_type != UNLABELLED).sum()),
            )
        for name, part in self.samples.groupby("split"):
            logger.info("%s: %d donors, %d samples", name, part["donor_id"].nunique(), len(part))


def open_dataset(config: DataConfig, split: SplitConfig, seed: int) -> Dataset:
    """Open the files of a run, resolve labels, split donors and build the vocabulary.

    Raises
    ------
    InputError
        If files cannot be read, contradict each other, or hold no labelled training cell.
    """
    scale = StageScale.load(config.stage_scale) if config.stage_scale else None
    stores = [open_store(path, layer=config.layer) for path in expand_files(as_names(config.files))]
    require_rows(stores)
    ontology = _ontology(stores, config)
    species = tuple(species_of(store) for store in stores)
    samples, sample_of_cells = sample_table(stores, config.columns, scale, species)
    samples["split"] = _split(samples, split, seed)
    labels = [_labels(store, config, ontology) for store in stores]
    names: tuple[Split, ...] = ("train", "val", "test")
    rows = {name: [_rows_of(name, samples, codes) for codes in sample_of_cells] for name in names}
    _require_labels(labels, rows["train"])
    share = min(1.0, config.statistics_cells / max(1, sum(len(part) for part in rows["train"])))
    statistics = [
        gene_statistics(store, evenly_spread(part, share)) for store, part in zip(stores, rows["train"], strict=True)
    ]
    vocabulary, gene_mean = build_vocabulary(
        stores,
        statistics,
        species=species,
        orthologs=load_orthologs(config.orthologs),
        min_cells=config.min_cells,
    )
    files = tuple(
        SourceFile(
            store,
            match_genes(vocabulary.seen_by(kind) or vocabulary, store.gene_symbols, store.gene_ids),
            label,
            narrow(sample),
        )
        for store, kind, label, sample in zip(stores, species, labels, sample_of_cells, strict=True)
    )
    return Dataset(
        ontology=ontology,
        scale=scale,
        species=species,
        samples=samples,
        files=files,
        rows={name: [Rows(part) for part in parts] for name, parts in rows.items()},
        vocabulary=vocabulary,
        gene_mean=gene_mean,
    )


def _split(samples: pd.DataFrame, split: SplitConfig, seed: int) -> pd.Series:
    stratum = samples["study"] + "/" + samples["tumor_stage"].astype(str)
    strata = dict(zip(samples["donor_id"], stratum, strict=True))
    return samples["donor_id"].map(split_donors(strata, split, seed))


def _ontology(stores: Sequence[CellStore], config: DataConfig) -> CellOntology:
    """Return the label tree: the project's own, a user's, or one made of the labels of all files."""
    if config.ontology != FLAT:
        return CellOntology.load(Path(config.ontology) if config.ontology else None)
    columns = [(store, pick_column(store, config.columns.cell_type, "cell_type")) for store in stores]
    found = {str(name) for store, column in columns if column for name in store.obs(column).categories}
    label_map = load_label_map(config.label_map) if config.label_map else {}
    labels = {label_map.get(name, name) for name in found}
    return flat_ontology(sorted(label for label in labels if label is not None), CellOntology.load())


def _labels(store: CellStore, config: DataConfig, ontology: CellOntology) -> Codes:
    column = pick_column(store, config.columns.cell_type, "cell_type")
    if column is None:
        return np.full(store.n_cells, UNLABELLED, dtype=np.int16)
    label_map = load_label_map(config.label_map) if config.label_map else None
    where = f"{store.name}, obs[{column!r}]"
    return resolve_labels(store.obs(column), ontology, label_map, where).astype(np.int16)


def _rows_of(name: Split, samples: pd.DataFrame, sample: Ints) -> Ints:
    return np.flatnonzero((samples["split"] == name).to_numpy()[sample])


def _require_labels(labels: Sequence[Codes], rows: Sequence[Ints]) -> None:
    if not any((label[part] != UNLABELLED).any() for label, part in zip(labels, rows, strict=True)):
        raise InputError(
            "training needs labelled cells",
            got="none among the training donors",
            where="data.files",
            fix="Name the label column (data.columns.cell_type), or check the label map.",
        )
