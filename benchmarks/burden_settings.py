"""What the burden benchmark asks: which donors train, which calibrate, of which mixtures are made, and how many."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.studies import OTHER_MOUSE, ZILIONIS_MOUSE

SIMULATED, REAL = "simulated", "real"
SIMULATED_CONFIG, REAL_CONFIG = "configs/experiment/burden_benchmark.yaml", "configs/experiment/burden_real.yaml"
MICE = (ZILIONIS_MOUSE, *OTHER_MOUSE)
HELD_OUT_OTHERS = ("mca_AdultStomach_2", "mca_SmallIntestine_1", "tabula_muris_mammary_10X_P7_13")
"""Donors of other studies whose cells are mixed in and train nothing."""
CALIBRATING_OTHERS = ("mca_AdultStomach_1", "mca_SmallIntestine_2")
"""Donors of the same tissues that calibrate beside the mice, which have T, B and NK cells alone beside neutrophils."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of the cohorts and mixtures of a run.

    Attributes
    ----------
    n_mice, n_held_out_mice, n_cells, n_genes
        Of the simulated cohorts that train (see `datamodules.simulate`).
    pool_cells
        Droplets that are simulated for each kind of cells of a pool.
    rounds
        Mixtures of each band for each pool, simulated and real.
    droplets, real_droplets
        Least and most droplets of a mixture.
    n_cohorts
        New cohorts of each seed that a bundle reads along carcinogenesis.
    folds
        Mice of Zilionis 2019 that are held out in turn.
    peer_on_real
        Whether CellTypist reads real cells too (with the first seed): it learns for minutes.
    """

    n_mice: int = 4
    n_held_out_mice: int = 2
    n_cells: int = 150
    n_genes: int = 2_000
    pool_cells: int = 700
    rounds: tuple[int, int] = (2, 8)
    droplets: tuple[int, int] = (300, 1500)
    real_droplets: tuple[int, int] = (200, 600)
    n_cohorts: int = 20
    folds: int = 4
    peer_on_real: bool = True


QUICK = Sizes(
    n_held_out_mice=1,
    n_cells=100,
    n_genes=1_000,
    pool_cells=300,
    rounds=(1, 2),
    n_cohorts=3,
    folds=1,
    peer_on_real=False,
)


@dataclass(frozen=True, kw_only=True)
class Mouse:
    """A mouse of Zilionis 2019 held out: one of the others trains, two calibrate with donors of other tissues."""

    name: str
    training: str
    calibrating: tuple[str, ...]


def held_out_mice_of_zilionis() -> tuple[Mouse, ...]:
    """Return all four in turn; a tumour mouse trains, for no other neutrophils have all states."""
    name = ZILIONIS_MOUSE.name
    healthy, tumour = ((f"{name}_{kind}_1", f"{name}_{kind}_2") for kind in ("h", "t"))
    found = []
    for mouse in (*healthy, *tumour):
        training = next(other for other in tumour if other != mouse)
        rest = [other for other in (*healthy, *tumour) if other not in (mouse, training)]
        found.append(Mouse(name=mouse, training=training, calibrating=(*rest, *CALIBRATING_OTHERS)))
    return tuple(found)


@dataclass(frozen=True)
class Case:
    """One training and the mixtures that are read by it, in a folder."""

    part: str
    name: str
    seed: int
    folder: Path

    @property
    def answers(self) -> Path:
        """What all methods say of the mixtures."""
        return self.folder / "mixtures.parquet"

    @property
    def is_answered(self) -> bool:
        """Whether they have."""
        return self.answers.exists()

    @property
    def mixtures(self) -> Path:
        """The mixtures."""
        return self.folder / "mixtures.h5ad"

    @property
    def training(self) -> Path:
        """What CellTypist learns from."""
        return self.folder / "training.h5ad"

    @property
    def run(self) -> Path:
        """Run folder of the network."""
        return self.folder / "run"
