"""Opens AnnData on disk, .h5ad or .zarr: finds the counts, the genes' names and the obs columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import h5py
import zarr

from datamodules.counts import Opener, pick_counts
from datamodules.elements import Element, Frame, is_group
from datamodules.matrix import open_matrix
from datamodules.reach import check_zarr_reach
from datamodules.source import GeneNames, Kind, Source, reading
from schema.errors import FaultList, InputError
from schema.genes import is_ensembl_id
from schema.names import normalise_name

SYMBOL_COLUMNS = ("feature_name", "gene_symbol", "gene_symbols", "gene_name", "gene_names", "symbol", "gene")
ID_COLUMNS = ("gene_id", "gene_ids", "ensembl_id", "ensembl_ids", "ensembl", "feature_id", "ensembl_gene_id")
TYPE_COLUMNS = ("feature_types", "feature_type")


def open_h5ad(file: h5py.File, name: str, layer: str) -> Source:
    """Return the source in an open .h5ad; it closes the file.

    Raises
    ------
    InputError
        If the file holds no proper AnnData or no raw counts.
    """
    return _open_group(file, "h5ad", name, layer, file.close)


def open_zarr(path: Path, layer: str) -> Source:
    """Return the source in a .zarr folder, format 2 or 3.

    Raises
    ------
    InputError
        If the folder reaches outside itself, or holds no proper AnnData or no raw counts.
    """
    check_zarr_reach(path)
    with reading(path.name):
        group = zarr.open_group(path, mode="r")
    return _open_group(group, "zarr", path.name, layer, group.store.close)


def _open_group(group: Element, kind: Kind, name: str, layer: str, close: Callable[[], None]) -> Source:
    missing = [part for part in ("obs", "var") if part not in group]
    if missing:
        raise InputError(
            "AnnData must have obs and var",
            got=f"no {' and no '.join(missing)}",
            where=name,
            fix="Give an .h5ad, a .zarr of AnnData, a 10x folder or a 10x .h5.",
        )
    faults = FaultList(InputError)
    location, matrix, cells, genes = "X", None, None, None
    with faults, reading(name):
        candidates, others = _candidates(group, name, layer)
        location, matrix = pick_counts(candidates, name, named=layer != "auto", others=others)
    var = "raw/var" if location == "raw/X" else "var"
    with faults, reading(f"{name}, {var}"):
        genes = gene_names(Frame(_table(group, var, name), f"{name}, {var}"))
    with faults, reading(f"{name}, obs"):
        cells = Frame(group["obs"], f"{name}, obs")
    if matrix is None or cells is None or genes is None:
        if matrix is not None:
            matrix.close()
        faults.check()
        raise AssertionError("what was not read must have been noted")
    return Source(
        kind=kind,
        matrix=matrix,
        counts_location=location,
        genes=genes,
        cells=cells,
        close=close,
        members=_members(group, "obsm", "uns"),
    )


def _members(group: Element, *parts: str) -> tuple[str, ...]:
    there = [part for part in parts if part in group and is_group(group[part])]
    return tuple(f"{part}/{name}" for part in there for name in group[part])


def _table(group: Element, name: str, where: str) -> Element:
    if name not in group:
        raise InputError("counts must have names of genes", got=f"no {name}", where=where, fix="Write the file again.")
    return group[name]


def _candidates(group: Element, name: str, layer: str) -> tuple[dict[str, Opener], list[str]]:
    """Return the matrices to look at, in this order, and the other ones."""
    layers = [f"layers/{key}" for key in group["layers"]] if "layers" in group else []
    here = [*layers, *(place for place in ("raw/X", "X") if place in group)]
    usual = ["layers/counts", "raw/X", "X"]
    named = [{"X": "X", "raw": "raw/X"}.get(layer, f"layers/{layer}")]
    wanted = [place for place in usual if place in here] if layer == "auto" else named
    if not set(wanted) <= set(here):
        raise InputError(
            "the named layer must exist",
            got=repr(layer),
            where=name,
            fix=f"Matrices there: {', '.join(here) or 'none'}.",
        )
    openers: dict[str, Opener] = {place: partial(open_matrix, group[place], f"{name}, {place}") for place in wanted}
    return openers, [place for place in here if place not in wanted]


def gene_names(var: Frame) -> GeneNames:
    """Return symbols and Ensembl ids from the index of `var` and its best known columns.

    The index is taken for symbols, unless it holds Ensembl ids or numbers and a column has the symbols.
    """
    index = var.names(0, var.n_rows)
    id_column, symbol_column = _first(var.columns, ID_COLUMNS), _first(var.columns, SYMBOL_COLUMNS)
    index_is_ids = _mostly(map(is_ensembl_id, index), len(index))
    speaks = not (index_is_ids or _mostly((text.isdigit() for text in index), len(index)))
    symbols = index if speaks or symbol_column is None else var.texts(symbol_column)
    ids = index if index_is_ids else (var.texts(id_column) if id_column else [""] * len(index))
    type_column = _first(var.columns, TYPE_COLUMNS)
    return GeneNames(symbols, ids, var.texts(type_column) if type_column else [""] * len(index))


def _first(columns: Iterable[str], wanted: tuple[str, ...]) -> str | None:
    by_form = {normalise_name(column).replace(" ", "_"): column for column in columns}
    return next((by_form[name] for name in wanted if name in by_form), None)


def _mostly(flags: Iterable[bool], n: int) -> bool:
    return sum(flags) > n / 2
