"""Mice and people in one training: `python -m benchmarks.two_species --data <real data>`; prints a table."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anndata as ad
import pandas as pd

from benchmarks.markdown import table
from benchmarks.measure import ROOT
from benchmarks.real import ONTOLOGY
from benchmarks.real_human import human_calls
from benchmarks.real_mice import write_test_cells
from benchmarks.real_scores import SHOWN
from benchmarks.runs import Training, network_probabilities, predict_network, train_network
from benchmarks.scores import class_scores
from benchmarks.studies import OTHER_MOUSE, ZILIONIS_HUMAN, ZILIONIS_MOUSE, write_copies
from schema.labels import CellOntology
from schema.orthologs import load_orthologs

logger = logging.getLogger(__name__)

MOUSE, HUMAN = ZILIONIS_MOUSE.name, ZILIONIS_HUMAN.name
PATIENTS = (("p1", "p4"), ("p2", "p3", "p5", "p6", "p7"))
"""Patients that are held out together: two halves by cells and by neutrophils."""

SHARED = "shared"
"""Ending of the copies that hold only genes with a counterpart in the other file."""

BATCH_SIZE = 64


@dataclass(frozen=True)
class Setting:
    """What a network is trained on, and for how long; people always without those that are tested."""

    name: str
    files: tuple[str, ...]
    max_epochs: int = 15


ALL_MICE = (MOUSE, *(study.name for study in OTHER_MOUSE))

SETTINGS = (
    Setting("mice", (MOUSE,)),
    Setting("people", (HUMAN,)),
    Setting("mice and people", (MOUSE, HUMAN)),
    Setting("mice and people, shared genes only", (MOUSE + SHARED, HUMAN + SHARED)),
    Setting("all mouse studies", ALL_MICE, 6),
    Setting("all mouse studies and people", (*ALL_MICE, HUMAN), 6),
)


def run(files: dict[str, Path], work: Path, ontology: CellOntology, seeds: Sequence[int]) -> Iterator[pd.DataFrame]:
    """Train every setting on either half of the patients and yield the calls of the others (see `human_calls`)."""
    for seed in seeds:
        for setting in SETTINGS:
            for number, patients in enumerate(PATIENTS):
                held_out = tuple(f"{HUMAN}_{patient}" for patient in patients)
                with_people = setting.files[-1].startswith(HUMAN)
                place = work / f"{setting.name.replace(' ', '_')}_{number if with_people else 'all'}_{seed}"
                if not (place / "bundle").exists():
                    train_network(_training(setting, files, held_out if with_people else (), seed), place)
                output = place.with_name(f"{place.name}_on_{number}")
                test = write_test_cells(files[HUMAN], held_out, output.with_suffix(".h5ad"))
                if not output.exists():
                    predict_network(place, test, output)
                calls = human_calls(ad.read_h5ad(test).obs, network_probabilities(output, ontology), ontology)
                logger.info("%s, half %d, seed %d: done", setting.name, number, seed)
                yield calls.assign(setting=setting.name, seed=seed)


def _training(setting: Setting, files: dict[str, Path], test_donors: Sequence[str], seed: int) -> Training:
    return Training(
        files=tuple(files[name] for name in setting.files),
        test_donors=tuple(test_donors),
        max_epochs=setting.max_epochs,
        batch_size=BATCH_SIZE,
        seed=seed,
    )


def write_shared(mouse: Path, human: Path) -> dict[str, Path]:
    """Write copies of a mouse and a human file that hold only genes with a counterpart in the other."""
    cells = {"mouse": ad.read_h5ad(mouse), "human": ad.read_h5ad(human)}
    names = {species: [str(name) for name in part.var_names] for species, part in cells.items()}
    orthologs = load_orthologs()
    written = {}
    for species, other, path in (("mouse", "human", mouse), ("human", "mouse", human)):
        there = set(names[other])
        answers = orthologs.translate(names[species], species, other, known=there)
        written[path.stem + SHARED] = path.with_name(f"{path.stem}{SHARED}.h5ad")
        cells[species][:, [answer in there for answer in answers]].write_h5ad(written[path.stem + SHARED])
    return written


def score(calls: pd.DataFrame, ontology: CellOntology) -> list[list[str]]:
    """Return one row per setting: macro-F1 over lineages and over the authors' labels, and F1 of neutrophils."""
    questions = (("truth_lineage", "lineage_call"), ("truth", "credited_call"), ("truth_type", "type_call"))
    rows = []
    for setting, part in calls.groupby("setting", sort=False):
        found = {}
        for truth, call in questions:
            nodes = [ontology.nodes[i].id for i in sorted(set(part[truth]) - {-1})]
            codes = [ontology.index_by_id[node] for node in nodes]
            for one in class_scores(part, truth, call, codes, [SHOWN.get(node, node) for node in nodes]):
                found[truth, one.name] = f"{one.f1:.3f} ({one.low:.2f}-{one.high:.2f})"
        macros = [found[truth, "macro"] for truth, _ in questions]
        rows.append([str(setting), *macros, found["truth_type", "NEUT"], _by_seed(part, ontology)])
    return rows


def _by_seed(calls: pd.DataFrame, ontology: CellOntology) -> str:
    """Return the macro-F1 over lineages of each seed, least and most."""
    codes = sorted(set(calls["truth_lineage"]) - {-1})
    names = [ontology.nodes[code].id for code in codes]
    one = [
        class_scores(part, "truth_lineage", "lineage_call", codes, names)[-1].f1 for _, part in calls.groupby("seed")
    ]
    return f"{min(one):.3f}-{max(one):.3f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Train on mice, people and both; test on held-out people.")
    parser.add_argument("--data", type=Path, required=True, help="folder of real data")
    parser.add_argument("--work", type=Path, help="folder for runs, gone on with (default: runs/two_species/<time>)")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    work = (options.work or ROOT / "runs" / "two_species" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}").resolve()
    work.mkdir(parents=True, exist_ok=True)
    ontology = CellOntology.load(ONTOLOGY)
    files = write_copies((ZILIONIS_MOUSE, *OTHER_MOUSE, ZILIONIS_HUMAN), options.data.resolve(), work / "cells")
    files |= write_shared(files[MOUSE], files[HUMAN])
    calls = pd.concat(run(files, work, ontology, range(options.seeds)), ignore_index=True)
    calls.to_parquet(work / "calls.parquet")
    scores = ["lineage, macro-F1", "label, ontology-aware", "type, strict", "neutrophils", "lineage by seed"]
    sys.stdout.write(table(["trained on", *scores], score(calls, ontology)) + "\n")


if __name__ == "__main__":
    main()
