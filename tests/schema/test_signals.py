"""What ends a run: at once, or where nothing is lost; the first signal counts."""

import os
import signal

import pytest

from schema.command import run_command
from schema.signals import STOP


def send(*signals):
    for signum in signals:
        os.kill(os.getpid(), signum)


@pytest.mark.parametrize(
    ("signum", "code"),
    [(signal.SIGTERM, 143), (signal.SIGUSR1, 143), (signal.SIGINT, 130)],
    ids=["TERM", "USR1", "INT"],
)
def test_a_signal_ends_a_command_in_one_line(capsys, signum, code):
    before = signal.getsignal(signum)
    assert run_command("tool", lambda: send(signum)) == code
    assert capsys.readouterr().err == f"tool: stopped by {signum.name}\n"
    assert signal.getsignal(signum) is before


def test_a_second_signal_does_no_harm():
    done = []

    def main():
        try:
            send(signal.SIGTERM)
        finally:
            send(signal.SIGTERM, signal.SIGINT)
            done.append("tidied")

    assert run_command("tool", main) == 143
    assert done == ["tidied"]


def test_a_deferred_signal_waits_for_the_end_of_the_block():
    done = []

    def main():
        with STOP.deferred():
            send(signal.SIGUSR1, signal.SIGTERM)
            done.append(STOP.asked)
        done.append("not reached")

    assert run_command("tool", main) == 143
    assert done == [signal.SIGUSR1]


def test_what_was_asked_is_said_whatever_else_failed():
    def main():
        with STOP.deferred():
            send(signal.SIGTERM)
            raise ZeroDivisionError

    assert run_command("tool", main) == 143
    assert run_command("tool", lambda: None) == 0


def test_blocks_inside_each_other_are_one():
    done = []

    def main():
        with STOP.deferred():
            with STOP.deferred():
                send(signal.SIGTERM)
            done.append("inner ended")
        done.append("not reached")

    assert run_command("tool", main) == 143
    assert done == ["inner ended"]


def test_tidying_up_after_a_signal_is_not_torn_by_it():
    done = []

    def main():
        try:
            send(signal.SIGTERM)
        finally:
            with STOP.deferred():
                done.append("tidied")
            done.append("all of it")

    assert run_command("tool", main) == 143
    assert done == ["tidied", "all of it"]
