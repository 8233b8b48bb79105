"""A run that was broken off goes on as if it had not been: alone, and as two processes."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

import train
from datamodules.simulate import SimulationConfig, simulate
from model.training import TrainingModule
from schema.command import parse_config
from schema.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow
LAST = Path("checkpoints/last.ckpt")

OPTIONS = ["--data.stage_scale", "mouse_carcinogenesis", "--trainer.max_epochs", "3", "--data.batch_size", "48"]
OPTIONS += ["--trainer.checkpoint_steps", "2"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    return simulate(SimulationConfig(output=folder, n_mice=2, n_held_out_mice=1, n_cells=50, n_genes=600, seed=1))


def arguments(cohort, output, *more):
    found = ["--config", str(ROOT / "configs/debug.yaml"), "--data.files", str(cohort[0]), "--output", str(output)]
    return [*found, *OPTIONS, *more]


def config(cohort, output, *more):
    return parse_config(train.TrainConfig, arguments(cohort, output, *more))


def weights(output):
    return load_file(output / "bundle" / "weights.safetensors")


def assert_same_weights(output, other):
    here, there = weights(output), weights(other)
    assert here.keys() == there.keys()
    assert [name for name in here if not torch.equal(here[name], there[name])] == []


def break_off_at(monkeypatch, step, after=None):
    """Let training fail when it comes to a step, between two checkpoints, once a path is there."""
    work = TrainingModule.training_step

    def failing(self, batch, batch_idx):
        if self.global_step == step and (after is None or after.exists()):
            raise KeyboardInterrupt
        return work(self, batch, batch_idx)

    monkeypatch.setattr(TrainingModule, "training_step", failing)


@pytest.fixture(scope="module")
def uninterrupted(cohort, tmp_path_factory):
    output = tmp_path_factory.mktemp("runs") / "whole"
    train.train(config(cohort, output))
    return output


def n_steps_per_epoch(output):
    return torch.load(output / LAST, weights_only=True)["global_step"] // 3


@pytest.mark.parametrize("place", ["first epoch", "second epoch", "first step of an epoch"])
def test_a_resumed_run_ends_with_the_same_weights(cohort, uninterrupted, tmp_path, monkeypatch, place):
    n_steps = n_steps_per_epoch(uninterrupted)
    assert n_steps > 8
    step = {"first epoch": 5, "second epoch": n_steps + 7, "first step of an epoch": 2 * n_steps}[place]
    with monkeypatch.context() as broken:
        break_off_at(broken, step)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train.train(config(cohort, tmp_path / "run"))
    assert not (tmp_path / "run" / "bundle").exists()
    train.train(config(cohort, tmp_path / "run", "--resume", "true"))
    assert_same_weights(tmp_path / "run", uninterrupted)


@pytest.mark.parametrize("n_done", [0, 7])
def test_a_run_broken_off_in_its_second_training_goes_on_there(cohort, uninterrupted, tmp_path, monkeypatch, n_done):
    run = tmp_path / "run"
    with monkeypatch.context() as broken:
        break_off_at(broken, n_done, after=run / train.VALIDATED)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train.train(config(cohort, run))
    assert not (run / "bundle").exists()
    assert (run / train.REFIT / LAST).exists() is (n_done > 0)
    train.train(config(cohort, run, "--resume", "true"))
    assert_same_weights(run, uninterrupted)
    assert [path.name for path in run.glob("log*")] == ["log"]


def test_the_learning_rate_goes_on_where_it_was(cohort, uninterrupted, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        break_off_at(broken, 9)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train.train(config(cohort, tmp_path / "run"))
    train.train(config(cohort, tmp_path / "run", "--resume", "true"))
    last = torch.load(tmp_path / "run" / LAST, weights_only=True)
    whole = torch.load(uninterrupted / LAST, weights_only=True)
    assert last["lr_schedulers"] == whole["lr_schedulers"]
    assert last["global_step"] == whole["global_step"]
    curves = [pd.read_csv(path / "metrics.csv") for path in sorted((tmp_path / "run").glob("log*"))]
    assert len(curves) == 2


def test_another_batch_size_is_refused(cohort, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        break_off_at(broken, 5)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train.train(config(cohort, tmp_path / "run"))
    with pytest.raises(UsageError, match=r"other values in data\.batch_size"):
        train.train(config(cohort, tmp_path / "run", "--resume", "true", "--data.batch_size", "64"))


def test_a_run_without_checkpoint_or_with_a_bundle_is_not_gone_on_with(cohort, uninterrupted, tmp_path):
    with pytest.raises(UsageError, match="goes on in its folder"):
        train.train(config(cohort, tmp_path / "none", "--resume", "true"))
    with pytest.raises(UsageError, match="finished run"):
        train.train(config(cohort, uninterrupted, "--resume", "true"))


def test_steps_between_checkpoints_are_at_least_one(cohort, tmp_path):
    with pytest.raises(UsageError, match=r"checkpoint_steps=0 in trainer"):
        config(cohort, tmp_path / "run", "--trainer.checkpoint_steps", "0")


SCRIPT = """
import os, sys
sys.path.insert(0, {root!r})
import train
from model.training import TrainingModule
from schema.command import run_command

stop, work = int(os.environ.get("STOP_AT", -1)), TrainingModule.training_step

def step(self, batch, batch_idx):
    if self.global_step == stop:
        os._exit(9)
    return work(self, batch, batch_idx)

TrainingModule.training_step = step
if __name__ == "__main__":
    sys.exit(run_command("train.py", train.main))
"""


def run_processes(script, n_processes, cohort, output, *more, stop_at=None):
    """Train with several processes on the CPU (gloo); all of them die at a step, as by kill -9, where one is given."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment |= {} if stop_at is None else {"STOP_AT": str(stop_at)}
    command = [sys.executable, str(script), *arguments(cohort, output, "--trainer.devices", str(n_processes), *more)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_two_processes_train_validate_and_resume(cohort, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(textwrap.dedent(SCRIPT.format(root=str(ROOT))))
    whole = run_processes(script, 2, cohort, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    metrics = pd.read_csv(tmp_path / "whole/log/metrics.csv")
    assert metrics["val/cell_type/f1_macro"].notna().sum() == 3
    broken = run_processes(script, 2, cohort, tmp_path / "run", stop_at=7)
    assert broken.returncode != 0
    assert not (tmp_path / "run" / "bundle").exists()

    alone = run_processes(script, 1, cohort, tmp_path / "run", "--resume", "true")
    assert alone.returncode == 2
    assert "number of processes" in alone.stderr
    assert "processes 1 instead of 2" in alone.stderr

    resumed = run_processes(script, 2, cohort, tmp_path / "run", "--resume", "true")
    assert resumed.returncode == 0, resumed.stderr
    assert_same_weights(tmp_path / "run", tmp_path / "whole")
