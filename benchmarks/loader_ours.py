"""Our loader as the trainer receives it: prepared by CellDataModule, batches from its training loader."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from benchmarks.loader_process import Loaded, Opened
from datamodules.cells import CellDataModule
from datamodules.data_config import DataConfig
from datamodules.splits import SplitConfig


def open_ours(path: Path, batch_size: int, seed: int, *, val_share: float = 0.0) -> Opened:
    """Prepare a data module with its default sizes.

    Parameters
    ----------
    path, batch_size, seed
        What to read.
    val_share
        Share of the donors that is held out; the peers read all cells.
    """
    data = DataConfig(files=str(path), batch_size=batch_size)
    cells = CellDataModule(data, SplitConfig(val_share=val_share), seed)
    cells.prepare()

    def epoch() -> Generator[Loaded, None, None]:
        for batch in cells.train_dataloader():
            yield Loaded(len(batch.indices), batch.cell_type.numpy().copy())

    return Opened(epoch, [node.name for node in cells.dataset.ontology.nodes])
