"""The files of a run as the reader sees them: opened, with their labels, samples and way to the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.narrow import Narrow, narrow
from datamodules.order import Ints
from datamodules.store import CellStore
from schema.genes import GeneMatch
from schema.labels import UNLABELLED


@dataclass(frozen=True)
class SourceFile:
    """A file as the reader sees it.

    Attributes
    ----------
    store
        The opened file.
    match
        Where its genes stand in the vocabulary.
    cell_type
        int16 `[n_cells]`, node of the ontology or UNLABELLED.
    sample
        `[n_cells]`, index in the sample table, in the narrowest type that holds it.
    """

    store: CellStore
    match: GeneMatch
    cell_type: npt.NDArray[np.int16]
    sample: Narrow

    @classmethod
    def unlabelled(cls, store: CellStore, match: GeneMatch, sample: Ints) -> SourceFile:
        """Return a file of which no cell type is known."""
        return cls(store, match, np.broadcast_to(np.int16(UNLABELLED), store.n_cells), narrow(sample))

    @cached_property
    def merge(self) -> Ints | None:
        """The gene as which each gene of the file is counted, int64 `[n_file_genes]`; None = each as itself.

        Several genes of a file may stand for one of the vocabulary; they are summed as the first of them.
        """
        known = np.flatnonzero(self.match.column >= 0)
        columns, first, of_known = np.unique(self.match.column[known], return_index=True, return_inverse=True)
        if len(columns) == len(known):
            return None
        merge = np.arange(len(self.match.column), dtype=np.int64)
        merge[known] = known[first[of_known]]
        return merge


class GeneTables(NamedTuple):
    """How the genes of each file meet the vocabulary, as `schema.batch.CellBatch` has it.

    Attributes
    ----------
    columns
        int32 `[n_files, n_file_genes]`.
    present
        bool `[n_files, n_genes]`.
    """

    columns: Tensor
    present: Tensor

    @classmethod
    def of(cls, files: Sequence[SourceFile]) -> GeneTables:
        """Return the tables of some files, in their order."""
        columns = np.full((len(files), max(len(file.match.column) for file in files)), -1, dtype=np.int32)
        for row, file in zip(columns, files, strict=True):
            row[: len(file.match.column)] = file.match.column
        return cls(torch.from_numpy(columns), torch.from_numpy(np.stack([file.match.present for file in files])))
