"""The loader page in Markdown, from the rows as measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loader_bench import DISK, Row
from benchmarks.loader_jobs import OURS
from benchmarks.loader_table import TARGETS, Case, cases, disk_share, errors, judge, ratio, spread
from benchmarks.markdown import table
from benchmarks.spread import figure

PAGE = Path(__file__).with_name("loader_page.md")
TRIED = (
    "Each was run once, warm, with each setting; the fastest is used above. scDataset keeps blocks of 64 rows together "
    "and shuffles the rows of `fetch_factor` batches; more of them mix better and read slower."
)
NOT_TRIED = "In the quick setting none was tried; these are used."


def page(results: Mapping[str, Any]) -> str:
    """Return the page; see `benchmarks.loader.measure` for what results hold."""
    rows, config, n_bytes = results["rows"], results["set"], results["bytes_per_cell"]
    tried = results["settings_tried"]
    words = {name: results[name] for name in ("command", "date", "commit", "hardware", "batch_size", "n_rounds")}
    return PAGE.read_text(encoding="utf-8").format(
        **words,
        versions=", ".join(f"{name} {number}" for name, number in results["versions"].items()),
        quick=" **A quick run: one round on a small set, to see that it works; no figure here can be quoted.**"
        if results["quick"]
        else "",
        **{name: f"{config[name]:,}" for name in ("n_cells", "n_genes", "n_labels", "n_donors")},
        entries_per_cell=f"{results['entries_per_cell']:,.0f}",
        bytes_per_cell=", ".join(f"{kind} {size:,.0f}" for kind, size in n_bytes.items()),
        **_resident(rows),
        seconds=f"{results['seconds']:g}",
        limit_seconds=f"{results['limit_seconds']:g}",
        ideal_distance=f"{results['ideal_distance']:.3f}",
        targets=target_table(rows, n_bytes),
        warm_table=warm_table(rows),
        cold_table=cold_table(rows, n_bytes),
        settings_words=TRIED if tried else NOT_TRIED,
        settings_table=settings_table(tried) if tried else used_table(results["settings"]),
        not_run=_not_run(rows, results["notes"]),
    )


def target_table(rows: Sequence[Row], bytes_per_cell: dict[str, float]) -> str:
    """Return each target with what was measured, and whether it is met."""
    body = []
    for target in TARGETS:
        got, met = judge(rows, target, bytes_per_cell)
        verdict = "not measured" if met is None else "met" if met else "**not met**"
        body.append([target.words, f">= {target.at_least:g}", figure(got, 2), verdict])
    return table(["target", "at least", "measured", "verdict"], body)


def warm_table(rows: Sequence[Row]) -> str:
    """Return speed, cost and mixing of every warm case, and how many times slower than ours it is."""
    header = ["loader", "format", "cells/s", "cells per CPU-s", "ours is faster by", *_COSTS]
    body = []
    for case in _ran(rows, "warm"):
        ours = (OURS, case[1] if case[1] != "annbatch" else "packed", "warm")
        faster = None if case[0].startswith(OURS) else ratio(rows, ours, case)
        body.append([*_start(rows, case), figure(faster, 1), *_costs(rows, case)])
    return table(header, body)


def cold_table(rows: Sequence[Row], bytes_per_cell: dict[str, float]) -> str:
    """Return speed and the share of the disk limit of every cold case."""
    header = ["loader", "format", "cells/s", "cells per CPU-s", "disk, MB/s", "disk limit, cells/s", "share of limit"]
    body = []
    for case in _ran(rows, "cold"):
        disk = spread(rows, (DISK, case[1], "cold"), "bytes_per_second")
        size = bytes_per_cell[case[1]]
        limit = [f"{disk.median / 1e6:,.0f}", f"{disk.median / size:,.0f}"] if disk else ["-", "-"]
        body.append([*_start(rows, case), *limit, figure(disk_share(rows, case, size), 2)])
    return table(header, body)


def settings_table(tried: Sequence[Row]) -> str:
    """Return what each setting of a peer gave."""
    body = []
    for row in tried:
        speed = f"{row['cells_per_second']:,.0f}" if "error" not in row else f"fails: {row['error']}"
        distance = f"{row['label_distance']:.3f}" if "error" not in row else "-"
        body.append([row["name"], _words(row["setting"]), speed, distance])
    return table(["loader", "setting", "cells/s", "label distance"], body)


def used_table(settings: Mapping[str, Mapping[str, float]]) -> str:
    """Return the setting of each peer."""
    return table(["loader", "setting"], [[name, _words(setting)] for name, setting in settings.items()])


_COSTS = ("set-up, s", "peak above imports, MiB", "imports, MiB", "label distance")


def _start(rows: Sequence[Row], case: Case) -> list[str]:
    return [*case[:2], *(figure(spread(rows, case, name)) for name in ("cells_per_second", "cells_per_cpu_second"))]


def _costs(rows: Sequence[Row], case: Case) -> list[str]:
    """Return the median of the columns after speed."""
    columns = {
        name: spread(rows, case, name) for name in ("setup_seconds", "peak_mib", "imports_mib", "label_distance")
    }
    setup, peak, imports, distance = (got.median if got else float("nan") for got in columns.values())
    return [f"{setup:.1f}", f"{peak - imports:,.0f}", f"{imports:,.0f}", f"{distance:.3f}"]


def _ran(rows: Sequence[Row], state: str) -> list[Case]:
    return [case for case in cases(rows) if case[2] == state and spread(rows, case, "seconds") is not None]


def _resident(rows: Sequence[Row]) -> dict[str, str]:
    """Return how far the page cache was as it should be: the least of all warm, the most of all cold processes."""
    share = {
        state: [r["resident_share"] for r in rows if r["state"] == state and "resident_share" in r]
        for state in ("warm", "cold")
    }
    return {
        "least_warm": f"{100 * min(share['warm'], default=np.nan):.0f} %",
        "most_cold": f"{100 * max(share['cold'], default=np.nan):.0f} %",
    }


def _words(setting: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value}" for name, value in setting.items()) or "none"


def _not_run(rows: Sequence[Row], notes: Sequence[str]) -> str:
    lines = [*notes, *errors(rows)]
    return "\n## Not measured\n\n" + "\n".join(f"- {line}" for line in lines) + "\n" if lines else ""
