"""Makes one part of a packed store from one source: two passes in bounded memory, each step noted, one atomic end."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datamodules.columns import pick_column
from datamodules.journal import Done, Journal, settle, write_whole
from datamodules.packed_check import describe_source, sha256_of
from datamodules.packed_obs import ObsTableWriter, write_genes
from datamodules.packed_part import GENES, LIBRARY, OBS, PART, POINTERS, SOURCE_ROW, PartInfo
from datamodules.packed_writer import AppendedFiles, EntriesWriter, part_files
from datamodules.shuffle import RUN_FILES, Runs, Shuffler, shuffled_by_group
from datamodules.space import Ints, index_dtype
from datamodules.store import CellStore
from schema.errors import OutputError
from schema.provenance import describe_program

logger = logging.getLogger(__name__)

MAX_VALUES = 2**16
"""Distinct values of an obs column above which it is no label, and is left out."""


@dataclass(frozen=True, kw_only=True)
class PartOptions:
    """How a part is made: see `datamodules.prepare.PrepareConfig`."""

    sample_column: str
    compressed: bool
    seed: int


class PartMaker:
    """Makes a part, or goes on where another process stopped.

    Parameters
    ----------
    store
        The source.
    part
        Folder that the part gets; unfinished, it lies beside it with a dot before its name.
    options
        How it is made.
    progress
        Called with the name of a step, and the share of it that is done.
    """

    def __init__(
        self, store: CellStore, part: Path, options: PartOptions, progress: Callable[[str, float], object]
    ) -> None:
        self._store, self._part, self._options, self._progress = store, part, options, progress
        self._draft, self._journal = part.with_name(f".{part.name}"), Journal(part.with_name(f".{part.name}.json"))
        self._dtype = index_dtype(len(store.gene_symbols))
        self._column = pick_column(store, options.sample_column, "sample")

    def make(self) -> None:
        """Make the part.

        Raises
        ------
        InputError
            If a value of the source is no raw count.
        OutputError
            If there is too little space.
        """
        if not (self._draft / PART).exists():
            done = self._resume()
            order = shuffled_by_group(self._samples(), self._options.seed)
            if done.n_routed < self._store.n_cells or done.n_written < self._store.n_cells:
                shuffler = Shuffler(self._store, self._dtype)
                self._route(shuffler, order, done)
                self._write(shuffler, done)
                del shuffler
            self._describe(order, done)
        self._publish()

    def _resume(self) -> Done:
        done = self._journal.load()
        if done is None or not self._draft.is_dir():
            shutil.rmtree(self._draft, ignore_errors=True)
            self._draft.mkdir()
            return Done()
        logger.info("%s: going on after %d of %d cells", self._store.name, done.n_routed, self._store.n_cells)
        return done

    def _samples(self) -> np.ndarray:
        if self._column is None:
            return np.zeros(self._store.n_cells, dtype=np.int8)
        return np.asarray(self._store.obs(self._column).codes)

    def _route(self, shuffler: Shuffler, order: Ints, done: Done) -> None:
        """Pass 1: the source becomes sorted runs."""
        if done.n_routed == self._store.n_cells:
            return
        target = np.empty_like(order)
        target[order] = np.arange(len(order))
        with closing(AppendedFiles(self._draft, {name: done.sizes.get(name, 0) for name in RUN_FILES})) as files:
            while (start := done.n_routed) < self._store.n_cells:
                done.runs.append(shuffler.route(start, target, files))
                done.sizes = files.settle()
                self._journal.save(done)
                self._require_space(done)
                self._progress("reading", done.n_routed / self._store.n_cells)

    def _write(self, shuffler: Shuffler, done: Done) -> None:
        """Pass 2: runs become rows in their new order."""
        runs = Runs(self._draft, done.runs, self._dtype)
        np.save(self._draft / POINTERS, runs.indptr)
        np.save(self._draft / LIBRARY, runs.library_size)
        writer = EntriesWriter(
            self._draft,
            done.sizes,
            compressed=self._options.compressed,
            n_rows=done.n_written,
            n_entries=int(runs.indptr[done.n_written]),
        )
        with closing(writer.files):
            while done.n_written < self._store.n_cells:
                rows = shuffler.merge(runs, done.n_written)
                writer.append(*rows)
                done.n_written += len(rows.indptr) - 1
                done.sizes |= writer.files.settle()
                self._journal.save(done)
                self._progress("writing", done.n_written / self._store.n_cells)

    def _describe(self, order: Ints, done: Done) -> None:
        """Write what stands beside the entries, and last of all part.json."""
        EntriesWriter(self._draft, done.sizes, compressed=self._options.compressed).finish()
        write_genes(self._draft, self._store.gene_symbols, self._store.gene_ids)
        self._write_obs(order)
        info = PartInfo(
            n_cells=self._store.n_cells,
            n_genes=len(self._store.gene_symbols),
            n_entries=sum(run.n_entries for run in done.runs),
            compressed=self._options.compressed,
            seed=self._options.seed,
            sample_column=self._column,
            source=describe_source(self._store.path, self._part, self._store.fingerprint(), self._store.kind),
            files=self._settled_files(),
            program=describe_program(),
        )
        write_whole(self._draft / PART, info.to_json())

    def _write_obs(self, order: Ints) -> None:
        table = ObsTableWriter(self._draft, order)
        for column in self._store.obs_columns:
            values = self._store.obs(column)
            if len(values.categories) > MAX_VALUES or column == SOURCE_ROW:
                logger.info("%s: obs[%r] is left out: it is no label", self._store.name, column)
            else:
                table.add(column, values)
        table.finish()

    def _settled_files(self) -> dict[str, tuple[int, str]]:
        """Put the files of the part on disk; return bytes and SHA-256 of each."""
        names = [POINTERS, LIBRARY, GENES, OBS, *part_files(compressed=self._options.compressed)]
        sizes = {name: (self._draft / name).stat().st_size for name in names}
        n_read = 0

        def count(n_bytes: int) -> None:
            nonlocal n_read
            n_read += n_bytes
            self._progress("checking", n_read / sum(sizes.values()))

        for name in names:
            settle(self._draft / name)
        return {name: (sizes[name], sha256_of(self._draft / name, count)) for name in names}

    def _publish(self) -> None:
        """Give the part its name, once nothing else is in it."""
        known = {PART, *PartInfo.load(self._draft).files}
        for file in self._draft.iterdir():
            if file.name not in known:
                file.unlink()
        settle(self._draft)
        self._journal.remove()
        os.replace(self._draft, self._part)  # noqa: PTH105 - one call that replaces atomically
        settle(self._part.parent)

    def _require_space(self, done: Done) -> None:
        """Refuse to begin what the disk cannot hold."""
        if len(done.runs) != 1:
            return
        written, free = sum(done.sizes.values()), shutil.disk_usage(self._draft).free
        needed = written * (2 * self._store.n_cells / done.n_routed - 1)
        if needed > free:
            raise OutputError(
                "a store needs room for its entries, twice while it is made",
                got=f"{free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB needed",
                where=self._part.parent.name,
                fix="Choose another --output, or free some space.",
            )
