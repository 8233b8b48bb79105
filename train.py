"""Train a bundle: config -> data and network -> fit -> calibrate -> fit anew on all donors -> bundle."""

from __future__ import annotations

if __name__ == "__main__":  # libraries take seconds to load
    from schema.signals import leave_at_once

    leave_at_once()

import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytorch_lightning as pl
import torch
import yaml
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.callbacks import Callback, LearningRateMonitor, RichProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger
from pytorch_lightning.strategies import DDPStrategy

from datamodules.cells import CellDataModule
from datamodules.data_config import DataConfig
from datamodules.splits import SplitConfig
from model.augment import AugmentationConfig
from model.bundle import Bundle, load_bundle, save_bundle
from model.calibrate import CalibrationConfig, calibrate
from model.checkpoints import (
    BEST,
    BestCheckpoint,
    FiniteLoss,
    ResumeCheckpoint,
    WholeCheckpoints,
    newest_whole,
    read_checkpoint,
)
from model.inference import Predictor
from model.made_labels import implied_labels, made_labels, wanted_droplets
from model.network import Network, NetworkConfig
from model.prior import leaf_prior
from model.ranks import RankWatch
from model.refit import carry_over
from model.stage_look import StagedSamples
from model.staging_fit import fit_staging
from model.training import OptimisationConfig, TrainingModule
from schema.command import flat_options, parse_config, plain_options, run_command
from schema.comparisons import PICTURES
from schema.disk import Hold, check_space
from schema.errors import OutputError, UsageError
from schema.labels import UNLABELLED
from schema.memory import check_memory
from schema.outputs import claim_empty, claim_files, drafting
from schema.predictions import ALL_CELLS, WITHOUT_NEUTROPHILS
from schema.provenance import describe_program
from schema.secrets import redacted
from schema.signals import STOP, Stopped
from schema.slurm import is_requeued, requeue
from schema.streams import show
from schema.tables import write_csv
from scoring.burden import BurdenReference
from scoring.comparison import Grouped
from scoring.detection import detection_limit, unread_types
from scoring.droplets import MIN_COUNTS, low_counts
from scoring.grouping import group_by_stage
from scoring.validation import SampleTable

logger = logging.getLogger(__name__)


CONFIG = "config.yaml"
"""The resolved config, in the run folder."""

CHECKPOINTS = "checkpoints"
"""What a run goes on from, in its folder or that of the second training."""

RUN_FILES = ("provenance.json", "split.csv", CONFIG)
"""What a run folder begins with."""

VALIDATED, REFIT = "validated", "refit"
"""In the run folder: the bundle that has not seen the validation donors, and the training that has."""

STAGE_METRIC = {ALL_CELLS: "tumor_stage", WITHOUT_NEUTROPHILS: "tumor_stage_without_neutrophils"}
"""What metrics of the stage are named after, by output."""

VALIDATION = "validation"
"""In the run folder: burden of the validation samples, as a table and in pictures."""

_BYTES_ANYHOW, _LOOKED_AT = 140 * 2**20, 1000
"""Of memory, what a small training takes; rows of each file from which counts per cell are taken."""

_PATIENCE = 20.0
"""Seconds that Weights & Biases may take to begin and to end."""

TRACKED = (
    *("n_cells", "n_denominator", "n_neutrophils", "burden_percent", "burden_low", "burden_high"),
    *("burden_denominator", "assessability", "flags"),
)
"""Columns of samples.csv that are tracked."""

_MAY_CHANGE = (
    *("output", "resume", "tracking.", "data.threads"),
    *("trainer.accelerator", "trainer.devices", "trainer.nodes", "trainer.checkpoint_steps", "trainer.progress_bar"),
    "trainer.timeout_minutes",
)
"""Beginnings of options that may differ when a run goes on; that the number of processes does not, the data see to."""


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Machine and length of the training."""

    max_epochs: int = 10
    """Epochs."""
    accelerator: str = "auto"
    """Lightning accelerator: auto, cpu, gpu."""
    devices: int | Literal["auto"] = "auto"
    """Devices per node."""
    nodes: int = 1
    """Nodes."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """Arithmetic of the network."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    checkpoint_steps: int = 1000
    """Steps between the checkpoints that a run goes on from; one is also written after each epoch."""
    timeout_minutes: int = 30
    """Of several processes, the longest that one waits for another before it ends with an error; more than calibration
    takes, which one does alone."""
    progress_bar: bool = True
    """Whether to show a progress bar on stderr, where that is a terminal."""

    def __post_init__(self) -> None:
        """Check ranges."""
        counts = {name: getattr(self, name) for name in ("max_epochs", "nodes", "checkpoint_steps", "timeout_minutes")}
        wrong = [f"{name}={value}" for name, value in counts.items() if value < 1]
        if wrong:
            raise UsageError("numbers are >= 1", got=", ".join(wrong), where="trainer", fix="Raise it.")


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Weights & Biases; the local CSV log is always written."""

    mode: Literal["offline", "online", "off"] = "offline"
    """offline writes wandb/ in the run folder, online sends it, off leaves it out. Never asks for anything."""
    project: str = "neutrostage"
    """Project name."""
    name: str | None = None
    """Run name; None = name of the run folder."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Train cell types, tumour stage and calibration on labelled counts; writes a run folder with a bundle."""

    output: Path
    """Run folder to make; a used one is refused."""
    data: DataConfig = field(default_factory=DataConfig)
    """Files and batches."""
    split: SplitConfig = field(default_factory=SplitConfig)
    """Which donors train."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Shape of the network."""
    optimisation: OptimisationConfig = field(default_factory=OptimisationConfig)
    """Losses and rates."""
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    """What is made of training cells."""
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    """What is wanted of the calls on held-out donors."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Machine and length."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Experiment log."""
    refit: bool = True
    """Whether the network is trained anew on all donors after it was chosen and calibrated on the validation donors;
    takes as long again. The bundle that has not seen them stays beside it (validated/)."""
    seed: int = 0
    """Seed of split, order, initial weights and augmentation."""
    resume: bool = False
    """Go on from the last checkpoint in the run folder, with the config that it was begun with; from the beginning
    where there is none yet. A Slurm job that was queued again does so by itself."""


def train(config: TrainConfig) -> Path:
    """Train and return the folder of the bundle.

    Raises
    ------
    NeutrostageError
        If config, data or output folder do not allow a right result.
    """
    quieten_lightning()
    goes_on = config.resume or (is_requeued() and (config.output / CONFIG).is_file())
    checkpoint = checkpoint_to_resume(config) if goes_on else None
    if _is_first_process() and not goes_on:
        claim_empty(config.output)
    cells = CellDataModule(config.data, config.split, config.seed)
    cells.prepare()
    if _is_first_process() and not goes_on:
        write_run_files(cells, config)
    with held(config.output), tidied(config.output):
        train_bundles(cells, config, checkpoint)
    return config.output / "bundle"


def train_bundles(cells: CellDataModule, config: TrainConfig, checkpoint: Path | None) -> None:
    """Train on the training donors, calibrate on the others, then train on all; write the bundle of each."""
    is_first, refits = _is_first_process(), config.refit and any(cells.dataset.n_rows("val"))
    if not is_validated(config.output):
        module = fit(cells, config, config.output, checkpoint).cpu()
        checkpoint = None
        if is_first:
            bundle = calibrated_bundle(module.network.eval(), cells, config)
            if any(cells.dataset.n_rows("val")):
                track_burden(validation_burden(bundle, cells, config.seed), bundle, config)
            save_bundle(bundle, config.output / (VALIDATED if refits else "bundle"))
    if refits:
        logger.info("training anew on all donors, those of the validation among them")
        everyone = cells.joined()
        module = fit(everyone, config, config.output / REFIT, checkpoint).cpu()
        if is_first:
            save_bundle(refitted_bundle(module.network.eval(), cells, everyone, config), config.output / "bundle")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep a run folder for this run, all of whose processes work under the lock of the first.

    Raises
    ------
    OutputError
        If another run is at work there.
    """
    hold = Hold.on(folder) if _is_first_process() else None
    if hold is None and _is_first_process():
        raise OutputError(
            "one run at a time trains in a folder", got="another at work", where=folder.name, fix="Wait for it to end."
        )
    try:
        yield
    finally:
        if hold is not None:
            hold.release()


def is_validated(output: Path) -> bool:
    """Return whether a run folder holds the bundle of a first training, so that the second is what is left."""
    return (output / VALIDATED).exists()


def fit(cells: CellDataModule, config: TrainConfig, folder: Path, checkpoint: Path | None) -> TrainingModule:
    """Train a new network, from its beginning or from a checkpoint, and return it with its best weights."""
    pl.seed_everything(config.seed, verbose=False)
    trainer = build_trainer(config, folder, has_validation=any(cells.dataset.n_rows("val")))
    module = build_module(cells, config, trainer.world_size)
    check_space(folder, expected_bytes(module))
    needed = expected_memory(module, cells) * trainer.num_devices
    check_memory(needed, where="the training", fix="Lower --data.batch_size or --data.eval_batch_size.")
    with STOP.deferred(), RankWatch(trainer, "train.py"):
        trainer.fit(module, datamodule=cells, ckpt_path=checkpoint, weights_only=True)
    if trainer.is_global_zero:
        load_best(module, folder / CHECKPOINTS / BEST)
    return module


def expected_bytes(module: TrainingModule) -> int:
    """Return about how many bytes four checkpoints take (last, previous, best, one in the making) with two moments."""
    return 4 * 3 * sum(int(value.nbytes) for value in module.state_dict().values())


def expected_memory(module: TrainingModule, cells: CellDataModule) -> int:
    """Return about how many bytes of memory a process takes to train from here on.

    Weights with gradients, two moments and the best ones read back; a dense batch and what is made of it, in training
    or validation; the window that is shuffled; and what does not depend on either. Held against peaks in docs/log.md.
    """
    reads, eval_batch, encoder = cells.reads, cells.data.eval_batch_size, module.network.encoder
    weights = sum(int(value.nbytes) for value in module.state_dict().values())
    dense = 4 * cells.dataset.vocabulary.n_genes * 1.2 * max(reads.batch_size, eval_batch)
    layers = 4 * 4 * max(reads.batch_size, eval_batch) * (encoder.first.out_features + encoder.n_latent)
    stores = [file.store for file in cells.dataset.files]
    entries = max(store.max_entries(np.arange(min(_LOOKED_AT, store.n_cells))) / _LOOKED_AT for store in stores)
    window = 6 * entries * max(reads.window_rows, reads.batch_size)
    return int(_BYTES_ANYHOW + 5 * weights + dense + layers + window)


def build_module(cells: CellDataModule, config: TrainConfig, world: int) -> TrainingModule:
    """Return what Lightning trains, for this many processes."""
    label_counts = torch.from_numpy(cells.dataset.training_labels())
    return TrainingModule(
        build_network(cells, config.network),
        cells.dataset.ontology,
        config.optimisation,
        wanted_droplets(config.augmentation, label_counts, cells.dataset.ontology),
        seed=config.seed,
        batch_size=cells.reads.batch_size * world,
        n_steps=cells.n_training_batches(world) * config.trainer.max_epochs,
        label_counts=label_counts,
        drawn_counts=torch.from_numpy(cells.drawn_labels()),
    )


def checkpoint_to_resume(config: TrainConfig) -> Path | None:
    """Return the checkpoint that a run goes on from; None where the training has not written one yet.

    Raises
    ------
    UsageError
        If the folder is none of a run, the run is done, or the config is not the one it was begun with.
    InputError
        If all checkpoints are damaged.
    """
    where = config.output.name
    if not (config.output / CONFIG).is_file():
        raise UsageError("a run goes on in its folder", got="none", where=where, fix="Train without --resume.")
    if (config.output / "bundle").exists():
        raise UsageError("a finished run is not gone on with", got="a bundle", where=where, fix="Use the bundle.")
    begun = flat_options(yaml.safe_load((config.output / CONFIG).read_text(encoding="utf-8")))
    now = flat_options(plain_options(config, keep_paths=True))
    changed = sorted(name for name in begun.keys() | now.keys() if begun.get(name) != now.get(name))
    if other := [name for name in changed if not name.startswith(_MAY_CHANGE)]:
        raise UsageError(
            "a run goes on with the config that it was begun with",
            got=f"other values in {', '.join(other)}",
            where=where,
            fix=f"Give --config {config.output / CONFIG} --resume true.",
        )
    return newest_whole((config.output / REFIT if is_validated(config.output) else config.output) / CHECKPOINTS)


def build_network(cells: CellDataModule, config: NetworkConfig) -> Network:
    """Return a new network that fits the data and holds the mean expression of the training cells."""
    network = Network(
        n_genes=cells.dataset.vocabulary.n_genes,
        n_leaves=len(cells.dataset.ontology.leaves),
        config=config,
    )
    network.encoder.gene_mean.copy_(torch.from_numpy(cells.dataset.gene_mean))
    return network


def build_trainer(config: TrainConfig, folder: Path, *, has_validation: bool) -> pl.Trainer:
    """Return Lightning's trainer with log and checkpoints in a folder, and progress on stderr."""
    best = BestCheckpoint(
        dirpath=folder / CHECKPOINTS,
        filename=Path(BEST).stem,
        monitor="val/cell_type/f1_macro" if has_validation else None,
        mode="max",
        enable_version_counter=False,
    )
    last = ResumeCheckpoint(folder / CHECKPOINTS, config.trainer.checkpoint_steps)
    callbacks: list[Callback] = [FiniteLoss(), EpochLine(), LearningRateMonitor("epoch"), best, last]
    show_bar = config.trainer.progress_bar and sys.stderr.isatty()
    if show_bar:
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    return pl.Trainer(
        accelerator=config.trainer.accelerator,
        devices=config.trainer.devices,
        num_nodes=config.trainer.nodes,
        strategy=_strategy(config.trainer),
        plugins=_plugins(),
        precision=config.trainer.precision,
        max_epochs=config.trainer.max_epochs,
        gradient_clip_val=config.trainer.gradient_clip,
        logger=build_loggers(config, folder),
        callbacks=callbacks,
        limit_val_batches=1.0 if has_validation else 0,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        enable_progress_bar=show_bar,
        enable_model_summary=False,
        log_every_n_steps=10,
    )


def _strategy(config: TrainerConfig) -> DDPStrategy | Literal["auto"]:
    """Return how processes train together, with the longest that they wait for each other; alone, nothing special."""
    n_gpus = torch.cuda.device_count() if config.accelerator in ("auto", "gpu", "cuda") else 0
    n_devices = max(1, n_gpus) if config.devices == "auto" else config.devices
    if n_devices * config.nodes == 1:
        return "auto"
    return DDPStrategy(timeout=timedelta(minutes=config.timeout_minutes))


def _plugins() -> list[Any]:
    """Return our writer of checkpoints, and Slurm without Lightning's own answer to its warning."""
    slurm = [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else []
    return [WholeCheckpoints(), *slurm]


def quieten_lightning() -> None:
    """Silence what Lightning says about its own insides or choices made on purpose, and all ranks but one."""
    if not _is_first_process():
        logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for message in (
        ".*isinstance.treespec, LeafSpec.*",  # Lightning's own use of a torch function
        ".*IterableDataset.*has `__len__` defined.*",  # our stream's length is the plan's, on every rank
        ".*does not have many workers.*",  # the stream reads ahead in a thread of its own
        ".*GPU available but not used.*",
        ".*number of training batches.*smaller than the logging interval.*",  # short runs are fine
        ".*sync_dist=True.*",  # torchmetrics has joined the ranks already
        ".*Checkpoint directory .* exists and is not empty.*",  # a run that goes on
        ".*all_gather is deprecated.*",  # Lightning's own use of a torch function
    ):
        warnings.filterwarnings("ignore", message=message)


class EpochLine(Callback):
    """Logs one line per epoch, for logs without a progress bar."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # noqa: ARG002
        """Log the validation metrics."""
        values = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        text = "  ".join(f"{name} {value:.3f}" for name, value in sorted(values.items()))
        logger.info("epoch %d/%s  %s", trainer.current_epoch + 1, trainer.max_epochs, text)


def build_loggers(config: TrainConfig, folder: Path) -> list[Logger]:
    """Return the CSV log (log/metrics.csv; log-2 after a resume) and, unless off, Weights & Biases.

    Weights & Biases follow the training that is validated; the second, on all donors, is in its CSV log alone.
    """
    n_before = len(list(folder.glob("log*")))
    loggers: list[Logger] = [CSVLogger(folder, name=f"log-{n_before + 1}" if n_before else "log", version="")]
    if config.tracking.mode != "off" and folder == config.output and _is_first_process():
        loggers.append(_wandb_logger(config))
    return loggers


def _is_first_process() -> bool:
    """Return whether this process is the one that writes; with several devices, Lightning starts the others."""
    ranks = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def _wandb_logger(config: TrainConfig) -> Logger:
    """Return a Weights & Biases run that asks nothing, waits for nobody and writes down no place of this machine."""
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):  # not at home, which may be read-only
        os.environ.setdefault(name, str(Path(tempfile.gettempdir()) / "neutrostage-wandb"))
    import wandb
    from pytorch_lightning.loggers import WandbLogger

    class Tracking(WandbLogger):
        """Weights & Biases; when their service dies, one warning says so and the CSV log goes on alone."""

        def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
            """Log, while somebody is there."""
            with _tracking():
                super().log_metrics(metrics, step)

    logging.getLogger("wandb").addFilter(lambda record: False)  # noqa: ARG005 - debug.log would name folders
    settings = wandb.Settings(
        console="off",
        silent=True,
        x_disable_meta=True,
        x_disable_stats=True,
        save_code=False,
        init_timeout=_PATIENCE,
        finish_timeout=_PATIENCE,
    )
    options = {
        "project": redacted(config.tracking.project),
        "name": redacted(config.tracking.name or config.output.name),
        "dir": config.output,
        "config": plain_options(config),
        "settings": settings,
    }
    if config.tracking.mode == "online" and (run := _online_run(options)):
        return Tracking(experiment=run)
    return Tracking(experiment=wandb.init(mode="offline", **options))


def _online_run(options: dict[str, Any]) -> Any | None:
    """Return a run that is sent; None, with a warning, where there is no key or nobody answers."""
    import wandb

    try:
        if wandb.login(prompt=False):
            return wandb.init(mode="online", **options)
        reason = "has no key (set WANDB_API_KEY)"
    except (wandb.errors.Error, OSError) as error:
        reason = f"cannot be reached ({type(error).__name__})"
    logger.warning("Weights & Biases %s: this run is logged offline", reason)
    wandb.teardown()
    return None


@contextmanager
def _tracking() -> Iterator[None]:
    """Let a service that died cost one warning, never a training."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - wandb says it in errors of many kinds, and none is worth a training
        if not getattr(_tracking, "is_lost", False):
            logger.warning("Weights & Biases stopped (%s): log/metrics.csv goes on", type(error).__name__)
        _tracking.is_lost = True  # type: ignore[attr-defined]


@contextmanager
def tidied(folder: Path) -> Iterator[None]:
    """End the tracking with the run, and leave none of its own logs, which name places of this machine."""
    try:
        yield
    finally:
        wandb = sys.modules.get("wandb")
        if wandb is not None and wandb.run is not None and _is_first_process():
            for end in (wandb.finish, wandb.teardown):
                with _tracking():
                    end()
            for path in (*folder.glob("wandb/*run-*/logs"), *folder.glob("wandb/*run-*/tmp")):
                shutil.rmtree(path, ignore_errors=True)
            for path in folder.glob("wandb/debug*.log"):
                path.unlink(missing_ok=True)


def write_run_files(cells: CellDataModule, config: TrainConfig) -> None:
    """Make the run folder with the resolved config, where everything comes from, and the split."""
    table = cells.dataset.samples.drop(columns="file")
    if cells.dataset.scale is not None:
        names = [level.name for level in cells.dataset.scale.levels]
        table["tumor_stage"] = [names[code] if code != UNLABELLED else "" for code in table["tumor_stage"]]
    provenance_, split, config_ = RUN_FILES
    with drafting(config.output, partial(claim_empty, config.output)) as draft:
        (draft.path / provenance_).write_text(json.dumps(provenance(cells, config), indent=1), encoding="utf-8")
        write_csv(table, draft.path / split)
        options = yaml.safe_dump(plain_options(config, keep_paths=True), sort_keys=False)
        (draft.path / config_).write_text(options, encoding="utf-8")
        draft.publish(RUN_FILES)


def load_best(module: TrainingModule, path: Path) -> None:
    """Put the weights of the best epoch back into the module; without validation they are those of the last."""
    module.load_state_dict(read_checkpoint(path)["state_dict"])


def calibrated_bundle(network: Network, cells: CellDataModule, config: TrainConfig) -> Bundle:
    """Calibrate on the validation donors, learn the stage from the training samples and return the bundle."""
    ontology = cells.dataset.ontology
    calibration = calibrate(
        network,
        ontology,
        training=partial(cells.batches, "train"),
        held_out=partial(cells.batches, "val"),
        donor=donor_of_samples(cells),
        config=config.calibration,
    )
    bundle = Bundle(
        network=network,
        config=config.network,
        ontology=ontology,
        scale=cells.dataset.scale,
        vocabulary=cells.dataset.vocabulary,
        **what_trained(cells, config),
        **vars(calibration),
    )
    return with_stage(with_limit(bundle), cells, config.seed)


def refitted_bundle(network: Network, cells: CellDataModule, everyone: CellDataModule, config: TrainConfig) -> Bundle:
    """Return the bundle of the network trained on all donors, calibrated as the validated one was."""
    bundle = carry_over(
        load_bundle(config.output / VALIDATED),
        network,
        training=partial(cells.batches, "train"),
        held_out=partial(cells.batches, "val"),
        donor=donor_of_samples(cells),
        all_cells=partial(everyone.batches, "train"),
    )
    return with_stage(with_limit(replace(bundle, **what_trained(everyone, config))), everyone, config.seed)


def donor_of_samples(cells: CellDataModule) -> torch.Tensor:
    """Return the donor of each sample, numbered from 0, int64 `[n_samples]`."""
    donors = cells.dataset.samples["donor_id"].astype("category").cat
    return torch.from_numpy(donors.codes.to_numpy(dtype=np.int64))


def with_limit(bundle: Bundle) -> Bundle:
    """Return the bundle with the limit of detection of the burden."""
    limit = detection_limit(bundle.confusion, bundle.ontology)
    if limit is None:
        logger.warning("No limit of detection is known: it takes two held-out donors")
    elif unread := unread_types(bundle.confusion, bundle.training_labels, bundle.ontology):
        logger.warning(
            "Held-out donors have no cells of %d types that were learnt, so how often these are taken for neutrophils "
            "is not in the limit of detection: %s. Hold out donors that have them (split.val_donors)",
            len(unread),
            ", ".join(unread),
        )
    return replace(bundle, detection_limit=limit)


def with_stage(bundle: Bundle, cells: CellDataModule, seed: int) -> Bundle:
    """Return the bundle with heads for the stage, fitted on the training samples whose stage is known."""
    if bundle.scale is None:
        return bundle
    table = cells.dataset.staged_samples()
    donor, study = (np.asarray(table[name].astype("category").cat.codes, np.int64) for name in ("donor_id", "study"))
    samples = StagedSamples(
        sample=table.index.to_numpy(dtype=np.int64),
        level=table["tumor_stage"].to_numpy(dtype=np.int64),
        donor=donor,
        study=study,
        n_cells=table["n_cells"].to_numpy(dtype=np.int64),
    )
    fitted = fit_staging(
        bundle.network,
        bundle.temperatures,
        bundle.ontology,
        samples,
        batches=partial(cells.batches, "train"),
        n_levels=len(bundle.scale.levels),
        seed=seed,
    )
    if fitted is None:
        logger.warning("No stage is learnt: it takes samples of two stages from two donors")
        return replace(bundle, staging=None, stage_support=None)
    for output, support in fitted.support.items():
        if not support.is_supported:
            logger.warning("Stage (%s) not supported by these data: %s", output, support.reason)
    metrics = {
        f"folds/{STAGE_METRIC[row['output']]}/{name}": row[name]
        for row in fitted.rows
        if row["chosen"]
        for name in ("quadratic_kappa", "mae")
    }
    return replace(
        bundle,
        staging=fitted.staging,
        stage_support=fitted.support,
        checks={**bundle.checks, "stage": fitted.rows},
        metrics={**bundle.metrics, **metrics},
    )


def validation_burden(bundle: Bundle, cells: CellDataModule, seed: int) -> Grouped:
    """Return the burden of the validation samples, by their stage where it is known.

    The network has not seen these donors. The intervals draw error rates of the same donors, so they say how burden
    varies with cells and donors, not how well it would be covered elsewhere.
    """
    dataset = cells.dataset
    predictor = Predictor(bundle, device="auto", n_samples=len(dataset.samples))
    sums = SampleTable(len(dataset.samples), bundle.ontology, bundle.rules, bundle.call_prior, seed=seed)
    for batch in cells.batches("val"):
        library_size = batch.library_size.cpu().numpy()
        found = predictor.predict(batch, left_out=low_counts(library_size, MIN_COUNTS))
        n_genes = batch.indptr.diff().cpu().numpy().astype(np.int32)
        sums.update(batch.sample.cpu().numpy(), library_size, n_genes, found.probabilities, found.novelty)
    reference = BurdenReference(bundle.confusion, bundle.training_prior.double().numpy())
    names = [str(name) for name in dataset.samples["sample_id"]]
    table = sums.table(names, reference, knows_neutrophils=bundle.knows_neutrophils)
    codes, levels = dataset.samples["tumor_stage"], bundle.scale.levels if bundle.scale is not None else ()
    stage = ["" if code == UNLABELLED or not levels else levels[code].name for code in codes]
    is_held_out = (dataset.samples["split"] == "val").to_numpy()
    table = table.assign(tumor_stage=stage)[is_held_out].reset_index(drop=True)
    return group_by_stage(table, bundle.scale, "tumor_stage")


def track_burden(burden: Grouped, bundle: Bundle, config: TrainConfig) -> None:
    """Write table and pictures of the validation samples (validation/); Weights & Biases get the same, unless off."""
    from scoring.pictures import draw_pictures  # takes seconds to import

    folder = config.output / VALIDATION
    table = burden.samples[["sample_id", "group", *TRACKED]]
    names = ("burden.csv", *PICTURES)
    with drafting(folder, partial(claim_files, folder, names, overwrite=True)) as draft:
        pictures = draw_pictures(burden, bundle.ontology, draft.path)
        write_csv(table, draft.path / "burden.csv")
        draft.publish((*pictures, "burden.csv"), replaced=names)
    if config.tracking.mode == "off":
        return
    import wandb

    if wandb.run is not None:  # none where a run goes on after its validation
        shown = [name for name in pictures if name.endswith(".png")]
        with _tracking():
            images = {f"validation/{Path(name).stem}": wandb.Image(str(folder / name)) for name in shown}
            page = table.to_html(index=False, float_format="{:.4g}".format)  # a wandb.Table would name a folder
            wandb.run.log({"validation/burden": wandb.Html(page), **images})


def what_trained(cells: CellDataModule, config: TrainConfig) -> dict[str, Any]:
    """Return the fields of a bundle that say what a network was trained on."""
    ontology, counts = cells.dataset.ontology, cells.dataset.training_labels()
    labels = torch.from_numpy(counts)
    augmentation = wanted_droplets(config.augmentation, labels, ontology)
    return {
        "training_labels": {ontology.nodes[i].id: int(counts[i]) for i in np.flatnonzero(counts)},
        "training_prior": leaf_prior(implied_labels(labels, ontology, augmentation), ontology),
        "made_labels": made_labels(labels, ontology, augmentation),
        "provenance": provenance(cells, config),
    }


def provenance(cells: CellDataModule, config: TrainConfig) -> dict[str, Any]:
    """Return what makes the run again: seed, versions, commit, config, fingerprints of the data, samples by split."""
    return {
        "seed": config.seed,
        "program": describe_program(),
        "config": plain_options(config),
        "chosen": asdict(cells.reads),
        "data": [
            {**file.store.fingerprint(), "species": species}
            for file, species in zip(cells.dataset.files, cells.dataset.species, strict=True)
        ],
        "samples": {str(name): int(n) for name, n in cells.dataset.samples["split"].value_counts().items()},
    }


def main() -> None:
    """Read the command line and train; print the bundle's path.

    Asked to stop, the first process says so with its exit code; the others end well, or Lightning would kill it.
    """
    config = parse_config(TrainConfig)
    try:
        show([train(config)])
    except Stopped as stop:
        if _is_first_process():
            requeue(stop.signum)
            raise


if __name__ == "__main__":
    sys.exit(run_command("train.py", main))
