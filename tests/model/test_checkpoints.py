"""Checkpoints: whole or not at all, checked before they are gone on from, and never of a loss that is no number."""

import math
import os
import signal

import pytest
import pytorch_lightning as pl
import torch

from model.checkpoints import (
    BestCheckpoint,
    FiniteLoss,
    ResumeCheckpoint,
    WholeCheckpoints,
    newest_whole,
    read_checkpoint,
)
from schema.errors import InputError, OutputError, UsageError
from schema.signals import STOP, Stopped

CONTENT = {"step": 3, "weights": torch.arange(1000.0)}
WRITER = WholeCheckpoints()


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)


def test_a_checkpoint_comes_back_and_leaves_nothing_beside_it(tmp_path):
    WRITER.save_checkpoint(CONTENT, tmp_path / "new/last.ckpt")
    found = WRITER.load_checkpoint(tmp_path / "new/last.ckpt")
    assert found["step"] == 3
    assert torch.equal(found["weights"], CONTENT["weights"])
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["last.ckpt"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    WRITER.save_checkpoint(CONTENT, tmp_path / "last.ckpt")

    def fill(_, file):
        file.write(b"half")
        try:
            raise OSError(28, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos 13952 vs 13880")  # what torch makes of it

    monkeypatch.setattr("torch.save", fill)
    with pytest.raises(OutputError, match=r"no space left in last\.ckpt"):
        WRITER.save_checkpoint({"step": 4}, tmp_path / "last.ckpt")
    assert read_checkpoint(tmp_path / "last.ckpt")["step"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def test_nothing_in_a_checkpoint_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"x": Malicious()}, "last.ckpt")
    with pytest.raises(InputError, match=r"holds plain values: got UnpicklingError in last\.ckpt"):
        WRITER.load_checkpoint("last.ckpt", weights_only=False)
    assert not (tmp_path / "ran").exists()


def test_the_newest_whole_checkpoint_is_taken(tmp_path, caplog):
    assert newest_whole(tmp_path) is None
    for name in ("previous.ckpt", "last.ckpt"):
        WRITER.save_checkpoint(CONTENT, tmp_path / name)
    assert newest_whole(tmp_path) == tmp_path / "last.ckpt"
    assert caplog.messages == []
    flip_a_bit(tmp_path / "last.ckpt")
    assert newest_whole(tmp_path) == tmp_path / "previous.ckpt"
    assert caplog.messages == ["last.ckpt is missing or damaged: going on from previous.ckpt"]
    (tmp_path / "last.ckpt").unlink()
    assert newest_whole(tmp_path) == tmp_path / "previous.ckpt"
    (tmp_path / "previous.ckpt").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"got previous\.ckpt damaged"):
        newest_whole(tmp_path)


class Line(pl.LightningModule):
    """Fits one number to batches of it; the loss is what `losses` says, by step."""

    def __init__(self, losses=None):
        super().__init__()
        self.weight, self.losses = torch.nn.Parameter(torch.zeros(1)), losses or {}

    def training_step(self, batch, batch_idx):  # noqa: ARG002
        loss = ((self.weight - batch[0]) ** 2).mean()
        return loss * self.losses.get(self.global_step, 1.0)

    def validation_step(self, batch, batch_idx):  # noqa: ARG002
        self.log("val/score", self.weight[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def fit(tmp_path):
    """Return a function that trains for two epochs of four batches, with a callback that comes before ours."""

    def run(module=None, *callbacks, checkpoint=None, every=2):
        best = BestCheckpoint(dirpath=tmp_path, filename="best", monitor="val/score", mode="max")
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(4)), batch_size=1)
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=2,
            callbacks=[FiniteLoss(), *callbacks, best, ResumeCheckpoint(tmp_path, every)],
            plugins=[WRITER],
            logger=False,
            num_sanity_val_steps=0,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        module = module or Line()
        with STOP.heard(), STOP.deferred():
            trainer.fit(module, loader, loader, ckpt_path=checkpoint, weights_only=True)
        return module, trainer

    return run


class SignalAt(pl.Callback):
    def __init__(self, step, *signals):
        self.step, self.signals = step, signals

    def on_train_batch_start(self, trainer, *_):
        if trainer.global_step == self.step:
            for signum in self.signals:
                os.kill(os.getpid(), signum)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*GPU available.*")
@pytest.mark.filterwarnings("ignore:.*dataloader is not resumable.*")  # all its batches are alike
@pytest.mark.filterwarnings("ignore:.*number of training batches.*", "ignore:.*Checkpoint directory.*")
class TestTraining:
    def test_the_last_two_checkpoints_are_kept(self, fit, tmp_path):
        fit(every=1)
        steps = [read_checkpoint(tmp_path / name)["global_step"] for name in ("last.ckpt", "previous.ckpt")]
        assert steps == [8, 7]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt", "previous.ckpt"]

    @pytest.mark.parametrize(("step", "kept"), [(0, 1), (4, 5), (5, 6), (3, 3), (7, 7)])
    def test_a_signal_leaves_a_checkpoint_and_the_run_goes_on_alike(self, fit, tmp_path, step, kept):
        """On the last batch of an epoch, the checkpoint of the batch before it is the one."""
        whole, _ = fit()
        for path in tmp_path.iterdir():
            path.unlink()
        with pytest.raises(Stopped) as stopped:
            fit(None, SignalAt(step, signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM), every=1000)
        assert stopped.value.exit_code == 143
        assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == kept
        module, trainer = fit(checkpoint=newest_whole(tmp_path))
        assert trainer.global_step == 8
        assert torch.equal(module.weight, whole.weight)

    def test_lightning_s_own_answer_to_a_signal_is_not_in_place(self, fit):
        found = []

        class Look(pl.Callback):
            def on_train_batch_start(self, *_):
                found.append(signal.getsignal(signal.SIGTERM))

        fit(None, Look())
        assert set(found) == {STOP._answer}

    def test_a_loss_that_is_no_number_ends_the_run_before_it_is_written(self, fit, tmp_path):
        with pytest.raises(UsageError, match=r"must stay a number: got NaN or infinity .* step 3"):
            fit(Line({2: math.nan}), every=1)
        assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == 2

    def test_a_checkpoint_names_no_folder_and_a_moved_run_keeps_its_best(self, fit, tmp_path):
        _, trainer = fit()
        for path in tmp_path.iterdir():
            assert str(tmp_path).encode() not in path.read_bytes(), path.name
        assert trainer.checkpoint_callback.best_model_path == str(tmp_path / "best.ckpt")
        state = read_checkpoint(tmp_path / "last.ckpt")["callbacks"]
        (best,) = [state[key] for key in state if key.startswith("BestCheckpoint")]
        assert best["best_model_path"] == "best.ckpt"
        moved = BestCheckpoint(dirpath=tmp_path / "moved", filename="best", monitor="val/score")
        moved.load_state_dict(best)
        assert moved.best_model_path == str(tmp_path / "moved/best.ckpt")
        assert list(moved.best_k_models) == [str(tmp_path / "moved/best.ckpt")]
