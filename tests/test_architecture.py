"""The walls of the house stand: each import contract holds, and is seen to catch a broken import."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("schema", "datamodules", "model", "scoring")
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(folder):
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def house(tmp_path):
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("model/network.py", "import datamodules.order", "Rooms know schema and never each other"),
        ("schema/names.py", "import model.tree", "Rooms know schema and never each other"),
        ("scoring/burden.py", "import predict", "Nothing imports the scripts"),
        ("scoring/burden.py", "import h5py", "anndata, h5py and zarr live in datamodules only"),
        ("datamodules/order.py", "import wandb", "wandb lives in train.py only"),
        ("model/network.py", "import pytorch_lightning", "Lightning enters model/ through training.py"),
        ("scoring/burden.py", "import torch", "scoring works on arrays and frames"),
    ],
)
def test_a_broken_import_is_caught(house, file, line, contract):
    path = house / file
    path.write_text(path.read_text().replace("from __future__ import annotations\n", f"import os\n{line}\n", 1))
    code, text = lint(house)
    assert code == 1
    assert any(contract in row and "BROKEN" in row for row in text.splitlines()), text


def test_the_house_as_it_stands_keeps_all_contracts(house):
    code, text = lint(house)
    assert code == 0, text


def test_every_file_of_model_but_training_is_behind_the_lightning_fence():
    fenced = (ROOT / "pyproject.toml").read_text()
    for path in (ROOT / "model").glob("*.py"):
        if path.stem not in {"__init__", "training", "checkpoints", "ranks"}:
            assert f'"model.{path.stem}"' in fenced, path.name


@pytest.mark.parametrize(
    ("script", "forbidden"),
    [
        ("train.py", {"anndata", "h5py", "zarr", "scanpy"}),
        ("predict.py", {"anndata", "h5py", "zarr", "scanpy", "wandb"}),
    ],
)
def test_scripts_reach_files_through_datamodules(script, forbidden):
    names = set()
    for node in ast.walk(ast.parse((ROOT / script).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    assert "datamodules" in names
    assert not names & forbidden


def test_there_is_no_room_for_leftovers():
    assert [path.name for path in ROOT.glob("*/utils.py")] == []
