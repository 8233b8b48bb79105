"""The page of bad days in Markdown, from the rows as they happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.faults.trial import MEMORY_BYTES, TIMEOUT
from benchmarks.markdown import table

PAGE = Path(__file__).with_name("reliability_page.md")
QUICK = "\n**A quick run of a part of the lists, to see that it works.**\n"

_LONGEST = 160
"""Letters of a line that are shown."""

Row = Mapping[str, Any]


def page(results: Mapping[str, Any]) -> str:
    """Return the page; see `benchmarks.reliability.main` for what results hold."""
    names = ("command", "date", "commit", "hardware", "seed")
    rows = [*results["faults"], *results["injections"]]
    return PAGE.read_text(encoding="utf-8").format(
        **{name: results[name] for name in names},
        quick=QUICK if results["quick"] else "",
        summary=summary([*rows, *results["flips"]]),
        memory=MEMORY_BYTES // 2**30,
        timeout=f"{TIMEOUT:.0f}",
        n_flips=len(results["flips"]),
        flips=flips(results["flips"]),
        flips_verdict=flips_verdict(results["flips"]),
        tables="\n\n".join(f"## {kind.capitalize()}\n\n{of_class(rows, kind)}" for kind in classes(rows)),
    )


def classes(rows: Sequence[Row]) -> list[str]:
    """Return the classes of rows, in the order of their first."""
    return list(dict.fromkeys(row["row"] for row in rows))


def summary(rows: Sequence[Row]) -> str:
    """Return how many of each class were tried and were not as expected."""
    tried = Counter(row["row"] for row in rows)
    bad = Counter(row["row"] for row in rows if row["problems"])
    body = [[kind, str(tried[kind]), str(bad[kind])] for kind in classes(rows)]
    return table(["class", "tried", "not as expected"], [*body, ["all", str(len(rows)), str(sum(bad.values()))]])


def flips(rows: Sequence[Row]) -> str:
    """Return how flips of each kind of file ended."""
    ends: dict[str, Counter[str]] = {}
    for row in rows:
        kind = row["name"].split(" in ", 1)[1]
        ends.setdefault(kind, Counter())["an answer" if row["code"] == 0 else f"exit {row['code']}"] += 1
    return "; ".join(
        f"{kind}: " + ", ".join(f"{n} {end}" for end, n in sorted(counts.items())) for kind, counts in ends.items()
    )


def flips_verdict(rows: Sequence[Row]) -> str:
    """Return whether any flip did what none may."""
    bad = [f"{row['name']} ({'; '.join(row['problems'])})" for row in rows if row["problems"]]
    return f"**Not as expected: {plain(', '.join(bad))}.**" if bad else "No signal, no traceback, no hang."


def of_class(rows: Sequence[Row], kind: str) -> str:
    """Return the table of a class."""
    lines = ["| what was done | expected | exit | what it said |", "| --- | --- | ---: | --- |"]
    for row in rows:
        if row["row"] == kind:
            happened = plain(row["line"]) if not row["problems"] else f"**{plain('; '.join(row['problems']))}**"
            lines.append(f"| {plain(row['name'])} | {plain(row['expected'])} | {row['code']} | {happened} |")
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return a text for a cell of a table, cut where it is long: nothing in it is markup."""
    short = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    for mark in ("\\", "|", "<", "`", "*", "_", "[", "{"):
        short = short.replace(mark, f"\\{mark}")
    return short
