"""Run a method in a setting, or take what an earlier run left: answers of every test cell, and what they cost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from benchmarks.cells_answers import Said, answer_frame, said_by_network, said_by_probabilities, said_by_scores
from benchmarks.cells_settings import DONORS, Setting
from benchmarks.environments import Environment, pinned
from benchmarks.joint import labels_of, training_cells
from benchmarks.measure import commit
from benchmarks.real_mice import NETWORK
from benchmarks.runs import Cost, floor_probabilities, predict_network, train_network
from schema.labels import CellOntology

CELLTYPIST, SCANVI = "celltypist", "scanvi"
ENVIRONMENTS = {
    CELLTYPIST: Environment(
        name=CELLTYPIST,
        steps=("celltypist==1.7.1",),
        imports="celltypist",
        packages=("celltypist", "scikit-learn", "scanpy", "anndata"),
    ),
    SCANVI: Environment(
        name=SCANVI, steps=(pinned("torch"), "scvi-tools==1.4.2"), imports="scvi", packages=("scvi-tools", "torch")
    ),
}


@dataclass(frozen=True)
class Answer:
    """What a method said in a setting: a row per cell (see `answer_frame`), and facts of the run.

    Facts hold part, name, method, seed, the fields of `Cost`, commit, date and, of the network, `strangeness`: the
    column that tells how strange a cell is.
    """

    cells: pd.DataFrame
    facts: dict[str, Any]


class Methods:
    """Runs methods and keeps what they say in a folder.

    Parameters
    ----------
    work
        Folder of results; those that are there are not made again.
    environments
        Folder of the peers' environments, made where they are not there.
    """

    def __init__(self, work: Path, environments: Path) -> None:
        self._work, self._environments = work, environments
        self._python: dict[str, Path | str] = {}

    def place(self, setting: Setting, method: str) -> Path:
        """Return the folder of what a method says in a setting."""
        return self._work / setting.part / setting.name.replace(" ", "_") / f"{method}_{setting.seed}"

    def kept(self, setting: Setting, method: str) -> Answer | None:
        """Return what an earlier run left; None without."""
        place = self.place(setting, method)
        if not (place / "facts.json").exists():
            return None
        facts = json.loads((place / "facts.json").read_text(encoding="utf-8"))
        return Answer(pd.read_parquet(place / "answers.parquet"), facts)

    def run(self, setting: Setting, method: str) -> Answer:
        """Fit and predict, and keep the answers.

        Raises
        ------
        RuntimeError
            If the method fails, or a peer's environment cannot be made.
        """
        place = self.place(setting, method)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        ontology = CellOntology.load(setting.tree)
        said, cost, how = self._said(setting, method, place, ontology)
        known = np.unique(labels_of(training_cells(setting.training.files, setting.training.test_donors)))
        cells = answer_frame(
            obs_of(setting.test), said, ontology, known.tolist(), group=setting.group, stratum=setting.stratum
        )
        cells.to_parquet(place / "answers.parquet")
        facts = {"part": setting.part, "name": setting.name, "method": method, "seed": setting.seed, "strangeness": how}
        facts |= {**asdict(cost), "commit": commit(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
        if setting.part != DONORS:  # whose models are timed later
            remove_models(place)
        (place / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
        return Answer(cells, facts)

    def python_of(self, peer: str) -> Path:
        """Return the interpreter of a peer.

        Raises
        ------
        RuntimeError
            If its environment cannot be made.
        """
        if peer not in self._python:
            try:
                self._python[peer] = ENVIRONMENTS[peer].interpreter(sys.executable, self._environments)
            except RuntimeError as error:
                self._python[peer] = str(error)
        found = self._python[peer]
        if isinstance(found, str):
            raise RuntimeError(found)
        return found

    def versions(self) -> dict[str, str]:
        """Return the versions of what the peers run on, of those that are there."""
        found: dict[str, str] = {}
        for peer, environment in ENVIRONMENTS.items():
            try:
                found |= environment.versions(self.python_of(peer))
            except (RuntimeError, subprocess.CalledProcessError):
                continue
        return found

    def _said(self, setting: Setting, method: str, place: Path, ontology: CellOntology) -> tuple[Said, Cost, str]:
        if method == NETWORK:
            run, output = place / "run", place / "predicted"
            cost = Cost.of(train_network(setting.training, run), predict_network(run, setting.test, output))
            said, how = said_by_network(output, ontology)
            shutil.rmtree(output)
            shutil.rmtree(run / "checkpoints", ignore_errors=True)
            return said, cost, how
        command: Sequence[str] = ()
        if method in ENVIRONMENTS:
            command = [str(self.python_of(method)), "-m", f"benchmarks.floor_{method}"]
        found = floor_probabilities(method, setting.training, setting.floor_test, place / "floor", command)
        call = said_by_scores if method == CELLTYPIST else said_by_probabilities
        return call(*found[:2], ontology), found[2], "1 - largest probability"


def remove_models(place: Path) -> None:
    """Remove what a method learnt from a folder, and leave answers and logs."""
    for name in ("run", "floor.model"):
        path = place / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    (place / "floor.npz").unlink(missing_ok=True)


def obs_of(path: Path) -> pd.DataFrame:
    """Return the obs of a file with `library_size`, UMI."""
    cells = ad.read_h5ad(path)
    return pd.DataFrame(cells.obs).assign(library_size=np.asarray(cells.X.sum(axis=1)).ravel())
