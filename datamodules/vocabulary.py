"""The gene vocabulary of a run: genes that training cells show, of one species or two, and their mean expression."""

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
from schema.genes import GeneVocabulary, clean_gene_names, count_by_species, find_species, is_ensembl_id
from schema.orthologs import SPECIES, OrthologMap

_ROWS = 1024
"""Rows in memory at a time."""

_SECOND_SPECIES = 0.15
"""Share of a file's genes that look like the other species' from which the file is of both. Real files of one species
have up to 0.034: mouse clones in capitals, human open reading frames such as C1orf112."""

_LEAST_SHARED = 0.1
"""Least share of a species' genes that must meet the other's: with less, two networks would share one input."""


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


def species_of(store: CellStore) -> str:
    """Return "mouse" or "human", from the genes of a file.

    Raises
    ------
    InputError
        If the genes do not say, or are of both (a mixture of species, mapped to two genomes).
    """
    for names in (store.gene_symbols, store.gene_ids):
        mouse, human = count_by_species(names)
        if min(mouse, human) >= _SECOND_SPECIES * max(1, mouse + human):
            raise InputError(
                "a file must be of one species",
                got=f"{mouse:,} mouse and {human:,} human genes",
                where=f"{store.name}, var",
                fix="Write the cells of each species, with the genes of its own genome, to a file of their own.",
            )
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


class _Gene:
    """One gene over all files: names by species (symbol, id), and what the training cells show."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[str, str]] = {}
        self.n_detected, self.total, self.n_cells = 0, 0.0, 0


Key = tuple[str, str]
"""What a gene is known by over all files: a species, and the name that it has there."""


def build_vocabulary(
    stores: Sequence[CellStore],
    statistics: Sequence[GeneStatistics],
    *,
    species: Sequence[str],
    orthologs: OrthologMap,
    min_cells: int,
) -> tuple[GeneVocabulary, npt.NDArray[np.float32]]:
    """Join the genes of all files and keep those that enough training cells show.

    Genes of two species meet one to one; a gene without counterpart is a gene of its own species alone, which the files
    of the other have not measured. Genes without any name are left out.

    Parameters
    ----------
    stores, statistics
        The files and what their training cells show.
    species
        "mouse" or "human", for each file.
    orthologs
        How the two meet.
    min_cells
        Fewest cells, over all files, in which a gene of the vocabulary was seen.

    Returns
    -------
    tuple
        The vocabulary and the mean of log1p of counts per ten thousand over the cells of the files that measured the
        gene, float32 `[n_genes]`.

    Raises
    ------
    InputError
        If the species hardly share a gene.
    """
    genes: dict[Key, _Gene] = {}
    keys = _keys(stores, species, orthologs)
    for store, counted, kind, of_store in zip(stores, statistics, species, keys, strict=True):
        in_this_file: set[Key] = set()
        for key, pair, detected, total in zip(
            of_store, zip(*_names(store), strict=True), counted.n_detected, counted.total, strict=True
        ):
            if not pair[0]:
                continue
            gene = genes.setdefault(key, _Gene())
            gene.n_detected += int(detected)
            gene.total += float(total)
            gene.n_cells += counted.n_cells if key not in in_this_file else 0
            in_this_file.add(key)
            known = gene.names.get(kind, pair)
            gene.names[kind] = (known[0], known[1] or pair[1])
    kept = [gene for gene in genes.values() if gene.n_detected >= min_cells]
    mean = np.array([gene.total / max(1, gene.n_cells) for gene in kept], dtype=np.float32)
    return _vocabulary(kept, [kind for kind in SPECIES if kind in species]), mean


def _vocabulary(genes: Sequence[_Gene], species: Sequence[str]) -> GeneVocabulary:
    made: GeneVocabulary | None = None
    for kind in reversed(species):
        names = [gene.names.get(kind, ("", "")) for gene in genes]
        made = GeneVocabulary(tuple(name for name, _ in names), tuple(gene_id for _, gene_id in names), kind, made)
    assert made is not None  # noqa: S101 - every file has a species
    return made


def _keys(stores: Sequence[CellStore], species: Sequence[str], orthologs: OrthologMap) -> list[list[Key]]:
    """Return the key of each gene of each file: in mouse where there is a mouse file that has it, else its own."""
    first = next(kind for kind in SPECIES if kind in species)
    named = [_names(store)[0] for store in stores]
    known = {name for names, kind in zip(named, species, strict=True) if kind == first for name in names if name}
    partner: dict[str, str] = {}
    keys: list[list[Key]] = []
    for names, kind in zip(named, species, strict=True):
        answers = orthologs.translate(names, kind, first, known=known)
        keys.append([])
        for name, answer in zip(names, answers, strict=True):
            meets = kind == first or (answer in known and partner.setdefault(answer, name) == name)
            keys[-1].append((first, name if kind == first else answer) if meets else (kind, name))
    if len(set(species)) > 1:
        others = {name for names, kind in zip(named, species, strict=True) if kind != first for name in names}
        _require_shared(len(partner), min(len(known), len(others)))
    return keys


def _require_shared(n_shared: int, n_genes: int) -> None:
    if n_shared < _LEAST_SHARED * n_genes:
        raise InputError(
            "files of two species must meet through orthologs",
            got=f"{n_shared:,} shared of {n_genes:,} genes",
            where="data.files",
            fix="Give gene symbols (orthologs are known by symbol), or another table (data.orthologs).",
        )


def _names(store: CellStore) -> tuple[list[str], list[str]]:
    """Return the name each gene goes by and its Ensembl id ("" where unknown)."""
    symbols, ids = clean_gene_names(store.gene_symbols), clean_gene_names(store.gene_ids)
    ids = [gene_id or (symbol if is_ensembl_id(symbol) else "") for symbol, gene_id in zip(symbols, ids, strict=True)]
    return [symbol or gene_id for symbol, gene_id in zip(symbols, ids, strict=True)], ids
