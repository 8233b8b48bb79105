import pytest

from benchmarks.memory import parse
from benchmarks.memory_page import excess, memory_table, page, peaks, verdicts
from benchmarks.spread import Spread


def row(step, n_cells, peak, number=0, seconds=10.0):
    return {"step": step, "n_cells": n_cells, "round": number, "seconds": seconds, "peak_mib": peak}


ROWS = [
    *(row("train.py", 0, 500.0), row("predict.py", 0, 400.0)),
    *(row("train.py", 10_000, 700.0), row("train.py", 100_000, 740.0), row("train.py", 10_000, 720.0, 1, 12.0)),
    *(row("predict.py", 10_000, 500.0), row("predict.py", 100_000, 509.0)),
]


def test_peaks_are_above_the_imports_of_their_step():
    assert peaks(ROWS, "train.py") == {10_000: Spread(210.0, 200.0, 220.0), 100_000: Spread(240.0, 240.0, 240.0)}


@pytest.mark.parametrize(("medians", "share"), [((100.0, 110.0), 0.1), ((110.0, 100.0), 0.1), ((5.0,), 0.0)])
def test_the_excess_is_of_the_largest_over_the_smallest(medians, share):
    assert excess({n: Spread(m, m, m) for n, m in enumerate(medians)}) == pytest.approx(share)


def test_the_table_and_the_verdicts():
    text = memory_table(ROWS)
    assert "| train.py | 10,000 | 710 (700-720) | 210 (200-220) | 1.00 | 11 (10-12) |" in text
    assert "| train.py | 100,000 | 740 | 240 | 1.14 | 10 |" in text
    trained, predicted = verdicts(ROWS).splitlines()
    assert trained.endswith("14 % above the smallest: **not met**")
    assert predicted.endswith("9 % above the smallest: met")


def test_the_page_fills_every_place():
    words = {"command": "python -m benchmarks.memory", "date": "2026-01-01", "commit": "abc", "hardware": "2 cores"}
    sizes = {"seed": 0, "n_genes": 1_000, "n_samples": 40, "n_rounds": 1, "options": {"trainer.max_epochs": "1"}}
    text = page({**words, **sizes, "quick": False, "rows": ROWS})
    assert "2026-01-01, commit abc, 2 cores" in text
    assert "{" not in text
    assert "of 1,000 genes" in text
    assert "train.py 500 MiB, predict.py 400 MiB" in text
    assert "quick" not in text
    assert "quick run" in page({**words, **sizes, "quick": True, "rows": ROWS})


def test_the_command_line_reads():
    assert parse(["--output", "x", "--rounds", "3"]).rounds == 3
