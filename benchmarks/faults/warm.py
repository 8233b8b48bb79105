"""What the process that runs are forked from imports beforehand."""

from __future__ import annotations

import predict
import train

SCRIPTS = {"predict": predict.main, "train": train.main}
"""Commands by name."""
