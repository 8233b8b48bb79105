"""The gene vocabulary of a run: genes that the training cells show, and their mean expression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.order import Ints
from datamodules.pack import gather
from datamodules.space import RowSpace, index_dtype
from datamodules.store import CellStore
from schema.batch import TARGET_SUM
from schema.errors import InputError
from schema.genes import GeneVocabulary, clean_gene_names, find_species, is_ensembl_id

_ROWS = 1024
"""Rows in memory at a time."""


class GeneStatistics(NamedTuple):
    """What a sample of training cells shows of the genes of one file.

    Attributes
    ----------
    n_detected
        int64 `[n_file_genes]`, cells with at least one count.
    total
        float64 `[n_file_genes]`, sum over cells of log1p of counts per ten thousand.
    n_cells
        Cells looked at.
    """

    n_detected: npt.NDArray[np.int64]
    total: npt.NDArray[np.float64]
    n_cells: int


def gene_statistics(store: CellStore, rows: Ints) -> GeneStatistics:
    """Read rows of one file, int64 ascending, and count its genes."""
    n_genes = len(store.gene_symbols)
    detected, total = np.zeros(n_genes, dtype=np.int64), np.zeros(n_genes)
    for first in range(0, len(rows), _ROWS):
        part = rows[first : first + _ROWS]
        indices, counts, library_size = exact_rows(store, part)
        scaled = np.log1p(counts * (TARGET_SUM / np.maximum(library_size, 1.0)))
        detected += np.bincount(indices, minlength=n_genes)
        total += np.bincount(indices, weights=scaled, minlength=n_genes)
    return GeneStatistics(detected, total, len(rows))


def exact_rows(
    store: CellStore, rows: Ints
) -> tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return gene, count and library size of each entry of some rows, `[n_entries]` each."""
    n_entries = store.max_entries(rows)
    dtype = index_dtype(len(store.gene_symbols))
    space = RowSpace(np.empty(n_entries, dtype), np.empty(n_entries, np.uint8), len(rows))
    large = store.read_packed(rows, space, 0, 0)
    used = int(space.length.sum())
    indices, packed = np.empty(used, dtype), np.empty(used, np.uint8)
    indptr, large_at, large_count = gather(space, large, np.arange(len(rows)), indices, packed)
    counts = packed.astype(np.float32)
    counts[large_at] = large_count
    return indices, counts, np.repeat(space.library_size, np.diff(indptr))


def common_species(stores: Sequence[CellStore]) -> str:
    """Return the one species of all files.

    Raises
    ------
    InputError
        If a file's genes do not say, or files disagree.
    """
    found = {store.name: species_of(store) for store in stores}
    if len(set(found.values())) > 1:
        raise InputError(
            "the files of one run are of one species",
            got=", ".join(f"{name}: {species}" for name, species in found.items()),
            where="data.files",
            fix="Train one species at a time; predict.py applies a model to the other through orthologs.",
        )
    return next(iter(found.values()))


def species_of(store: CellStore) -> str:
    """Return "mouse" or "human", from the genes of a file.

    Raises
    ------
    InputError
        If the genes do not say.
    """
    species = find_species(store.gene_symbols) or find_species(store.gene_ids)
    if species is None:
        shown = ", ".join(store.gene_symbols[:3])
        raise InputError(
            "genes must be mouse or human symbols or Ensembl ids",
            got=f"names such as {shown}",
            where=f"{store.name}, var",
            fix="Give a column of symbols (gene_symbol) or Ensembl ids (gene_id).",
        )
    return species


def build_vocabulary(
    stores: Sequence[CellStore], statistics: Sequence[GeneStatistics], *, species: str, min_cells: int
) -> tuple[GeneVocabulary, npt.NDArray[np.float32]]:
    """Join the genes of all files and keep those that enough training cells show.

    Parameters
    ----------
    stores, statistics
        The files and what their training cells show.
    species
        Species of all files.
    min_cells
        Fewest cells, over all files, in which a gene of the vocabulary was seen.

    Returns
    -------
    tuple
        The vocabulary and the mean of log1p of counts per ten thousand over the cells of the files that measured the
        gene, float32 `[n_genes]`.
    """
    seen: dict[str, list[float]] = {}
    id_of: dict[str, str] = {}
    for store, counted in zip(stores, statistics, strict=True):
        in_this_file: set[str] = set()
        for name, gene_id, detected, total in zip(*_names(store), counted.n_detected, counted.total, strict=True):
            entry = seen.setdefault(name, [0.0, 0.0, 0.0])
            entry[0] += float(detected)
            entry[1] += float(total)
            entry[2] += counted.n_cells if name not in in_this_file else 0
            in_this_file.add(name)
            id_of[name] = id_of.get(name) or gene_id
    kept = [name for name, entry in seen.items() if entry[0] >= min_cells]
    mean = np.array([seen[name][1] / max(1.0, seen[name][2]) for name in kept], dtype=np.float32)
    return GeneVocabulary(tuple(kept), tuple(id_of[name] for name in kept), species), mean


def _names(store: CellStore) -> tuple[list[str], list[str]]:
    """Return the name each gene goes by and its Ensembl id ("" where unknown)."""
    symbols, ids = clean_gene_names(store.gene_symbols), clean_gene_names(store.gene_ids)
    ids = [gene_id or (symbol if is_ensembl_id(symbol) else "") for symbol, gene_id in zip(symbols, ids, strict=True)]
    return [symbol or gene_id for symbol, gene_id in zip(symbols, ids, strict=True)], ids
