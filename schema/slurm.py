"""Slurm: a job that is warned of its end asks to be queued again, and goes on when it comes back."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess

logger = logging.getLogger(__name__)


def requeue(signum: int) -> None:
    """Ask Slurm to queue this job again, if the signal was its warning (SIGUSR1); elsewhere do nothing.

    Parameters
    ----------
    signum
        The signal that ended the run.
    """
    array, task = (os.environ.get(name) for name in ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"))
    job = f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")
    if signum != signal.SIGUSR1 or not re.fullmatch(r"[0-9_-]+", job):
        return
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, timeout=60)  # noqa: S603, S607
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("Slurm job %s was not queued again (%s): --resume true goes on", job, type(error).__name__)
    else:
        logger.info("Slurm job %s is queued again, and goes on from its checkpoint", job)


def is_requeued() -> bool:
    """Return whether this job ran before and was queued again."""
    count = os.environ.get("SLURM_RESTART_COUNT", "0")
    return count.isdigit() and int(count) > 0
