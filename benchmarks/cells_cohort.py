"""The simulated cohorts of the cell benchmark: one per seed, under the names that all methods read."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from benchmarks.measure import python, run_measured
from datamodules.simulate import HELD_OUT_FILE, TRAINING_FILE
from schema.labels import TYPE_LEVEL, CellOntology

FIRST_STUDY, SECOND_STUDY = "simulated-study-1", "simulated-study-2"


@dataclass(frozen=True, kw_only=True)
class CohortConfig:
    """Sizes of a cohort (see `datamodules.simulate`); `state_overlap` 1 is its hard end."""

    n_mice: int = 4
    n_held_out_mice: int = 2
    n_cells: int = 150
    n_genes: int = 2_000
    state_overlap: float = 1.0


@dataclass(frozen=True)
class Cohort:
    """Files of one seed, made when they are asked for and then kept."""

    config: CohortConfig
    seed: int
    work: Path

    @property
    def folder(self) -> Path:
        """Folder of the files."""
        return self.work / f"cohort_{self.seed}"

    @property
    def training(self) -> Path:
        """Mice that train, of both studies."""
        return self.folder / "training.h5ad"

    @property
    def held_out(self) -> Path:
        """Mice of both studies that train nothing."""
        return self.folder / "held_out.h5ad"

    @property
    def first_study(self) -> Path:
        """Training mice of the first study."""
        return self.folder / "first_study.h5ad"

    @property
    def second_study(self) -> Path:
        """Held-out mice of the second study."""
        return self.folder / "second_study.h5ad"

    def without(self, type_id: str) -> Path:
        """Return the training mice without the cells of a type."""
        return self.folder / f"without_{type_id}.h5ad"

    def make(self, left_out: tuple[str, ...] = ()) -> None:
        """Make what is not there: the four files, and the training mice without each of some types."""
        if not self.second_study.exists():
            self._simulate()
        missing = [type_id for type_id in left_out if not self.without(type_id).exists()]
        if missing:
            cells, ontology = ad.read_h5ad(self.training), CellOntology.load()
            for type_id in missing:
                cells[~of_type(cells.obs["cell_type"], type_id, ontology)].copy().write_h5ad(self.without(type_id))

    def _simulate(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        made = self.folder / "simulated"
        sizes = {**vars(self.config), "seed": self.seed, "output": made}
        options = [text for name, value in sizes.items() for text in (f"--{name}", str(value))]
        run_measured(python("-m", "datamodules.simulate", *options), self.folder / "simulate.log")
        training, held_out = (harmonised(made / name, f"c{self.seed}_") for name in (TRAINING_FILE, HELD_OUT_FILE))
        shutil.rmtree(made)
        training.write_h5ad(self.training)
        held_out.write_h5ad(self.held_out)
        training[(training.obs["study"] == FIRST_STUDY).to_numpy()].copy().write_h5ad(self.first_study)
        held_out[(held_out.obs["study"] == SECOND_STUDY).to_numpy()].copy().write_h5ad(self.second_study)


def harmonised(path: Path, prefix: str) -> ad.AnnData:
    """Read a simulated file: node ids as `cell_type`; names of cells, samples and donors begin with a prefix."""
    cells = ad.read_h5ad(path)
    obs = pd.DataFrame({name: cells.obs[name].astype(str) for name in ("sample_id", "donor_id", "study")})
    obs["sample_id"], obs["donor_id"] = prefix + obs["sample_id"], prefix + obs["donor_id"]
    obs["cell_type"] = cells.obs["true_cell_type_id"].astype(str)
    obs.index = prefix + obs.index.astype(str)
    return ad.AnnData(X=cells.X, obs=obs, var=cells.var[["gene_id"]].astype(str))


def of_type(labels: pd.Series, type_id: str, ontology: CellOntology) -> np.ndarray:
    """Return which cells are of a type, bool `[n_cells]`, from their node ids."""
    at_type, node = ontology.ancestor_at(TYPE_LEVEL), ontology.index_by_id[type_id]
    return labels.astype(str).map(lambda name: at_type[ontology.index_by_id[name]] == node).to_numpy(dtype=bool)
