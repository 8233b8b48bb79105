"""Slurm's warning has the job queued again; nothing else does."""

import signal

import pytest

from schema.slurm import is_requeued, requeue


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Return a function that gives what scontrol was asked, in an environment without Slurm."""
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    command = tmp_path / "scontrol"
    command.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return lambda: (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""


def test_a_job_is_queued_again_after_its_warning_alone(asked, monkeypatch):
    requeue(signal.SIGUSR1)
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    requeue(signal.SIGTERM)
    assert asked() == ""
    requeue(signal.SIGUSR1)
    assert asked() == "requeue 77\n"


def test_a_job_of_an_array_has_two_numbers(asked, monkeypatch):
    for name, value in (("SLURM_JOB_ID", "80"), ("SLURM_ARRAY_JOB_ID", "77"), ("SLURM_ARRAY_TASK_ID", "3")):
        monkeypatch.setenv(name, value)
    requeue(signal.SIGUSR1)
    assert asked() == "requeue 77_3\n"


def test_what_is_no_number_is_not_run(asked, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "77; rm -r x")
    requeue(signal.SIGUSR1)
    assert asked() == ""


@pytest.mark.usefixtures("asked")
def test_without_scontrol_a_warning_says_what_to_do(monkeypatch, tmp_path, caplog):
    (tmp_path / "scontrol").unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    requeue(signal.SIGUSR1)
    assert caplog.messages == ["Slurm job 77 was not queued again (FileNotFoundError): --resume true goes on"]


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(("count", "expected"), [(None, False), ("0", False), ("2", True), ("x", False)])
def test_a_job_knows_that_it_came_back(monkeypatch, count, expected):
    if count is not None:
        monkeypatch.setenv("SLURM_RESTART_COUNT", count)
    assert is_requeued() is expected
