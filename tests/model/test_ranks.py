"""A training whose other process died ends with one line and the right code, and waits for nobody."""

import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from model.ranks import RankWatch, lost_process
from schema.errors import InsufficientMemoryError, NeutrostageError, UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("code", "exit_code", "words"),
    [(-9, 6, "process 1 killed by SIGKILL"), (-11, 1, "process 1 ended with -11"), (5, 5, "process 1 ended with 5")],
)
def test_what_is_said_of_a_process_that_died(code, exit_code, words):
    fault = lost_process(1, code)
    assert fault.exit_code == exit_code
    assert words in str(fault)
    assert isinstance(fault, InsufficientMemoryError) is (code == -9)


@pytest.fixture
def trainer(monkeypatch):
    """Return a trainer whose one other process has ended with 3."""
    monkeypatch.setattr(RankWatch, "_processes", [])
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    process.wait()
    return SimpleNamespace(strategy=SimpleNamespace(launcher=SimpleNamespace(procs=[process])))


def watched(trainer, error):
    with RankWatch(trainer, "tool") as watch:
        watch._take_over()
        raise error


def test_an_error_of_this_process_gives_way_to_what_led_to_it(trainer):
    with pytest.raises(NeutrostageError, match="process 1 ended with 3") as caught:
        watched(trainer, RuntimeError("connection closed by peer"))
    assert caught.value.exit_code == 3


def test_an_error_with_a_line_of_its_own_keeps_it(trainer):
    with pytest.raises(UsageError, match="mine"):
        watched(trainer, UsageError("mine", got="x", where="y", fix="z"))


def test_alone_there_is_nothing_to_watch(monkeypatch):
    monkeypatch.setattr(RankWatch, "_processes", [])
    alone = SimpleNamespace(strategy=SimpleNamespace(launcher=None))
    with pytest.raises(RuntimeError, match="mine"):
        watched(alone, RuntimeError("mine"))
    assert not [thread for thread in threading.enumerate() if thread.name == "rank-watch" and not thread.daemon]


HUNG = """
import subprocess, sys, threading
from types import SimpleNamespace
from model import ranks
ranks._PATIENCE = 0.1
child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(5)"])
trainer = SimpleNamespace(strategy=SimpleNamespace(launcher=SimpleNamespace(procs=[child])))
with ranks.RankWatch(trainer, "tool"):
    threading.Event().wait()
"""


def test_a_process_that_waits_for_a_dead_one_is_ended():
    done = subprocess.run(
        [sys.executable, "-c", HUNG], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 5
    assert done.stderr.splitlines() == [
        "tool: error: all processes of a training must live: got process 1 ended with 5 in this training. "
        "See its lines above; --resume true goes on from the last checkpoint."
    ]
