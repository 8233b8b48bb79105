"""The page of the memory that stages take, from the rows as measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.markdown import table

TEMPLATE = Path(__file__).with_name("stage_memory_page.md")
QUICK = "\n**A quick run on small files, to see that it works; no figure here can be quoted.**\n"
SMALL, ONE, MANY = "small", "one sample", "many samples"
STAGE, WITHOUT_STAGE = "with stage", "without stage"
BUNDLES = (STAGE, WITHOUT_STAGE)
MOST_OF_ONE, MOST_PER_SAMPLE = 0.10, 10.0
"""By how much the peak of one large sample may exceed the small file's; KiB of the stage for each sample."""
_KIB = 1024


def peak(rows: Sequence[Mapping[str, Any]], file: str, bundle: str) -> float:
    """Return a peak in MiB."""
    (found,) = [row["peak_mib"] for row in rows if (row["file"], row["bundle"]) == (file, bundle)]
    return float(found)


def per_sample(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what each further sample takes, KiB: all, and of that the stage."""
    n_samples = {row["file"]: row["n_samples"] for row in rows}
    more = n_samples[MANY] - n_samples[SMALL]
    grown = {name: (peak(rows, MANY, name) - peak(rows, SMALL, name)) * _KIB / more for name in BUNDLES}
    return {"all": grown[STAGE], "stage": grown[STAGE] - grown[WITHOUT_STAGE]}


def memory_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return peaks and seconds."""
    lines = [
        [
            f"{row['file']}, {row['bundle']}",
            f"{row['n_samples']:,}",
            f"{row['n_cells']:,}",
            f"{row['n_said']:,}" if row["bundle"] == STAGE else "-",
            f"{row['peak_mib']:,.0f}",
            f"{row['peak_mib'] - peak(rows, SMALL, row['bundle']):+,.0f}",
            f"{row['seconds']:.0f}",
        ]
        for row in rows
    ]
    header = ["file", "samples", "cells", "samples with a stage", "peak, MiB", "above the small file", "seconds"]
    return table(header, lines)


def verdicts(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return whether memory is flat."""
    grown = peak(rows, ONE, STAGE) / peak(rows, SMALL, STAGE) - 1
    of_sample = per_sample(rows)
    return "\n".join(
        [
            f"- one sample: its peak is {100 * grown:.0f} % above the small file's; "
            f"at most {100 * MOST_OF_ONE:.0f} % wanted: {_verdict(grown <= MOST_OF_ONE)}",
            f"- many samples: each takes {of_sample['all']:.1f} KiB, of which the stage {of_sample['stage']:.1f} KiB; "
            f"at most {MOST_PER_SAMPLE:.0f} KiB of the stage wanted: {_verdict(of_sample['stage'] <= MOST_PER_SAMPLE)}",
        ]
    )


def page(content: Mapping[str, Any]) -> str:
    """Return the page; see `benchmarks.stage_memory.main` for what content holds."""
    names = ("command", "date", "commit", "hardware", "seed", "n_genes")
    return TEMPLATE.read_text(encoding="utf-8").format(
        **{name: content[name] for name in names},
        quick=QUICK if content["quick"] else "",
        memory_table=memory_table(content["rows"]),
        verdicts=verdicts(content["rows"]),
        state=f"{content['state_bytes'] / _KIB:.1f}",
    )


def _verdict(is_met: bool) -> str:  # noqa: FBT001 - a verdict
    return "met" if is_met else "**not met**"
