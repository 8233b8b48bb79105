"""Ablation of the augmentation: `python -m benchmarks.augmentation --output docs/results` (`make bench-augment`)."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.augmentation_cost import step_seconds
from benchmarks.augmentation_page import NONE, page
from benchmarks.augmentation_scores import DROPLETS, score
from benchmarks.augmentation_sets import STUDIES, donors, write_sets
from benchmarks.measure import ROOT, commit, hardware
from benchmarks.training_cohort import cohort
from datamodules.data_config import DataConfig
from datamodules.splits import SplitConfig
from model.augment import AugmentationConfig
from model.bundle import load_bundle
from model.encoder import EncoderConfig
from model.network import NetworkConfig
from schema.labels import CellOntology
from train import TrackingConfig, TrainConfig, TrainerConfig, train

COHORT = {"n_mice": 5, "n_cells": 500, "n_genes": 4_000, "seed": 0}
QUICK_COHORT = COHORT | {"n_cells": 60, "n_genes": 600}
"""Options of the simulator: 7,500 cells train and 5,000 of either study validate, or about an eighth of it."""
N_HIDDEN, BATCH_SIZE, N_EPOCHS = 256, 128, 8
PIECES: dict[str, dict[str, float]] = {
    "thinning": {"thin_share": 0.05},
    "doublets": {"doublet_share": 0.06},
    "ambient droplets": {"ambient_share": 0.02},
    "ambient mixing": {"mixing_share": 0.1},
    "donor differences": {"donor_share": 0.1},
    "gene panels": {"panel_share": 0.1},
}
"""Each piece alone, beside nothing and all together."""
ALL, ALL_BUT_MIXING, HIDDEN = "all", "all but mixing", "all but mixing, no droplet labelled"
"""All pieces, all but one, and the same where training cells labelled as ambient or doublet lose their label."""


def settings() -> dict[str, AugmentationConfig]:
    """Return what is compared, by name: nothing, each piece alone, and all together."""
    off = {name: 0.0 for piece in PIECES.values() for name in piece}
    together = {name: value for piece in PIECES.values() for name, value in piece.items()}
    unmixed = together | {"mixing_share": 0.0}
    chosen: dict[str, dict[str, float]] = (
        {NONE: {}} | PIECES | {ALL: together, ALL_BUT_MIXING: unmixed, HIDDEN: unmixed}
    )
    return {name: AugmentationConfig(unlabelled_droplets=True, **(off | shares)) for name, shares in chosen.items()}


def run(
    cells: Path,
    sets: dict[tuple[str, str], Path],
    folder: Path,
    name: str,
    config: AugmentationConfig,
    seed: int,
    n_epochs: int,
) -> list[dict[str, Any]]:
    """Train once on mice of the first study and return the scores of every set of cells."""
    shutil.rmtree(folder, ignore_errors=True)
    start = time.perf_counter()
    label_map = hiding_droplets(folder.with_name("hidden.yaml")) if name == HIDDEN else None
    bundle = load_bundle(train(training(cells, folder, config, seed, n_epochs, label_map)))
    seconds = time.perf_counter() - start
    about = {"setting": name, "seed": seed, "seconds": seconds}
    rows = [
        about | {"study": study, "variant": variant} | score(bundle, path) for (study, variant), path in sets.items()
    ]
    print(f"{name}, seed {seed}: types {rows[0]['types']:.3f}, {seconds:.0f} s", file=sys.stderr)
    return rows


def hiding_droplets(path: Path) -> Path:
    """Write a label map that leaves droplets which are not one cell without label, and return it."""
    ontology = CellOntology.load()
    names = [ontology.nodes[ontology.index_by_id[node]].name for node in DROPLETS]
    path.write_text(yaml.safe_dump(dict.fromkeys(names)), encoding="utf-8")
    return path


def training(
    cells: Path, folder: Path, config: AugmentationConfig, seed: int, n_epochs: int, label_map: Path | None
) -> TrainConfig:
    """Return a training on mice of the first study; the other study is set aside."""
    other = donors(STUDIES[1], training=True) + donors(STUDIES[1], training=False)
    return TrainConfig(
        output=folder,
        data=DataConfig(files=str(cells), batch_size=BATCH_SIZE, label_map=label_map),
        split=SplitConfig(val_donors=donors(STUDIES[0], training=False), test_donors=other),
        network=NetworkConfig(encoder=EncoderConfig(n_hidden=N_HIDDEN)),
        augmentation=config,
        trainer=TrainerConfig(max_epochs=n_epochs, accelerator="cpu", devices=1, progress_bar=False),
        tracking=TrackingConfig(mode="off"),
        refit=False,  # the validation donors are judged
        seed=seed,
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train with and without pieces; write augmentation.md and .json.")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    parser.add_argument("--work", type=Path, default=ROOT / "runs" / "bench_augment", help="folder of cohort and runs")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="a small cohort")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of each training: 0, 1, ...")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train all settings and write augmentation.md and augmentation.json."""
    options = parse(arguments)
    logging.getLogger().setLevel(logging.ERROR)
    seeds, n_epochs = (range(1), 1) if options.quick else (range(options.seeds), N_EPOCHS)
    made = QUICK_COHORT if options.quick else COHORT
    results: dict[str, Any] = {
        "command": ("QUICK=1 " if options.quick else "") + "python -m benchmarks.augmentation --output docs/results",
        **{"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware()},
        **{"quick": options.quick, "cohort": made, "seeds": list(seeds), "n_hidden": N_HIDDEN, "n_epochs": n_epochs},
        "batch_size": BATCH_SIZE,
        "settings": {name: asdict(config) for name, config in settings().items()},
    }
    work = options.work.resolve()
    cells = cohort(work, made)
    sets = write_sets(cells, cells.parent / "sets")
    results["step_seconds"] = step_seconds(cells, settings())
    results["rows"] = [
        row
        for seed in seeds
        for name, config in settings().items()
        for row in run(cells, sets, work / "run", name, config, seed, n_epochs)
    ]
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "augmentation.md").write_text(page(results), encoding="utf-8")
    (options.output / "augmentation.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(options.output / "augmentation.md")


if __name__ == "__main__":
    main()
