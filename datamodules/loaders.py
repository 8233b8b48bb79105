"""What Lightning iterates: the batches of one plan, from the batch at which a checkpoint was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from datamodules.buffers import ReadMemory
from datamodules.narrow import Rows
from datamodules.order import Plan
from datamodules.read import read_batches
from datamodules.sources import SourceFile
from schema.batch import CellBatch

BATCH = "batch"
"""Key of a loader's state: batches of the epoch that were trained on."""


class BatchLoader:
    """The batches of a plan; its length is the plan's, wherever it begins.

    Lightning saves and loads its state. What counts is the batches that were trained on, not those handed out: a batch
    whose step failed is handed out again.

    Parameters
    ----------
    files, rows, plan, device, n_threads, memory
        See `datamodules.read.read_batches`.
    n_done
        Returns the batches of this epoch that were trained on.
    """

    def __init__(
        self,
        files: Sequence[SourceFile],
        rows: Sequence[Rows],
        plan: Plan,
        *,
        device: torch.device,
        n_threads: int,
        memory: ReadMemory,
        n_done: Callable[[], int] = lambda: 0,
    ) -> None:
        self._files, self._rows, self._plan = files, rows, plan
        self._device, self._n_threads, self._n_done = device, n_threads, n_done
        self._memory, self._first = memory, 0

    def __iter__(self) -> Iterator[CellBatch]:
        first, self._first = self._first, 0
        n_batches = first
        for batch in read_batches(
            self._files,
            self._rows,
            self._plan,
            first_batch=first,
            device=self._device,
            n_threads=self._n_threads,
            memory=self._memory,
        ):
            n_batches += 1
            yield batch
        if n_batches != len(self):
            raise AssertionError("a rank must get as many batches as all others: as many as the plan says")

    def __len__(self) -> int:
        return self._plan.n_batches

    def state_dict(self) -> dict[str, int]:
        """Return how far the epoch has come; the same on all ranks."""
        return {BATCH: self._n_done()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Begin the next iteration where the state was saved."""
        self._first = state[BATCH]
