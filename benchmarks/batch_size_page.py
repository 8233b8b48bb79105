"""The page of batch sizes and learning rates in Markdown, from the rows as measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.markdown import table
from model.training import HIGHEST_RATE, REFERENCE_BATCH, REFERENCE_RATE, usual_learning_rate

Row = Mapping[str, Any]

PAGE = Path(__file__).with_name("batch_size_page.md")
QUICK = "**A quick run on a small cohort, to see that it works; no figure here can be quoted.**\n"
LOSS, F1 = "val/cell_type/loss", "val/cell_type/f1_macro"


def values(rows: Sequence[Row], name: str, batch_size: int, rate: float) -> list[float]:
    """Return a metric of all seeds of a cell of the grid."""
    return [row[name] for row in rows if (row["batch_size"], row["learning_rate"]) == (batch_size, rate)]


def best_rate(rows: Sequence[Row], batch_size: int) -> float:
    """Return the rate with the lowest mean validation loss at a batch size."""
    rates = sorted({row["learning_rate"] for row in rows})
    return float(min(rates, key=lambda rate: mean(values(rows, LOSS, batch_size, rate))))


def grid(rows: Sequence[Row], name: str) -> str:
    """Return a metric by batch size (rows) and learning rate (columns)."""
    sizes, rates = (sorted({row[key] for row in rows}) for key in ("batch_size", "learning_rate"))

    def shown(size: int, rate: float) -> str:
        got = values(rows, name, size, rate)
        return f"{mean(got):.3f} ({min(got):.3f}-{max(got):.3f})"

    body = [[f"{size:,}", *(shown(size, rate) for rate in rates)] for size in sizes]
    return table(["batch", *(f"{rate:g}" for rate in rates)], body)


def best_table(rows: Sequence[Row]) -> str:
    """Return for each batch size the best rate and the rate of the rule."""
    sizes = sorted({row["batch_size"] for row in rows})
    body = [[f"{size:,}", f"{best_rate(rows, size):g}", f"{usual_learning_rate(size):.2g}"] for size in sizes]
    return table(["batch", "best rate", "rate of the rule"], body)


def page(results: Mapping[str, Any]) -> str:
    """Return the page; see `benchmarks.batch_size.main` for what results hold."""
    rows = results["rows"]
    names = ("command", "date", "commit", "hardware", "n_epochs", "n_hidden")
    return PAGE.read_text(encoding="utf-8").format(
        **{name: results[name] for name in names},
        quick=QUICK if results["quick"] else "",
        cohort=", ".join(f"`{name}` {value:,}" for name, value in results["cohort"].items()),
        seeds=", ".join(str(seed) for seed in results["seeds"]),
        loss_table=grid(rows, LOSS),
        f1_table=grid(rows, F1),
        rule=f"{REFERENCE_RATE:g} at {REFERENCE_BATCH}, with the square root of the batch, at most {HIGHEST_RATE:g}",
        best_table=best_table(rows),
    )
