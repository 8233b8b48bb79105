"""The module under Lightning: a training broken off within an epoch goes on bit for bit."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from model.augment import AugmentationConfig
from model.encoder import EncoderConfig
from model.network import Network, NetworkConfig
from model.training import OptimisationConfig, TrainingModule
from schema.batch import PADDING

N_BATCHES, N_EPOCHS, N_GENES, N_CELLS = 4, 2, 6, 40
EVERYTHING = {"thin_share": 0.3, "doublet_share": 0.2, "ambient_share": 0.1, "donor_share": 0.4}
EVERYTHING |= {"mixing_share": 0.5, "panel_share": 0.5}


class MemoryLoader:
    """Batches in memory that go on where a checkpoint says; a new one each epoch."""

    def __init__(self, batches, trainer):
        self.batches, self.trainer, self.first = batches, trainer, 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        yield from self.batches[self.first :]

    def state_dict(self):
        return {"batch": self.trainer.fit_loop.epoch_loop.batch_progress.current.processed}

    def load_state_dict(self, state):
        self.first = state["batch"]


class EveryStep(Callback):
    """Writes a checkpoint after every step."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, *_):
        trainer.save_checkpoint(self.folder / f"{trainer.global_step}.ckpt")


class MemoryCells(pl.LightningDataModule):
    def __init__(self, make_batch, n_types):
        super().__init__()
        self.make_batch, self.n_types = make_batch, n_types
        self.epochs = []

    def batches(self, epoch, name):
        rng = np.random.default_rng([epoch, len(name)])
        for _ in range(N_BATCHES):
            counts, sample = rng.poisson(100, size=(N_CELLS, N_GENES)), rng.integers(0, 3, N_CELLS)
            yield self.make_batch(counts, cell_type=rng.integers(-1, self.n_types, N_CELLS), sample=sample)

    def train_dataloader(self):
        self.epochs.append(self.trainer.current_epoch)
        return MemoryLoader(list(self.batches(self.epochs[-1], "cells")), self.trainer)

    def val_dataloader(self):
        *batches, last = self.batches(99, "val")
        padding = torch.where(torch.arange(N_CELLS) < 3, last.row, PADDING)
        return MemoryLoader([*batches, last._replace(row=padding)], self.trainer)


@pytest.fixture
def fit(make_batch, ontology, tmp_path):
    """Return a function that trains, writing a checkpoint after every step, and returns module, trainer and data."""

    def run(name, *, checkpoint=None, stop_after=None):
        pl.seed_everything(7 if checkpoint is None else 8, verbose=False)
        config = NetworkConfig(
            encoder=EncoderConfig(n_hidden=8, n_blocks=1, n_latent=4, dropout=0.5),
        )
        module = TrainingModule(
            Network(n_genes=N_GENES, n_leaves=len(ontology.leaves), config=config),
            ontology,
            OptimisationConfig(learning_rate=1e-2),
            AugmentationConfig(**EVERYTHING),
            seed=5,
            batch_size=4,
            n_steps=N_BATCHES * N_EPOCHS,
            label_counts=torch.ones(len(ontology.nodes)),
        )
        data = MemoryCells(make_batch, len(ontology.nodes))
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=N_EPOCHS,
            callbacks=[EveryStep(tmp_path / name)],
            enable_checkpointing=False,
            logger=False,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        if stop_after is not None:
            module.on_train_batch_end = lambda *_: setattr(trainer, "should_stop", trainer.global_step >= stop_after)
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
        return module, trainer, data

    return run


def assert_same_weights(module, other):
    here, there = module.state_dict(), other.state_dict()
    assert [name for name in here if not torch.equal(here[name], there[name])] == []


@pytest.mark.parametrize("step", [2, 6])
def test_a_training_broken_off_goes_on_bit_for_bit(fit, tmp_path, step):
    whole, whole_trainer, _ = fit("whole")
    fit("broken", stop_after=step)
    resumed, trainer, data = fit("resumed", checkpoint=tmp_path / "broken" / f"{step}.ckpt")
    assert_same_weights(resumed, whole)
    assert data.epochs == list(range((step - 1) // N_BATCHES, N_EPOCHS))
    assert trainer.global_step == whole_trainer.global_step == N_BATCHES * N_EPOCHS
    for name in ("val/cell_type/loss", "val/cell_type/f1_macro"):
        assert torch.equal(trainer.callback_metrics[name], whole_trainer.callback_metrics[name]), name
    schedules = [t.lr_scheduler_configs[0].scheduler.state_dict() for t in (trainer, whole_trainer)]
    assert schedules[0] == schedules[1]


def test_weights_move_and_depend_on_every_step(fit, tmp_path):
    """What the comparison above would not see: a training that does nothing, or that ignores what is drawn."""
    whole, _, _ = fit("whole")
    early = torch.load(tmp_path / "whole" / "6.ckpt", weights_only=True)["state_dict"]
    late = whole.state_dict()
    moved = [name for name in early if name.startswith("network.") and not torch.equal(early[name], late[name])]
    assert "network.encoder.first.weight" in moved
    assert "network.cell_type_head.members.0.2.weight" in moved
    assert "network.cell_type_head.log_prior" not in moved


def test_a_checkpoint_holds_plain_values_only(fit, tmp_path):
    fit("whole")
    checkpoint = torch.load(tmp_path / "whole" / "6.ckpt", weights_only=True)
    assert checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"] == [{"batch": 2}]
    assert checkpoint["lr_schedulers"][0]["last_epoch"] == 6
    assert not [name for name in checkpoint["state_dict"] if "metrics" in name or "tree" in name]
