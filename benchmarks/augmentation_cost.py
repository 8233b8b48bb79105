"""What the augmentation costs: seconds of a training step with each setting, in turn, on the same cells."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import torch

from benchmarks.augmentation_sets import STUDIES, donors
from datamodules.cells import CellDataModule
from datamodules.data_config import DataConfig
from datamodules.splits import SplitConfig
from model.augment import Augmentation, AugmentationConfig
from model.encoder import EncoderConfig
from model.losses import hierarchical_cross_entropy
from model.network import Network, NetworkConfig
from model.tree import LabelTree
from schema.batch import CellBatch

N_CELLS, N_ROUNDS, N_HIDDEN = 512, 15, 512
"""Cells of a step, rounds over all settings, width of the encoder."""


def labelled_cells(cells: Path) -> tuple[CellDataModule, CellBatch]:
    """Return the validation mice of the first study, and some of their cells as one batch."""
    split = SplitConfig(val_donors=donors(STUDIES[0], training=False))
    module = CellDataModule(DataConfig(files=str(cells), eval_batch_size=N_CELLS), split, seed=0)
    module.prepare()
    return module, next(iter(module.batches("val", N_CELLS)))


def step_seconds(cells: Path, settings: Mapping[str, AugmentationConfig]) -> dict[str, list[float]]:
    """Return the seconds of a step (made cells, loss, gradient, AdamW) by setting, one for each round."""
    module, batch = labelled_cells(cells)
    ontology = module.dataset.ontology
    tree = LabelTree(ontology)
    network = Network(
        n_genes=batch.n_genes,
        n_leaves=len(ontology.leaves),
        config=NetworkConfig(encoder=EncoderConfig(n_hidden=N_HIDDEN)),
    )
    optimiser = torch.optim.AdamW(network.parameters())
    pieces = {name: Augmentation(ontology, config) for name, config in settings.items()}
    seconds: dict[str, list[float]] = {name: [] for name in settings}
    for _ in range(N_ROUNDS + 1):
        for name, augmentation in pieces.items():
            start = time.perf_counter()
            with torch.no_grad():
                made = augmentation(batch)
            logits = network.classify(made.expression, made.present, made.file).logits
            optimiser.zero_grad()
            torch.autograd.backward(hierarchical_cross_entropy(logits, made.cell_type, tree, 0.3))
            optimiser.step()
            seconds[name].append(time.perf_counter() - start)
    return {name: taken[1:] for name, taken in seconds.items()}


def ratio(seconds: Mapping[str, list[float]], name: str, base: str) -> float:
    """Return the median over rounds of the seconds with a setting over those with another."""
    return median(a / b for a, b in zip(seconds[name], seconds[base], strict=True))
