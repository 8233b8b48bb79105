"""What a file or a part of a store holds, as far as training cares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from datamodules.columns import ColumnKind, pick_column
from datamodules.layout import Layout, describe_layout
from datamodules.mixing import Codes, label_run_lengths
from datamodules.packed_check import size_and_time, verify
from datamodules.store import CellStore, open_store
from schema.genes import clean_gene_names, find_species

KINDS: tuple[ColumnKind, ...] = ("sample", "donor", "cell_type", "stage", "strain", "study")

_SAMPLES, _SAMPLE_ROWS = 8, 64
"""Stretches of rows that are read to prove the counts, and their rows."""


class Column(NamedTuple):
    """A column of obs: its name, values that occur, rows without one, and how long equal values go on in the file."""

    name: str
    n_values: int
    n_missing: int
    median_run: int
    longest_run: int


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What a source of cells holds.

    Attributes
    ----------
    name, kind, layout, counts_location
        What it is.
    n_cells, n_genes, n_bytes
        Sizes.
    species
        "mouse", "human", or None where the genes do not say.
    genes
        Names that its genes go by.
    in_chunks
        Whether rows are decoded together with others.
    n_proved
        Rows whose every value was found to be a raw count; 0 where reading one would transpose all.
    entries_per_cell
        Mean, of all rows or of those read.
    columns
        What stands in obs for each kind.
    labels
        Cell type of each row, or missing.
    verified
        Whether every byte of a part was compared with what was written.
    """

    name: str
    kind: str
    layout: Layout
    counts_location: str
    n_cells: int
    n_genes: int
    n_bytes: int
    species: str | None
    genes: tuple[str, ...]
    in_chunks: bool
    n_proved: int
    entries_per_cell: float
    columns: dict[ColumnKind, Column | None]
    labels: pd.Categorical | None
    verified: bool

    @property
    def n_duplicates(self) -> int:
        """Genes whose name an earlier one has."""
        return sum(n - 1 for n in Counter(self.genes).values())


def inspect_source(path: Path, *, layer: str = "auto", check_bytes: bool = False) -> Inspection:
    """Look at a file or a part of a store.

    Parameters
    ----------
    path, layer
        As in `datamodules.store.open_store`.
    check_bytes
        Whether every byte of a part is compared with what was written.

    Raises
    ------
    InputError
        If it cannot be read, or holds no raw counts where it was looked at.
    """
    with open_store(path, layer=layer) as store:
        layout = describe_layout(store)
        if check_bytes and store.kind == "packed":
            verify(store.path)
        n_proved, n_entries = _prove(store) if store.is_by_rows else (0, 0)
        named = {kind: pick_column(store, "auto", kind) for kind in KINDS}
        values = {kind: store.obs(column) for kind, column in named.items() if column is not None}
        total = layout.n_entries
        return Inspection(
            name=f"{path.parent.name}/{path.name}" if store.kind == "packed" else store.name,
            kind=store.kind,
            in_chunks=store.chunk_rows > 1,
            layout=layout,
            counts_location=store.counts_location,
            n_cells=store.n_cells,
            n_genes=len(store.gene_symbols),
            n_bytes=size_and_time(path)[0],
            species=find_species(store.gene_symbols) or find_species(store.gene_ids),
            genes=tuple(_gene_names(store)),
            n_proved=n_proved,
            entries_per_cell=n_entries / max(1, n_proved) if total is None else total / max(1, store.n_cells),
            columns={kind: _column(str(named[kind]), values[kind]) if kind in values else None for kind in KINDS},
            labels=values.get("cell_type"),
            verified=check_bytes and store.kind == "packed",
        )


def coverage(inspections: Sequence[Inspection]) -> tuple[int, list[int]]:
    """Return how many genes all files have together, and how many of them each has."""
    sets = [set(found.genes) for found in inspections]
    return len(set().union(*sets)), [len(genes) for genes in sets]


def label_codes(inspections: Sequence[Inspection]) -> list[Codes]:
    """Return the cell type of each row as a number that means the same in all files, -1 = none."""
    place: dict[str, int] = {}
    codes: list[Codes] = []
    for found in inspections:
        if found.labels is None:
            codes.append(np.full(found.n_cells, -1, dtype=np.int32))
            continue
        numbers = [place.setdefault(str(name), len(place)) for name in found.labels.categories]
        codes.append(np.array([*numbers, -1], dtype=np.int32)[found.labels.codes])
    return codes


def _prove(store: CellStore) -> tuple[int, int]:
    """Read rows from all over a source; return how many, and their entries."""
    starts = np.unique(np.linspace(0, max(0, store.n_cells - _SAMPLE_ROWS), _SAMPLES).astype(int))
    blocks = [(int(start), min(int(start) + _SAMPLE_ROWS, store.n_cells)) for start in starts]
    blocks = [(max(start, blocks[i - 1][1]) if i else start, stop) for i, (start, stop) in enumerate(blocks)]
    n_entries = sum(len(store.read(start, stop).counts) for start, stop in blocks)
    return sum(stop - start for start, stop in blocks), n_entries


def _gene_names(store: CellStore) -> list[str]:
    symbols, ids = clean_gene_names(store.gene_symbols), clean_gene_names(store.gene_ids)
    return [symbol or gene_id for symbol, gene_id in zip(symbols, ids, strict=True)]


def _column(name: str, values: pd.Categorical) -> Column:
    codes = np.asarray(values.codes)
    runs = label_run_lengths(codes)
    n_values = len(np.unique(codes[codes >= 0]))
    return Column(name, n_values, int((codes < 0).sum()), int(np.median(runs)), int(runs.max()))
