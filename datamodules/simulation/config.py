"""What to simulate: the options of the simulator, with their units and ranges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schema.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class SimulationConfig:
    """Simulate a staged mammary-tumour cohort with known truth: one file of mice to train on, one of held-out mice."""

    output: Path
    """Folder for the two files, made if missing; neither may exist."""
    n_mice: int = 4
    """Training mice per stage and study, >= 1."""
    n_held_out_mice: int = 1
    """Held-out mice per stage and study, >= 1."""
    n_cells: int = 350
    """Barcodes per sample, on average, >= 50."""
    n_genes: int = 16_000
    """Genes, >= 600: about 410 real marker and programme genes, the rest background."""
    species: Literal["mouse", "human"] = "mouse"
    """Species whose gene symbols are used."""
    seed: int = 0
    """Seed of all randomness, >= 0: the same config gives the same arrays."""
    stage_through: Literal["both", "composition", "state", "none"] = "both"
    """What moves with stage: type fractions (composition), subset shares and programmes (state), both or none."""
    confounded: bool = False
    """Whether each stage is seen by one study only."""
    state_overlap: float = 0.9
    """Largest share of a cell's state that belongs to a neighbouring state instead, 0 (easy) to 1 (hard)."""
    overdispersion: float = 0.3
    """Of counts: their variance is mean + overdispersion * mean squared, > 0 and <= 5."""
    compression: Literal["gzip"] | None = None
    """Compression of X in the files."""

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        _check_range("n_mice", self.n_mice, 1, 10_000)
        _check_range("n_held_out_mice", self.n_held_out_mice, 1, 10_000)
        _check_range("n_cells", self.n_cells, 50, 1_000_000)
        _check_range("n_genes", self.n_genes, 600, 100_000)
        _check_range("seed", self.seed, 0, 2**63 - 1)
        _check_range("state_overlap", self.state_overlap, 0, 1)
        _check_range("overdispersion", self.overdispersion, 0.001, 5)


def _check_range(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise UsageError(
            f"{name} must lie between {least} and {most}",
            got=str(value),
            where=name,
            fix="Choose a value in the range.",
        )
