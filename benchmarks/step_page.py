"""The page of whole steps in Markdown, from the rows as measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown import table
from benchmarks.spread import Spread, figure

Row = Mapping[str, Any]
Case = tuple[str, str, int]
"""Device, format and batch size."""

PAGE = Path(__file__).with_name("step_page.md")
QUICK = " **A quick run: one short round on a small set, to see that it works; no figure here can be quoted.**"
NO_CUDA = "\nNo CUDA device was found: bf16 and compiled encoders on a GPU were not measured.\n"
TARGET_BATCH = 4096
MOST_WAIT, LEAST_ASSEMBLED = 0.05, 1e6
"""Largest share of waiting, and least cells per second assembled on a GPU, at batches of `TARGET_BATCH`."""

RATES = ("loader", "loader and assembly", "training, same batch", "training")
PREDICTION = ("prediction, same batch", "prediction")


def rate(name: str) -> Callable[[Row], float]:
    """Return the function that gives cells per second of a measurement."""
    return lambda row: float(row[name]["n_cells"] / row[name]["seconds"])


def wait_share(row: Row) -> float:
    """Return the share of the training's wall time in which the loader was waited for."""
    return float(row["training"]["wait_seconds"] / row["training"]["seconds"])


def cases(rows: Sequence[Row]) -> list[Case]:
    """Return devices, formats and batch sizes in the order they came."""
    return list(dict.fromkeys((r["device"], r["kind"], r["batch_size"]) for r in rows))


def spread(rows: Sequence[Row], case: Case, value: Callable[[Row], float]) -> Spread:
    """Return the spread of a figure over the rounds of a case."""
    return Spread.of([value(r) for r in rows if (r["device"], r["kind"], r["batch_size"]) == case])


def step_table(rows: Sequence[Row]) -> str:
    """Return rates and waiting of every case."""
    header = ["device", "format", "batch", "loader", "assembled", "compute", "training", "wait, %"]
    header += ["compute, prediction", "prediction"]
    body = []
    for case in cases(rows):
        rates, predictions = (
            [figure(spread(rows, case, rate(name))) for name in names] for names in (RATES, PREDICTION)
        )
        wait = figure(spread(rows, case, lambda row: 100 * wait_share(row)), 1)
        body.append([*case[:2], f"{case[2]:,}", *rates, wait, *predictions])
    return "Cells per second:\n\n" + table(header, body)


def target_table(rows: Sequence[Row]) -> str:
    """Return each target with what was measured, and whether it is met."""
    body = []
    for case in (case for case in cases(rows) if case[2] == TARGET_BATCH):
        wait = spread(rows, case, wait_share)
        body.append(
            [f"{case[0]}, {case[1]}: wait", f"< {MOST_WAIT:.0%}", f"{wait.median:.1%}", _met(wait.median < MOST_WAIT)]
        )
        if case[0].startswith("cuda"):
            got = spread(rows, case, rate("loader and assembly"))
            verdict = _met(got.median >= LEAST_ASSEMBLED)
            body.append(
                [f"{case[0]}, {case[1]}: assembled, cells/s", f">= {LEAST_ASSEMBLED:,.0f}", figure(got), verdict]
            )
    return table(["target", "wanted", "measured", "verdict"], body)


def predict_words(commands: Sequence[Row], n_cells: int) -> str:
    """Return what the whole command took."""
    seconds = Spread.of([row["seconds"] for row in commands])
    return (
        "The whole command on the raw h5ad, with start-up, burden, tables, the annotated file and the report, on a "
        f"CPU: {figure(seconds, 1)} s, {n_cells / seconds.median:,.0f} cells/s."
    )


def page(results: Mapping[str, Any]) -> str:
    """Return the page; see `benchmarks.step.measure` for what results hold."""
    names = ("command", "date", "commit", "hardware", "n_rounds")
    return PAGE.read_text(encoding="utf-8").format(
        **{name: results[name] for name in names},
        **{name: f"{results['set'][name]:,}" for name in ("n_cells", "n_genes", "n_labels")},
        versions=", ".join(f"{name} {number}" for name, number in results["versions"].items()),
        quick=QUICK if results["quick"] else "",
        seconds=f"{results['seconds']:g}",
        step_table=step_table(results["rows"]),
        predict_words=predict_words(results["predict_commands"], results["set"]["n_cells"]),
        targets=target_table(results["rows"]),
        no_cuda="" if any(case[0].startswith("cuda") for case in cases(results["rows"])) else NO_CUDA,
    )


def _met(is_met: bool) -> str:  # noqa: FBT001 - the only thing said
    return "met" if is_met else "**not met**"
