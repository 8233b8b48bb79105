"""Tracking: planted secrets, names of machine and user, barcodes; no network, a wrong key, a service that dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import anndata as ad

from benchmarks.faults.injection import (
    Ended,
    Happening,
    Injection,
    Script,
    predict_arguments,
    run,
    train_arguments,
)
from benchmarks.faults.materials import Materials

ROW = "tracking"

SECRETS = {
    "WANDB_API_KEY": "5ec2e7" * 6 + "abcd",
    "AWS_SECRET_ACCESS_KEY": "planted/Secret+of+the+environment",
    "HF_TOKEN": "hf_PlantedTokenOfTheEnvironment",
    "USER": "plantedusername",
    "LOGNAME": "plantedusername",
    "HOSTNAME": "plantedhostname",
}
"""Planted in the environment."""

TOKEN = "ghp_PlantedTokenOfAnOption0123456789"  # noqa: S105 - planted
BARCODE = "PLANTEDBARCODE"
NOWHERE = "http://127.0.0.1:9"
"""Where nobody listens."""


def nothing_is_told(materials: Materials, folder: Path) -> Happening:
    """Train and predict with secrets planted all around, and look through every byte that was written."""
    folder = folder / "planted-folder"
    folder.mkdir()
    files = {}
    for name, path in {"training": materials.training, "good": materials.good}.items():
        adata = ad.read_h5ad(path)
        adata.obs_names = [f"{BARCODE}-{number}" for number in range(adata.n_obs)]
        files[name] = folder / f"{name}.h5ad"
        adata.write_h5ad(files[name])
    planted = Materials(files["training"], files["good"], materials.bundle)
    named = ("--tracking.mode", "offline", "--tracking.name", f"run-{TOKEN}")
    ended = run(train_arguments(planted, folder / "run", *named), environment=SECRETS)
    problems = ended.problems(0)
    ended = run(predict_arguments(planted, folder / "out", "--report", "true"), environment=SECRETS)
    problems += ended.problems(0)
    for output in (folder / "run", folder / "out"):
        for path in output.rglob("*"):
            if path.is_file():
                text = path.read_bytes()
                problems += [
                    f"{word!r} in {path.relative_to(folder)}" for word in _unwanted(path, folder) if word in text
                ]
    return ended.happening(problems)


def _unwanted(path: Path, folder: Path) -> list[bytes]:
    """Return what must not be in a file: config.yaml alone says where files are, tables of cells name barcodes."""
    words = [*SECRETS.values(), TOKEN]
    words += [] if path.name == "config.yaml" else [str(folder), str(Path.home()), str(Path.cwd())]
    words += [] if path.name in ("annotated.h5ad", "cells.parquet", "stage_cells.csv") else [BARCODE]
    return [word.encode() for word in words if len(word) > 1 and word != "/root"]


def goes_offline(environment: Mapping[str, str], words: str) -> Callable[[Materials, Path], Happening]:
    """Return what trains online where that cannot be, and counts what it costs."""

    def inject(materials: Materials, folder: Path) -> Happening:
        arguments = train_arguments(materials, folder / "run", "--tracking.mode", "online")
        ended = run(arguments, environment={"HOME": str(folder), **environment})
        problems = _costs_one_warning(ended, words)
        problems += [] if list(folder.glob("run/wandb/offline-run-*/*.wandb")) else ["no log offline"]
        return ended.happening([*problems, *([] if (folder / "run/log/metrics.csv").exists() else ["no log"])])

    return inject


def service_dies(materials: Materials, folder: Path) -> Happening:
    """Kill the service of Weights & Biases while a training is at work."""
    arguments = train_arguments(materials, folder / "run", "--tracking.mode", "offline", epochs=8)
    with Script(arguments) as script:
        script.wait_for(folder / "run/checkpoints/last.ckpt")
        for child in Path(f"/proc/{script.process.pid}/task/{script.process.pid}/children").read_text().split():
            if b"wandb" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)
        ended = script.end()
    problems = _costs_one_warning(ended, "Weights & Biases stopped")
    return ended.happening([*problems, *([] if (folder / "run/bundle").exists() else ["no bundle"])])


def _costs_one_warning(ended: Ended, words: str) -> list[str]:
    lines = [line for line in ended.log.splitlines() if "Weights & Biases" in line or "wandb" in line.lower()]
    problems = [] if ended.code == 0 else [f"exit {ended.code}"]
    problems += [] if len(lines) == 1 and words in lines[0] else [f"{len(lines)} lines of it: {lines[:3]}"]
    return problems + (["a traceback"] if "Traceback" in ended.log else [])


INJECTIONS = [
    Injection(
        row=ROW,
        name="keys, tokens, names of user and host, paths and barcodes planted",
        expected="none of them is in what is written",
        run=nothing_is_told,
    ),
    Injection(
        row=ROW,
        name="online without a key",
        expected="offline, one warning",
        run=goes_offline({"WANDB_API_KEY": ""}, "has no key"),
    ),
    Injection(
        row=ROW,
        name="online, and nobody answers",
        expected="offline, one warning",
        run=goes_offline({"WANDB_API_KEY": "0123456789" * 4, "WANDB_BASE_URL": NOWHERE}, "cannot be reached"),
    ),
    Injection(
        row=ROW,
        name="online with a key that is none",
        expected="offline, one warning",
        run=goes_offline({"WANDB_API_KEY": "short", "WANDB_BASE_URL": NOWHERE}, "cannot be reached"),
    ),
    Injection(row=ROW, name="its service dies", expected="one warning, and the bundle", run=service_dies),
]
