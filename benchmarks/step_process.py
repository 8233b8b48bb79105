"""One batch size on one device, in a process of its own: `python -m benchmarks.step_process`, a line of JSON."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, count, islice
from pathlib import Path

import pytorch_lightning as pl
import torch

from benchmarks.page_cache import read_through
from benchmarks.step_clock import MANY, SameBatch, StepClock, fit, synchronise
from datamodules.cells import CellDataModule
from datamodules.data_config import DataConfig
from datamodules.order import SequentialPlan, Share
from datamodules.read import read_batches
from datamodules.splits import SplitConfig
from model.bundle import load_bundle, save_bundle
from model.inference import Predictor
from model.preprocess import to_dense
from schema.batch import CellBatch
from train import (
    TrackingConfig,
    TrainConfig,
    TrainerConfig,
    build_module,
    build_trainer,
    calibrated_bundle,
    quieten_lightning,
)

Figures = dict[str, float]


class StepBench:
    """The measurements of one batch size; each takes about so many seconds."""

    def __init__(self, config: TrainConfig, batch_size: int, *, seconds: float, compiled: bool) -> None:
        config = replace(config, data=replace(config.data, batch_size=batch_size))
        self.config, self.batch_size, self.seconds, self.compiled = config, batch_size, seconds, compiled
        self.device = torch.device("cuda" if config.trainer.accelerator == "gpu" else "cpu")
        self.n_warm = 1 if self.device.type == "cpu" else 20
        self.cells = CellDataModule(config.data, config.split, config.seed)
        self.cells.prepare()

    def stream(self) -> Iterator[CellBatch]:
        """Yield training batches on the device, epoch after epoch."""
        plans = (self.cells.training_plan(Share(seed=self.config.seed, epoch=epoch)) for epoch in count())
        data = self.cells.dataset
        return chain.from_iterable(
            read_batches(data.files, data.rows["train"], plan, device=self.device) for plan in plans
        )

    def same(self) -> CellBatch:
        """Return a batch of its own memory, on the device."""
        batch = next(self.stream())
        return CellBatch(*(part.to(self.device, copy=True) for part in batch))

    def repeat(self, batches: Iterator[CellBatch], work: Callable[[CellBatch], object] = id) -> Figures:
        """Do a piece of work on batches until the time is over; the first ones are not counted."""
        for batch in islice(batches, self.n_warm):
            work(batch)
        synchronise(self.device)
        n_cells, start, end = 0, time.perf_counter(), 0.0
        while end < self.seconds:
            batch = next(batches)
            work(batch)
            n_cells += batch.n_cells
            end = time.perf_counter() - start
        synchronise(self.device)
        return {"n_cells": n_cells, "seconds": time.perf_counter() - start}

    def training(self, data: pl.LightningDataModule) -> Figures:
        """Train with Lightning as train.py does, without checkpoints."""
        with tempfile.TemporaryDirectory() as folder:
            config = replace(self.config, output=Path(folder))
            module = build_module(self.cells, config, 1)
            module.n_steps = MANY
            if self.compiled:
                module.network.encoder.compile()
            trainer = build_trainer(config, config.output, has_validation=False)
            return fit(trainer, module, data, StepClock(self.seconds, self.n_warm))

    def save_untrained(self, folder: Path) -> None:
        """Save the network as it is before training, as a bundle."""
        network = build_module(self.cells, self.config, 1).network.eval()
        save_bundle(calibrated_bundle(network, self.cells, self.config), folder)

    def predictor(self) -> Predictor:
        """Return the network at work as in predict.py, untrained."""
        with tempfile.TemporaryDirectory() as folder:
            self.save_untrained(Path(folder) / "bundle")
            bundle = load_bundle(Path(folder) / "bundle")
        return Predictor(bundle, device=self.device.type, n_samples=len(self.cells.dataset.samples))

    def in_order(self) -> Iterator[CellBatch]:
        """Yield all cells on the device, in file order as predict.py reads them, again and again."""
        data = self.cells.dataset
        plan = SequentialPlan(data.n_rows("train"), self.batch_size)
        return chain.from_iterable(
            read_batches(data.files, data.rows["train"], plan, device=self.device) for _ in count()
        )

    def measure(self) -> dict[str, Figures]:
        """Return all measurements by name."""
        same, predictor = self.same(), self.predictor()
        repeated = (same for _ in count())
        return {
            "loader": self.repeat(self.stream()),
            "loader and assembly": self.repeat(self.stream(), self._assemble),
            "training, same batch": self.training(SameBatch(same)),
            "training": self.training(self.cells),
            "prediction, same batch": self.repeat(repeated, predictor.predict),
            "prediction": self.repeat(self.in_order(), predictor.predict),
        }

    def _assemble(self, batch: CellBatch) -> None:
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self._is_bf16):
            to_dense(batch)

    @property
    def _is_bf16(self) -> bool:
        return self.config.trainer.precision == "bf16-mixed"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure one batch size.")
    parser.add_argument("--path", type=Path, required=True, help="file or store to train on")
    parser.add_argument("--batch_size", type=int, required=True, help="cells")
    parser.add_argument("--accelerator", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="32-true")
    parser.add_argument("--compile", action="store_true", help="compile the encoder")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of each measurement")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bundle", type=Path, help="measure nothing; save the untrained network here")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure and print."""
    options = parse()
    quieten_lightning()
    pl.seed_everything(options.seed, verbose=False)
    config = TrainConfig(
        output=Path("unused"),
        data=DataConfig(files=str(options.path)),
        split=SplitConfig(val_share=0.0),
        trainer=TrainerConfig(
            max_epochs=MANY, accelerator=options.accelerator, devices=1, precision=options.precision, progress_bar=False
        ),
        tracking=TrackingConfig(mode="off"),
        seed=options.seed,
    )
    bench = StepBench(config, options.batch_size, seconds=options.seconds, compiled=options.compile)
    read_through(options.path)
    if options.bundle:
        bench.save_untrained(options.bundle)
    else:
        sys.stdout.write(json.dumps(bench.measure()) + "\n")


if __name__ == "__main__":
    main()
