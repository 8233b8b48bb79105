from itertools import chain
from types import SimpleNamespace

import pytest
import torch

from benchmarks import step_process
from benchmarks.loader_set import SetConfig
from benchmarks.step import CPU_CASES, CUDA_CASES, chosen_cases, parse
from benchmarks.step_clock import FETCH, SameBatch, StepClock
from benchmarks.step_page import page, predict_words, rate, step_table, target_table, wait_share


class Clock:
    """Stands for the time module; `now` is set by the test."""

    now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("benchmarks.step_clock.time", clock)
    return clock


def run(step_clock, clock, steps):
    """Run (batch index, seconds of fetching, seconds of computing) steps; return the step that ended the training."""
    trainer = SimpleNamespace(is_last_batch=False, should_stop=False, global_step=0)
    module = SimpleNamespace(device=torch.device("cpu"))
    for number, (index, fetching, computing) in enumerate(steps):
        step_clock.fetch.start(FETCH)
        clock.now += fetching
        step_clock.fetch.stop(FETCH)
        step_clock.fetch.start("other")
        clock.now += computing
        step_clock.fetch.stop("other")
        trainer.global_step += 1
        step_clock.on_train_batch_end(trainer, module, None, SimpleNamespace(n_cells=10), index)
        if trainer.should_stop:
            return number
    return None


def test_steps_are_added_from_end_to_end_without_the_first_of_an_epoch(clock):
    step_clock = StepClock(limit_seconds=100, n_warm=1)
    assert run(step_clock, clock, [(0, 50, 50), (1, 1, 3), (2, 2, 2), (0, 50, 50), (1, 1, 7)]) is None
    assert step_clock.figures() == {"n_steps": 3, "n_cells": 30, "seconds": 16.0, "wait_seconds": 4.0}


def test_warm_steps_are_not_counted(clock):
    step_clock = StepClock(limit_seconds=100, n_warm=3)
    run(step_clock, clock, [(0, 1, 1), (1, 1, 1), (2, 1, 1), (3, 1, 4)])
    assert step_clock.figures() == {"n_steps": 1, "n_cells": 10, "seconds": 5.0, "wait_seconds": 1.0}


def test_the_training_ends_after_the_seconds_asked_for(clock):
    assert run(StepClock(limit_seconds=4, n_warm=1), clock, [(index, 1, 1) for index in range(9)]) == 3


def test_the_same_batch_comes_again_and_again(make_batch):
    batch = make_batch([[1, 2], [0, 3]])
    stream = iter(SameBatch(batch).train_dataloader())
    assert [next(stream) is batch for _ in range(3)] == [True] * 3


def figures(n_cells, seconds, **more):
    return {"n_cells": n_cells, "seconds": seconds, **more}


def row(number, device, batch_size, assembled, wait):
    rates = {"loader": figures(9_000, 1.0), "loader and assembly": figures(assembled, 2.0)}
    steps = {"training, same batch": figures(600, 2.0), "training": figures(500, 2.0, wait_seconds=wait)}
    predictions = {"prediction, same batch": figures(80, 0.5), "prediction": figures(70, 0.5)}
    case = {"round": number, "device": device, "kind": "packed", "batch_size": batch_size}
    return case | rates | steps | predictions


CPU = [row(0, "cpu", 4096, 6_000, 0.08), row(1, "cpu", 4096, 8_000, 0.09), row(0, "cpu", 256, 1, 1.0)]
CUDA = [row(0, "cuda, bf16", 4096, 1_990_000, 0.12)]


def test_rates_and_waiting_are_shares_of_what_was_counted():
    assert rate("loader and assembly")(CPU[0]) == 3_000
    assert wait_share(CPU[0]) == 0.04


def test_the_table_has_a_line_per_device_format_and_batch_size():
    text = step_table(CPU)
    assert "| cpu | packed | 4,096 | 9,000 | 3,500 (3,000-4,000) | 300 | 250 | 4.2 (4.0-4.5) | 160 | 140 |" in text
    assert "| cpu | packed | 256 |" in text


def test_targets_are_of_the_large_batch():
    assert target_table(CPU).splitlines()[2:] == ["| cpu, packed: wait | < 5% | 4.2% | met |"]
    of_gpu = target_table(CUDA).splitlines()[2:]
    assert of_gpu[0] == "| cuda, bf16, packed: wait | < 5% | 6.0% | **not met** |"
    assert of_gpu[1] == "| cuda, bf16, packed: assembled, cells/s | >= 1,000,000 | 995,000 | **not met** |"


def test_the_whole_command_is_in_cells_per_second():
    assert "20.0 (10.0-30.0) s, 3,000 cells/s" in predict_words([{"seconds": s} for s in (10, 30, 20)], 60_000)


def test_the_page_fills_every_place_and_says_that_there_was_no_gpu():
    words = {"command": "python -m benchmarks.step", "date": "2026-01-01", "commit": "abc", "hardware": "2 cores"}
    rest = {"quick": False, "versions": {"torch": "2"}, "set": vars(SetConfig()), "n_rounds": 2, "seconds": 10.0}
    results = words | rest | {"rows": CPU, "predict_commands": [{"seconds": 10.0}]}
    text = page(results)
    assert "{" not in text
    assert "No CUDA device was found" in text
    assert "quick run" not in text
    assert "No CUDA device" not in page(results | {"rows": CPU + CUDA, "quick": True})


def test_every_case_has_a_command_that_its_process_reads():
    for case in chain(CPU_CASES, CUDA_CASES):
        options = step_process.parse([*case.options, "--path", "x", "--batch_size", "256"])
        assert (options.accelerator == "gpu") == case.device.startswith("cuda")
        assert options.compile == ("compiled" in case.device)


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert chosen_cases("auto") == CPU_CASES
    with pytest.raises(SystemExit, match="CUDA"):
        chosen_cases("cuda")
    assert parse(["--output", "x"]).device == "auto"
