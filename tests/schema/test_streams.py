"""Results on stdout, whoever reads it or not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from schema.command import run_command
from schema.streams import show
sys.exit(run_command("tool", lambda: show(["a", "\\u65e5\\u672c", b"\\xff".decode(errors="surrogateescape")])))
"""


def run(stdout, environment=None, **options):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=os.environ | (environment or {}),
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        **options,
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize("environment", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_names_go_out_as_the_bytes_that_they_are(environment):
    assert run(subprocess.PIPE, environment) == (0, b"a\n\xe6\x97\xa5\xe6\x9c\xac\n\xff\n", "")


def test_nobody_reads():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run(writer)[::2] == (0, "")
    finally:
        os.close(writer)


def test_stdout_is_closed():
    assert run(None, preexec_fn=lambda: os.close(1))[::2] == (0, "")


def test_stdout_is_on_a_full_disk():
    with Path("/dev/full").open("w") as full:
        code, _, log = run(full)
    assert code == 5
    assert log.splitlines()[0].startswith("tool: error: the disk must have room for the results: got no space left")
    assert len(log.splitlines()) == 1
