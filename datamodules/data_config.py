"""What a training run reads: files, columns, and how batches are drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from datamodules.samples import ColumnsConfig
from schema.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which files are read, what their columns mean, and how batches are drawn."""

    files: str | tuple[str, ...] = ()
    """One or several ([a, b]) files or glob patterns: .h5ad, .zarr, 10x folders, 10x .h5."""
    layer: str = "auto"
    """Where raw counts are: auto, X, raw, or the name of a layer."""
    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    """Columns of obs."""
    label_map: Path | None = None
    """YAML of label: node (or null = unlabelled), before the ontology's own synonyms."""
    ontology: Literal["flat"] | Path | None = None
    """Label tree in place of the project's own: a YAML file, or flat = the labels alone, with nothing above them."""
    stage_scale: str | None = None
    """Stage scale of the samples (see schema/stage_scales.yaml); None = no stage is learnt."""
    orthologs: Path | None = None
    """Table of one-to-one orthologs, for files of both species; None = by symbol with curated exceptions."""
    min_cells: int = 3
    """Fewest training cells that must show a gene for the vocabulary, cells."""
    batch_size: int | None = None
    """Cells per training batch and rank; None = by the number of training cells, 128 to 4,096."""
    eval_batch_size: int = 2048
    """Cells per validation batch."""
    block_rows: int | None = None
    """Neighbouring rows read at once in training; None = as many as mixes the labels well enough."""
    window_rows: int | None = None
    """Rows held in memory and shuffled together, per rank; None = as few as mixes the labels well enough."""
    balance: float = 0.0
    """How far labels are drawn equally often: 0 = every cell once per epoch, 1 = all labels alike. Reads no more."""
    threads: int = 0
    """Threads that read, per rank; 0 = the cores of the machine shared among its ranks, 8 at most."""
    statistics_cells: int = 50_000
    """Most training cells looked at for the vocabulary and the mean expression."""

    def __post_init__(self) -> None:
        """Check ranges."""
        sizes = ("batch_size", "eval_batch_size", "block_rows", "window_rows", "min_cells")
        wrong = [name for name in sizes if (size := getattr(self, name)) is not None and size < 1]
        if wrong:
            raise UsageError(
                "sizes are >= 1", got=f"{wrong[0]}={getattr(self, wrong[0])}", where="data", fix="Raise it."
            )
        if not 0 <= self.balance <= 1 or self.threads < 0:
            raise UsageError(
                "0 <= balance <= 1 and threads >= 0",
                got=f"{self.balance} and {self.threads}",
                where="data",
                fix="Correct the value.",
            )
