"""Say what files or stores hold, before anything is trained: layout, raw counts, genes, labels and how they mix."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.draw import usual_batch_size
from datamodules.files import expand_files
from datamodules.inspection import Column, Inspection, coverage, inspect_source, label_codes
from datamodules.mixing import choose_sizes, expected_mixing
from schema.command import parse_config, run_command
from schema.errors import InputError, UsageError

_WIDTH = 18


@dataclass(frozen=True, kw_only=True)
class InspectConfig:
    """Say what files or stores hold, as far as training and prediction care."""

    files: tuple[Path, ...] = field(
        metadata={"help": "files, stores or patterns: .h5ad, .zarr, 10x folders, 10x .h5, stores", "several": True}
    )
    """Files, stores or patterns."""
    layer: str = "auto"
    """Where raw counts are: auto, X, raw, or the name of a layer."""
    batch_size: int | None = None
    """Cells per training batch, for the expected mixing; None = as many as training takes of so many cells."""
    verify: bool = False
    """Whether every byte of a store is compared with what was written."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.batch_size is not None and self.batch_size < 1:
            got = str(self.batch_size)
            raise UsageError("batch_size is >= 1", got=got, where="the command line", fix="Correct the value.")


def inspect(config: InspectConfig) -> str:
    """Return what the files hold, as text.

    Raises
    ------
    InputError
        If files are refused; the text before it says why each is.
    """
    found: list[Inspection] = []
    refused: list[InputError] = []
    for path in expand_files([str(file) for file in config.files]):
        try:
            found.append(inspect_source(path, layer=config.layer, check_bytes=config.verify))
        except InputError as error:
            refused.append(error)
    lines = [line for source in found for line in [*_source_lines(source), ""]]
    lines += _joint_lines(found, config.batch_size)
    if not refused:
        return "\n".join(lines)
    if len(refused) == 1 and not found:
        raise refused[0]
    sys.stdout.write("\n".join([*lines, "", *(f"refused: {error}" for error in refused), ""]))
    raise InputError(
        "all files must be readable sources of raw counts",
        got=f"{len(refused)} of {len(refused) + len(found)} refused",
        where=", ".join(error.where for error in refused),
        fix="See above.",
    )


def _source_lines(source: Inspection) -> list[str]:
    genes = f"{source.n_genes:,}, {source.species or 'species unknown'}"
    twice = f", {source.n_duplicates:,} named like an earlier one (summed)" if source.n_duplicates else ""
    proof = f"every value of {source.n_proved:,} sampled rows" if source.n_proved else "sampled values"
    lines = {
        "format": source.kind + (" (every byte as it was written)" if source.verified else ""),
        "layout": source.layout.words,
        "read": source.layout.reading,
        "cells": f"{source.n_cells:,}",
        "genes": genes + twice,
        "counts": f"{source.counts_location}: raw counts ({proof})",
        "entries per cell": f"{source.entries_per_cell:,.0f}",
        "bytes per cell": f"{source.n_bytes / max(1, source.n_cells):,.0f}",
    }
    lines |= {str(kind): _column_words(column) for kind, column in source.columns.items()}
    return [source.name, *(f"  {name:<{_WIDTH}}{words}" for name, words in lines.items())]


def _column_words(column: Column | None) -> str:
    if column is None:
        return "none"
    missing = f", {_counted(column.n_missing, 'cell')} without" if column.n_missing else ""
    runs = f"runs of {column.median_run:,} rows (median), {column.longest_run:,} (longest)"
    return f"obs[{column.name!r}], {_counted(column.n_values, 'value')}{missing}; {runs}"


def _joint_lines(found: Sequence[Inspection], batch_size: int | None) -> list[str]:
    """Return what concerns all files together: shared genes, and how training would mix their labels."""
    if not found:
        return []
    n_cells = sum(source.n_cells for source in found)
    lines = [f"{_counted(len(found), 'source')}, {n_cells:,} cells"]
    if len(found) > 1:
        union, shares = coverage(found)
        lines.append(f"  {'genes':<{_WIDTH}}{union:,} in all files together")
        lines += [f"  {'':<{_WIDTH}}{n / union:.0%} in {f.name}" for f, n in zip(found, shares, strict=True)]
    codes, batch_size = label_codes(found), batch_size or usual_batch_size(n_cells)
    shuffled, in_chunks = all(source.kind == "packed" for source in found), any(source.in_chunks for source in found)
    sizes = choose_sizes(codes, batch_size, shuffled=shuffled, in_chunks=in_chunks)
    mixing = expected_mixing(codes, sizes)
    how = f"blocks of {sizes.block_rows:,} rows, {sizes.window_rows:,} rows shuffled together"
    labels = f"labels vary by {mixing.expected:.3f} from the whole, {mixing.ideal:.3f} if drawn at random"
    lines.append(f"  {'training batches':<{_WIDTH}}of {batch_size:,} cells: {how}")
    lines.append(f"  {'':<{_WIDTH}}{labels} ({mixing.ratio:.1f} times)")
    return lines


def _counted(n: int, thing: str) -> str:
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def main() -> None:
    """Read the command line and write what the files hold to stdout."""
    sys.stdout.write(f"{inspect(parse_config(InspectConfig, positional='files'))}\n")


if __name__ == "__main__":
    sys.exit(run_command("inspect", main))
