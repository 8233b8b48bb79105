"""Prepare files for training: rows shuffled once on disk and packed, one part per file, so that reading is copying."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from datamodules.columns import pick_column
from datamodules.files import expand_files
from datamodules.packed_check import size_and_time
from datamodules.packed_folder import claimed_store
from datamodules.packed_maker import PartMaker, PartOptions
from datamodules.packed_part import FORMAT, PartInfo, is_part, part_name
from datamodules.payback import Payback, measure_payback
from datamodules.store import open_store
from schema.command import parse_config, run_command
from schema.errors import OutputError, UsageError
from schema.outputs import check_writable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Prepare files for training: rows shuffled once on disk, packed. The same command goes on after a stop."""

    files: tuple[Path, ...] = field(
        metadata={"help": "files or patterns: .h5ad, .zarr, 10x folders, 10x .h5", "several": True}
    )
    """Files or patterns: .h5ad, .zarr, 10x folders, 10x .h5."""
    output: Path
    """Folder of the store; one part per file."""
    sample_column: str = "auto"
    """Column of obs that names the sample, whose rows stay together; auto tries sample_id, sample, donor_id, donor."""
    layer: str = "auto"
    """Where raw counts are: auto, X, raw, or the name of a layer."""
    compress: bool = False
    """Halve the store; reading it then costs about twice the time of the processor."""
    seed: int = 0
    """Seed of the order of rows."""
    overwrite: bool = False
    """Whether a finished store, or one begun by another command, is replaced."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.seed < 0:
            raise UsageError("seed is >= 0", got=str(self.seed), where="the command line", fix="Use another seed.")


Note = Callable[[str, float], None]


def prepare(config: PrepareConfig) -> Path:
    """Make a packed store, or go on where the same command was stopped, and show what it cost on stderr.

    Returns
    -------
    Path
        The store.

    Raises
    ------
    InputError
        If a file holds what is no raw count; parts of other files stay.
    OutputError
        If the folder holds something else, cannot be written or is too small.
    """
    began, sources = time.perf_counter(), expand_files([str(file) for file in config.files])
    check_writable(config.output)
    command = _command(config, sources)
    parts = [config.output / part_name(number) for number in range(len(sources))]
    with claimed_store(config.output, command, len(parts), overwrite=config.overwrite), _progress() as progress:
        new = [(source, part) for source, part in zip(sources, parts, strict=True) if not is_part(part)]
        for source, part in new:
            _make(source, part, config, progress(f"{part.name} {source.name}"))
    seconds = time.perf_counter() - began
    _show(sources, parts, seconds, [measure_payback(source, part, config.layer) for source, part in new])
    return config.output


def _command(config: PrepareConfig, sources: Sequence[Path]) -> dict[str, object]:
    """Return what makes a store this one and no other: the contents of its sources, and the options."""
    prints = []
    for source in sources:
        with open_store(source, layer=config.layer) as store:
            pick_column(store, config.sample_column, "sample")
            prints.append(store.fingerprint())
    options = {"sample_column": config.sample_column, "compressed": config.compress, "seed": config.seed}
    return {"format": FORMAT, **options, "sources": prints}


def _make(source: Path, part: Path, config: PrepareConfig, note: Note) -> None:
    options = PartOptions(sample_column=config.sample_column, compressed=config.compress, seed=config.seed)
    try:
        with open_store(source, layer=config.layer) as store:
            PartMaker(store, part, options, note).make()
    except OSError as error:
        raise OutputError(
            "a store must be writable",
            got=str(error.strerror or error)[:200],
            where=part.parent.name,
            fix="Free some space, or choose another --output; the same command then goes on.",
        ) from error


@contextmanager
def _progress() -> Iterator[Callable[[str], Note]]:
    """Give a function that begins a bar on stderr and returns what moves it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:

        def begin(name: str) -> Note:
            task = bars.add_task(name, total=1.0)

            def note(step: str, share: float) -> None:
                bars.update(task, description=f"{name}: {step}", completed=share)

            return note

        yield begin


def _show(sources: Sequence[Path], parts: Sequence[Path], seconds: float, paybacks: Sequence[Payback]) -> None:
    infos = [PartInfo.load(part) for part in parts]
    table = Table("part", "cells", "genes", "entries", "source", "store", title="Prepared")
    for source, part, info in zip(sources, parts, infos, strict=True):
        n_bytes = sum(size for size, _ in info.files.values())
        name = f"{part.name} {info.source.name}"
        sizes = f"{info.n_cells:,}", f"{info.n_genes:,}", f"{info.n_entries:,}"
        table.add_row(name, *sizes, f"{size_and_time(source)[0] / 1e6:,.1f} MB", f"{n_bytes / 1e6:,.1f} MB")
    console = Console(stderr=True)
    console.print(table)
    console.print(f"{seconds:,.1f} s. {pays_back(seconds, paybacks)}")


def pays_back(seconds: float, paybacks: Sequence[Payback]) -> str:
    """Say after how many epochs a store has saved the time that it cost."""
    if not paybacks:
        return "All parts were there already."
    unreadable = [payback.name for payback in paybacks if payback.source_seconds is None]
    if unreadable:
        return f"Training cannot read {', '.join(unreadable)} without it: stored gene by gene."
    before = sum(payback.source_seconds or 0.0 for payback in paybacks)
    after = sum(payback.store_seconds for payback in paybacks)
    speeds = f"An epoch reads {before:,.1f} s from the files, {after:,.1f} s from the store (one thread, sampled)"
    if before <= after:
        return f"{speeds}: it does not pay back where both lie in memory."
    return f"{speeds}: it pays back after about {max(1, round(seconds / (before - after))):,} epochs."


def main() -> None:
    """Read the command line and prepare; write the path of the store to stdout."""
    sys.stdout.write(f"{prepare(parse_config(PrepareConfig, positional='files'))}\n")


if __name__ == "__main__":
    sys.exit(run_command("prepare", main))
