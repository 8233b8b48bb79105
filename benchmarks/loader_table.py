"""From the rows of all processes to medians with their range, ratios by round, and targets met or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.loader_bench import DISK, Row
from benchmarks.loader_jobs import ANNBATCH, ANNLOADER, OURS, SCDATASET
from benchmarks.spread import Spread

Case = tuple[str, str, str]
"""Loader, format and state."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """What one case must reach.

    Attributes
    ----------
    words
        What is compared with what.
    at_least
        Least median.
    case
        The case that is judged.
    against
        The case it is compared with, in the same round; None = the disk limit of its own format.
    """

    words: str
    at_least: float
    case: Case
    against: Case | None = None


RAW = (OURS, "raw h5ad", "warm")
PACKED = (OURS, "packed", "warm")
TARGETS = (
    Target(words="raw h5ad, warm: times scDataset", at_least=5, case=RAW, against=(SCDATASET, "raw h5ad", "warm")),
    Target(words="raw h5ad, warm: times AnnLoader", at_least=15, case=RAW, against=(ANNLOADER, "raw h5ad", "warm")),
    Target(
        words="gzip h5ad, warm: times scDataset on it",
        at_least=2,
        case=(OURS, "gzip h5ad", "warm"),
        against=(SCDATASET, "gzip h5ad", "warm"),
    ),
    Target(
        words="packed, warm: times scDataset on raw h5ad",
        at_least=25,
        case=PACKED,
        against=(SCDATASET, "raw h5ad", "warm"),
    ),
    Target(words="packed, warm: times annbatch", at_least=8, case=PACKED, against=(ANNBATCH, "annbatch", "warm")),
    Target(words="packed, cold: share of the disk limit", at_least=0.9, case=(OURS, "packed", "cold")),
)


def cases(rows: Sequence[Row]) -> list[Case]:
    """Return all cases in the order they came, the disk left out."""
    return list(dict.fromkeys((r["name"], r["kind"], r["state"]) for r in rows if r["name"] != DISK))


def by_round(rows: Sequence[Row], case: Case, value: Callable[[Row], float]) -> dict[int, float]:
    """Return a figure of each round in which the case ran."""
    return {r["round"]: value(r) for r in rows if (r["name"], r["kind"], r["state"]) == case and "error" not in r}


def spread(rows: Sequence[Row], case: Case, column: str) -> Spread | None:
    """Return the spread of a column; None where the case never ran."""
    values = by_round(rows, case, lambda row: float(row[column]))
    return Spread.of(list(values.values())) if values else None


def errors(rows: Sequence[Row]) -> list[str]:
    """Return what did not run, and why, each once."""
    lines = (f"{r['name']}, {r['kind']}, {r['state']}: {r['error']}" for r in rows if "error" in r)
    return list(dict.fromkeys(lines))


def ratio(rows: Sequence[Row], case: Case, against: Case) -> Spread | None:
    """Return how many times faster a case is than another, round by round; None where they share no round."""
    rate: Callable[[Row], float] = lambda row: float(row["cells_per_second"])  # noqa: E731
    mine, theirs = by_round(rows, case, rate), by_round(rows, against, rate)
    ratios = [mine[number] / theirs[number] for number in mine if number in theirs]
    return Spread.of(ratios) if ratios else None


def disk_share(rows: Sequence[Row], case: Case, bytes_per_cell: float) -> Spread | None:
    """Return the share of the disk limit that a case reaches, round by round.

    The limit is what the disk gave for the same file in the same round, bytes per second, by the bytes of a cell.
    """
    rates = by_round(rows, case, lambda row: float(row["cells_per_second"]))
    disk = by_round(rows, (DISK, case[1], "cold"), lambda row: float(row["bytes_per_second"]))
    shares = [rates[number] * bytes_per_cell / disk[number] for number in rates if number in disk]
    return Spread.of(shares) if shares else None


def judge(rows: Sequence[Row], target: Target, bytes_per_cell: dict[str, float]) -> tuple[Spread | None, bool | None]:
    """Return what was measured for a target and whether it is met; None for both where it was not measured."""
    if target.against is not None:
        got = ratio(rows, target.case, target.against)
    else:
        got = disk_share(rows, target.case, bytes_per_cell[target.case[1]])
    return got, None if got is None else got.median >= target.at_least
