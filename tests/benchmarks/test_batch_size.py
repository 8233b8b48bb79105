"""The study of batch sizes: what it reads from a log, and its page."""

import pytest

from benchmarks.batch_size import last_metrics
from benchmarks.batch_size_page import best_rate, page

ROWS = [
    {"batch_size": size, "learning_rate": rate, "seed": seed, "val/cell_type/loss": loss, "val/cell_type/f1_macro": f1}
    for size, rate, seed, loss, f1 in [
        (128, 1e-3, 0, 0.5, 0.7),
        (128, 1e-3, 1, 0.3, 0.9),
        (128, 2e-3, 0, 0.2, 0.5),
        (128, 2e-3, 1, 0.8, 0.5),
        (2048, 1e-3, 0, 0.9, 0.1),
        (2048, 1e-3, 1, 0.9, 0.1),
        (2048, 2e-3, 0, 0.6, 0.4),
        (2048, 2e-3, 1, 0.6, 0.4),
    ]
]


def test_the_best_rate_has_the_lowest_mean_loss():
    assert best_rate(ROWS, 128) == 1e-3
    assert best_rate(ROWS, 2048) == 2e-3


def test_the_last_value_of_a_metric_counts(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,val/a,train/b,val/c\n1,0.5,3,\n2,,4,7\n3,0.25,,\n")
    assert last_metrics(tmp_path / "metrics.csv") == {"val/a": 0.25, "val/c": 7.0}


def test_the_page_puts_the_rule_beside_what_was_best():
    about = {"command": "c", "date": "2026-11-30", "commit": "abc", "hardware": "h", "n_epochs": 4, "n_hidden": 256}
    text = page(about | {"quick": False, "cohort": {"n_cells": 2000}, "seeds": [0, 1], "rows": ROWS})
    assert "| 128 | 0.400 (0.300-0.500) | 0.500 (0.200-0.800) |" in text
    assert "| 2,048 | 0.002 | 0.008 |" in text
    assert "quick" not in text


def test_a_quick_page_says_so():
    about = {"command": "c", "date": "2026-11-30", "commit": "abc", "hardware": "h", "n_epochs": 1, "n_hidden": 256}
    with pytest.raises(KeyError):
        page(about)
    assert "no figure here can be quoted" in page(about | {"quick": True, "cohort": {}, "seeds": [0], "rows": ROWS})
