"""What the process that runs are forked from does beforehand: imports, and one prediction where it is told of one."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import predict
import train
from schema.command import parse_config

SCRIPTS = {"predict": predict.main, "train": train.main}
"""Commands by name."""

VARIABLE = "NEUTROSTAGE_WARM_UP"
"""Environment variable with a command line of predict.py, a JSON list, to which an output folder is added."""


def _warm_up(arguments: list[str]) -> None:
    """Predict once, so that what is compiled or read once is there for all."""
    with tempfile.TemporaryDirectory() as scratch:
        output = str(Path(scratch) / "out")
        predict.predict(parse_config(predict.PredictConfig, [*arguments, "--output", output], positional="input"))


if VARIABLE in os.environ:
    _warm_up(json.loads(os.environ[VARIABLE]))
