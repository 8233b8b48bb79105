"""Opens a 10x folder: matrix.mtx, features.tsv or genes.tsv, barcodes.tsv, plain or gzipped, with or without prefix."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from datamodules.short_lines import lines_of, most_bytes, open_lines
from datamodules.source import GeneNames, Source, reading
from datamodules.spool import Entries
from datamodules.structure import MAX_SIZE
from datamodules.tenx import Barcodes
from datamodules.transposed import SpooledMatrix
from schema.errors import FaultList, InputError

_LINES = 2**20
"""Lines of a file in memory at a time."""

_SHORTEST = len("1 1 1\n")
"""Bytes of a line of matrix.mtx at least."""

_FEATURES = ("features.tsv", "genes.tsv")


class MtxHeader(NamedTuple):
    """What the head of a matrix.mtx declares, and how many lines it takes."""

    n_lines: int
    n_genes: int
    n_cells: int
    n_entries: int


def is_tenx_folder(folder: Path) -> bool:
    """Return whether a folder holds any part of a 10x matrix."""
    parts = ("matrix.mtx", "barcodes.tsv", *_FEATURES)
    return any(file.name.removesuffix(".gz").endswith(parts) for file in folder.iterdir())


def open_tenx_folder(folder: Path) -> Source:
    """Return the source in a 10x folder.

    Raises
    ------
    InputError
        If a part is missing, cut or disagrees with the others; the line names it.
    """
    matrix_file = _find(folder, "*", "matrix.mtx")
    prefix = matrix_file.name[: matrix_file.name.rindex("matrix.mtx")]
    features_file, barcodes_file = _find(folder, prefix, *_FEATURES), _find(folder, prefix, "barcodes.tsv")
    where = f"{folder.name}/{matrix_file.name}"
    with reading(where):
        header = read_header(matrix_file, where)
    faults = FaultList(InputError)
    with faults, reading(f"{folder.name}/{features_file.name}"):
        genes = _genes(features_file, header.n_genes)
        _check_length(len(genes.symbols), header.n_genes, features_file, where)
    with faults, reading(f"{folder.name}/{barcodes_file.name}"):
        barcodes = _barcodes(barcodes_file, header.n_cells)
        _check_length(len(barcodes), header.n_cells, barcodes_file, where)
    faults.check()
    entries = partial(read_entries, matrix_file, header, where)
    matrix = SpooledMatrix(entries, header.n_cells, header.n_genes, header.n_entries, where)
    cells = Barcodes(lambda start, stop: barcodes[start:stop].to_pylist(), len(barcodes))
    return Source(
        kind="10x folder", matrix=matrix, counts_location=matrix_file.name, genes=genes, cells=cells, close=matrix.close
    )


def read_header(file: Path, where: str) -> MtxHeader:
    """Return what the head of a matrix.mtx declares.

    Raises
    ------
    InputError
        If it is no coordinate matrix of numbers.
    """
    with open_lines(file) as handle:
        banner = handle.readline().decode("latin-1").split()
        if banner[:3] != ["%%MatrixMarket", "matrix", "coordinate"] or banner[3:] not in (
            ["integer", "general"],
            ["real", "general"],
        ):
            raise _bad_mtx(f"the first line {' '.join(banner)[:80]!r}", where)
        n_lines, sizes = 1, b"%"
        while sizes.startswith(b"%") or (sizes and not sizes.strip()):
            sizes, n_lines = handle.readline(), n_lines + 1
    numbers = [int(word) if word.isdigit() else -1 for word in sizes.split()]
    if len(numbers) != 3 or min(numbers) < 0:
        raise _bad_mtx(f"the size line {sizes.decode('latin-1').strip()[:80]!r}", where)
    header = MtxHeader(n_lines, *numbers)
    if header.n_entries * _SHORTEST > most_bytes(file):
        raise _bad_mtx(f"a head that declares {header.n_entries:,} entries, more than fit in the file", where)
    if max(header.n_genes, header.n_cells) > MAX_SIZE:
        raise _bad_mtx(f"a head that declares {header.n_genes:,} genes of {header.n_cells:,} cells", where)
    return header


def read_entries(file: Path, header: MtxHeader, where: str) -> Iterator[Entries]:
    """Yield the entries of a matrix.mtx of genes x cells, cells as rows, a million lines at a time.

    Raises
    ------
    InputError
        If a line is not three numbers, or there are more or fewer lines than declared.
    """
    n_read = 0
    with open_lines(file) as handle:
        for _ in range(header.n_lines):
            handle.readline()
        for block in _number_blocks(handle, where):
            n_read += len(block)
            yield Entries(block["cell"].to_numpy() - 1, block["gene"].to_numpy() - 1, block["count"].to_numpy())
            if n_read > header.n_entries:
                break
    if n_read != header.n_entries:
        raise _bad_mtx(f"{n_read} entries where its head declares {header.n_entries}", where)


def _number_blocks(handle: BinaryIO, where: str) -> Iterator[pd.DataFrame]:
    dtypes = {"gene": np.int64, "cell": np.int64, "count": np.float64, "more": np.float64}
    try:
        with pd.read_csv(
            handle, sep=r"\s+", header=None, names=list(dtypes), dtype=dtypes, chunksize=_LINES, index_col=False
        ) as blocks:
            for block in blocks:
                if block["more"].notna().any():
                    raise _bad_mtx("a line of more than three numbers", where)
                yield block
    except pd.errors.EmptyDataError:
        return
    except (ValueError, OverflowError) as error:
        raise _bad_mtx(f"a line that is not three numbers ({str(error)[:120]})", where) from error


def _find(folder: Path, prefix: str, *parts: str) -> Path:
    """Return the one file of a folder that is a part of the matrix, plain or gzipped; any prefix for "*"."""
    names = [file.name for file in sorted(folder.iterdir())]
    if prefix == "*":
        found = [name for name in names if name.removesuffix(".gz").endswith(parts)]
    else:
        found = [name for name in names if name.removesuffix(".gz") in {prefix + part for part in parts}]
    if len(found) != 1:
        raise InputError(
            "a 10x folder must hold one matrix, its features and its barcodes",
            got=f"no {' or '.join(parts)}" if not found else ", ".join(found[:4]),
            where=folder.name,
            fix="Give the folder of one sample with its three files, plain or .gz.",
        )
    if not (folder / found[0]).is_file():  # opening a pipe would wait for ever
        raise InputError(
            "the parts of a 10x folder must be files",
            got="something else",
            where=f"{folder.name}/{found[0]}",
            fix="Copy or download it again.",
        )
    return folder / found[0]


def _fields(file: Path, most: int) -> Iterator[list[str]]:
    for line in lines_of(file, most):
        yield _decoded(line).split("\t")


def _decoded(text: bytes) -> str:
    bare = text.replace(b"\0", b"")  # a NUL could not be written to HDF5
    try:
        return bare.decode("utf-8")
    except UnicodeDecodeError:
        return bare.decode("latin-1")


def _genes(file: Path, most: int) -> GeneNames:
    """Return names from a table of id, symbol and feature type, of which files of one column have symbols alone."""
    rows = list(_fields(file, most))
    symbols = [row[min(1, len(row) - 1)] for row in rows]
    return GeneNames(
        symbols, [row[0] if len(row) > 1 else "" for row in rows], [row[2] if len(row) > 2 else "" for row in rows]
    )


def _barcodes(file: Path, most: int) -> pa.ChunkedArray:
    lines = (row[0] for row in _fields(file, most))
    chunks = iter(lambda: list(islice(lines, _LINES)), [])
    return pa.chunked_array([pa.array(chunk, pa.large_string()) for chunk in chunks], pa.large_string())


def _check_length(got: int, declared: int, file: Path, where: str) -> None:
    if got != declared:
        raise InputError(
            "the parts of a 10x folder must have the same length",
            got=f"{got}{' or more' * (got > declared)} lines in {file.name} for {declared} in the matrix",
            where=where,
            fix="Use the three files of one run; the matrix is genes x cells.",
        )


def _bad_mtx(got: str, where: str) -> InputError:
    return InputError(
        "matrix.mtx must be a MatrixMarket coordinate matrix of counts", got=got, where=where, fix="Copy it again."
    )
