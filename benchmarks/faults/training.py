"""Training: signals, kill -9, full disks, damaged checkpoints, a loss that is none, processes that die."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.faults.injection import Ended, Happening, Injection, Script, run, train_arguments
from benchmarks.faults.materials import Materials

ROW = "training"
LAST = Path("checkpoints/last.ckpt")
N_KILLS = 6
"""Random moments at which a training is killed, each time to go on."""

_LONG, _SECONDS = 500, 30.0


def stopped(*signals: signal.Signals, when: str = str(LAST), code: int = 143) -> Callable[[Materials, Path], Happening]:
    """Return what sends signals to a training once a file of its folder is there, and lets it go on."""

    def inject(materials: Materials, folder: Path) -> Happening:
        output = folder / "run"
        with Script(train_arguments(materials, output, epochs=_LONG)) as script:
            if when:
                script.wait_for(output / when)
            else:
                time.sleep(1)
            script.send(*signals)
            ended = script.end()
        problems = ended.problems(code) if not when else ended.problems(code, "stopped by")
        problems += [f"{ended.seconds:.0f} s until its end"] if ended.seconds > _SECONDS else []
        if when:
            problems += _goes_on(materials, output)
        elif any(folder.iterdir()):
            problems.append("something was left behind")
        return ended.happening(problems)

    return inject


def slurm(materials: Materials, folder: Path) -> Happening:
    """Warn a job of Slurm (SIGUSR1), queue it again and let it go on by itself."""
    (folder / "bin").mkdir()
    command = folder / "bin/scontrol"
    command.write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\n')
    command.chmod(0o755)
    job = {"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"}
    job |= {"SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_JOB_NODELIST": "localhost", "SLURM_NODELIST": "localhost"}
    job |= {"PATH": f"{command.parent}:{os.environ['PATH']}"}
    output = folder / "run"
    with Script(train_arguments(materials, output, epochs=_LONG), environment=job) as script:
        script.wait_for(output / LAST)
        script.send(signal.SIGUSR1)
        ended = script.end()
    problems = ended.problems(143, "stopped by SIGUSR1")
    asked = (folder / "asked").read_text().strip() if (folder / "asked").exists() else "nothing"
    problems += [] if asked == "requeue 77" else [f"Slurm was asked: {asked}"]
    before = _steps(output)
    again = train_arguments(materials, output, epochs=_LONG)
    with Script(again, environment=job | {"SLURM_RESTART_COUNT": "1"}) as script:
        script.wait_for(output / "log-2")
        time.sleep(1)
        script.send(signal.SIGTERM)
        problems += script.end().problems(143)
    return ended.happening([*problems, *([] if _steps(output) >= before else ["it began anew"])])


def kills(n_kills: int) -> Callable[[Materials, Path], Happening]:
    """Return what kills a training at random moments, lets it go on each time, and compares its end with another's."""

    def inject(materials: Materials, folder: Path) -> Happening:
        whole, broken = folder / "whole", folder / "broken"
        often = ("--trainer.checkpoint_steps", "1")
        run(train_arguments(materials, whole, *often, epochs=6))
        problems = list[str]()
        for moment in np.random.default_rng(1).uniform(0.1, 2.5, n_kills).tolist():
            more = ("--resume", "true") if (broken / "config.yaml").exists() else ()
            with Script(train_arguments(materials, broken, *often, *more, epochs=6)) as script:
                script.wait_for(broken / f"log{'-' + str(_n_logs(broken) + 1) if _n_logs(broken) else ''}")
                time.sleep(moment)
                script.send(signal.SIGKILL)
                script.end()
            if (broken / LAST).exists():
                torch.load(broken / LAST, weights_only=True)
        more = ("--resume", "true") if not (broken / "bundle").exists() else ()
        ended = run(train_arguments(materials, broken, *often, *more, epochs=6)) if more else Ended(0, "", "", 0)
        problems += ended.problems(0)
        return ended.happening(problems or _other_curve(whole, broken))

    return inject


def full_disk(materials: Materials, folder: Path) -> Happening:
    """Let checkpoints grow no further than a part of what they take, once there is a whole one."""
    output = folder / "run"
    with Script(train_arguments(materials, output, epochs=_LONG)) as script:
        script.wait_for(output / LAST)
        script.send(signal.SIGTERM)
        script.end()
    size = (output / LAST).stat().st_size

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))

    before = _steps(output)
    with Script(train_arguments(materials, output, "--resume", "true", epochs=_LONG), before=limited) as script:
        ended = script.end()
    problems = ended.problems(5, "the disk must have room")
    problems += [] if _steps(output) == before else ["the last whole checkpoint is not what it was"]
    return ended.happening([*problems, *_goes_on(materials, output)])


def damaged(names: tuple[str, ...], code: int, *words: str) -> Callable[[Materials, Path], Happening]:
    """Return what flips a bit in the middle of checkpoints before a training goes on."""

    def inject(materials: Materials, folder: Path) -> Happening:
        output = folder / "run"
        with Script(train_arguments(materials, output, "--trainer.checkpoint_steps", "1", epochs=_LONG)) as script:
            script.wait_for(output / "checkpoints/previous.ckpt")
            script.send(signal.SIGTERM)
            script.end()
        for name in names:
            path = output / "checkpoints" / name
            flipped = bytearray(path.read_bytes())
            flipped[len(flipped) // 2] ^= 1
            path.unlink()
            path.write_bytes(flipped)
        if code == 0:
            return Happening(0, "", _goes_on(materials, output, *words))
        ended = run(train_arguments(materials, output, "--resume", "true", epochs=_LONG))
        return ended.happening(ended.problems(code, *words))

    return inject


damaged_last = damaged(("last.ckpt",), 0, "previous.ckpt")


def not_a_number(materials: Materials, folder: Path) -> Happening:
    """Train with a rate at which the loss leaves the numbers."""
    ended = run(train_arguments(materials, folder / "run", "--optimisation.learning_rate", "1e30"))
    return ended.happening(ended.problems(2, "the loss must stay a number"))


def other_world(materials: Materials, folder: Path) -> Happening:
    """Go on with two processes where there was one."""
    output = folder / "run"
    with Script(train_arguments(materials, output, epochs=_LONG)) as script:
        script.wait_for(output / LAST)
        script.send(signal.SIGTERM)
        script.end()
    ended = run(train_arguments(materials, output, "--resume", "true", "--trainer.devices", "2", epochs=_LONG))
    return ended.happening(ended.problems(2, "number of processes"))


def lost_process(materials: Materials, folder: Path) -> Happening:
    """Kill one of two processes."""
    output = folder / "run"
    with Script(train_arguments(materials, output, "--trainer.devices", "2", epochs=_LONG)) as script:
        script.wait_for(output / LAST)
        for child in _children(script.process.pid):
            os.kill(child, signal.SIGKILL)
        ended = script.end()
    problems = ended.problems(6, "must live")
    return ended.happening(problems + ([f"{ended.seconds:.0f} s"] if ended.seconds > _SECONDS else []))


def two_at_once(materials: Materials, folder: Path) -> Happening:
    """Go on with a training that is still at work."""
    output = folder / "run"
    with Script(train_arguments(materials, output, epochs=_LONG)) as script:
        script.wait_for(output / LAST)
        ended = run(train_arguments(materials, output, "--resume", "true", epochs=_LONG))
        script.send(signal.SIGTERM)
        problems = script.end().problems(143)
    return ended.happening([*problems, *ended.problems(5, "another at work")])


def _goes_on(materials: Materials, output: Path, *words: str) -> list[str]:
    """Return what is wrong with a training that goes on where another was stopped, and is stopped too."""
    before, n_logs = _steps(output), _n_logs(output)
    with Script(train_arguments(materials, output, "--resume", "true", epochs=_LONG)) as script:
        script.wait_for(output / f"log-{n_logs + 1}")
        time.sleep(1)
        script.send(signal.SIGTERM)
        ended = script.end()
    problems = ended.problems(143) + ([] if _steps(output) >= before else ["it began anew"])
    return problems + [f"it did not say {word!r}" for word in words if word not in ended.log]


def _steps(output: Path) -> int:
    """Return the steps that stand in the last whole checkpoint; 0 where there is none."""
    for name in ("last.ckpt", "previous.ckpt"):
        try:
            return int(torch.load(output / "checkpoints" / name, weights_only=True)["global_step"])
        except (OSError, RuntimeError):
            continue
    return 0


def _n_logs(output: Path) -> int:
    return len(list(output.glob("log*")))


def _other_curve(whole: Path, broken: Path) -> list[str]:
    """Return in what the losses of two trainings differ: those of steps that were logged twice, the later ones."""
    name = "val/cell_type/loss"
    expected = pd.read_csv(whole / "log/metrics.csv").dropna(subset=[name]).set_index("step")[name]
    logs = [path / "metrics.csv" for path in sorted(broken.glob("log*"), key=lambda path: path.stat().st_mtime)]
    frames = [pd.read_csv(path) for path in logs if path.exists()]
    found = pd.concat([frame for frame in frames if name in frame]).dropna(subset=[name])
    curve = found.drop_duplicates("step", keep="last").set_index("step")[name]
    shared = curve.index.intersection(expected.index)
    same = len(shared) and np.array_equal(curve[shared].to_numpy(), expected[shared].to_numpy())
    return [] if same else ["another loss curve"]


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    lines = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in text.split()}
    return [child for child, line in lines.items() if b"train.py" in line]


TERM, USR1, INT = signal.SIGTERM, signal.SIGUSR1, signal.SIGINT

INJECTIONS = [
    *(
        Injection(row=ROW, name=name, expected=expected, run=inject)
        for name, expected, inject in (
            ("SIGTERM while libraries are loaded", "exit 143, nothing is left", stopped(TERM, when="")),
            ("SIGTERM in the first epoch", "exit 143 and a checkpoint within 30 s", stopped(TERM, when="log")),
            ("SIGTERM, SIGTERM, SIGUSR1 in training", "the same", stopped(TERM, TERM, USR1)),
            ("SIGUSR1 in training", "the same", stopped(USR1)),
            ("Ctrl-C in training", "exit 130 and a checkpoint", stopped(INT, code=130)),
            ("SIGUSR1 under Slurm", "queued again, and goes on by itself", slurm),
            (f"kill -9 at {N_KILLS} random moments", "the same loss curve in the end", kills(N_KILLS)),
            ("no checkpoint may grow beyond half its size", "exit 5, the last one is whole", full_disk),
            ("a bit of last.ckpt flipped", "goes on from the one before", damaged_last),
            (
                "a bit of both checkpoints flipped",
                "exit 3",
                damaged(("last.ckpt", "previous.ckpt"), 3, "must be whole"),
            ),
            ("a loss that is no number", "exit 2, one line", not_a_number),
            ("another number of processes at --resume", "exit 2, one line", other_world),
            ("one of two processes killed", "exit 6, no hang", lost_process),
            ("--resume while the training is at work", "exit 5", two_at_once),
        )
    ),
]
