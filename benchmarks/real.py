"""The real benchmark: `python -m benchmarks.real --data <real data> --output docs/results` (also `make real`)."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measure import ROOT, commit, hardware
from benchmarks.orthologs import TABLE
from benchmarks.real_human import require_not_assessable, run_floors, run_network
from benchmarks.real_mice import NETWORK, TRAINING_SETS, run_folds
from benchmarks.real_page import breast_table, class_table, confusion_page, human_table, macro_table, state_counts
from benchmarks.real_scores import Block, breast_rows, human_blocks, mouse_blocks
from benchmarks.studies import OTHER_MOUSE, WU, ZILIONIS_HUMAN, ZILIONIS_MOUSE, write_copies
from schema.labels import CellOntology

ONTOLOGY = ROOT / "configs" / "ontology_zilionis.yaml"
PAGE = Path(__file__).with_name("real_page.md")


@dataclass(frozen=True)
class Results:
    """Everything the page is made of.

    Attributes
    ----------
    mouse_calls, costs
        Calls and costs of the folds (see `run_folds`).
    human_calls, human_samples
        Calls and rows of samples.csv of the human cells (see `run_network`).
    origin
        "date", "commit" and "hardware" of the measurement.
    """

    mouse_calls: pd.DataFrame
    costs: pd.DataFrame
    human_calls: pd.DataFrame
    human_samples: pd.DataFrame
    origin: dict[str, str]

    def save(self, folder: Path) -> None:
        """Write the results into a folder."""
        for name in FRAMES:
            getattr(self, name).to_parquet(folder / f"{name}.parquet")
        (folder / "origin.json").write_text(json.dumps(self.origin), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Results:
        """Read results that were written by `save`."""
        frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in FRAMES}
        return cls(**frames, origin=json.loads((folder / "origin.json").read_text(encoding="utf-8")))


FRAMES = ("mouse_calls", "costs", "human_calls", "human_samples")


def measure(data: Path, work: Path, ontology: CellOntology, seeds: Sequence[int]) -> Results:
    """Run all methods; every file that is made stays in the work folder.

    Raises
    ------
    RuntimeError
        If a run fails, or the burden of the tumour without neutrophils reads as a number.
    """
    origin = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit(), "hardware": hardware()}
    files = write_copies((ZILIONIS_MOUSE, *OTHER_MOUSE, ZILIONIS_HUMAN, WU), data, work / "cells")
    table = data / "tables" / TABLE
    human_calls, samples = run_network(files, work, ontology, seeds, table)
    require_not_assessable(samples[samples["study"] == WU.name])
    floors = run_floors(files, work, ontology, seeds, table)
    mouse_calls, costs = run_folds(files, work, ontology, seeds)
    results = Results(mouse_calls, costs, pd.concat([human_calls, floors], ignore_index=True), samples, origin)
    results.save(work)
    return results


def score(results: Results, ontology: CellOntology) -> tuple[list[Block], list[Block], list[dict[str, Any]]]:
    """Return the scores on held-out mice, on human lung tumours, and what the breast tumour was given."""
    return (
        mouse_blocks(results.mouse_calls, ontology),
        human_blocks(results.human_calls, ontology),
        breast_rows(results.human_calls, results.human_samples, ontology),
    )


def page(results: Results, ontology: CellOntology) -> str:
    """Return the result page in Markdown."""
    mice, human, breast = score(results, ontology)
    calls, samples = results.mouse_calls, results.human_samples
    compared = [(setting.name, method) for setting in TRAINING_SETS for method in (NETWORK, "pca_logistic")]
    return PAGE.read_text(encoding="utf-8").format(
        **results.origin,
        n_seeds=samples["seed"].nunique(),
        state_counts=state_counts(calls, ontology),
        macro_table=macro_table(mice, results.costs),
        type_table=class_table(mice, "type"),
        state_table=class_table(mice, "state"),
        confusions="\n\n".join(confusion_page(calls, *pair, ontology) for pair in compared),
        human_table=human_table(human, samples),
        lineage_table=class_table(human, "lineage"),
        human_type_table=class_table([block for block in human if block.method == NETWORK], "type"),
        flags=samples.loc[(samples["study"] == WU.name) & (samples["orthologs"] == "rule"), "flags"].iloc[0],
        breast_table=breast_table(breast),
    )


def plain(results: Results, ontology: CellOntology) -> dict[str, Any]:
    """Return the rows behind the page as plain values."""
    mice, human, breast = score(results, ontology)
    costs = results.costs.groupby(["training_set", "method"]).median(numeric_only=True).reset_index()
    return {
        **results.origin,
        "mouse": [row for block in mice for row in block.rows()],
        "human": [row for block in human for row in block.rows()],
        "breast": breast,
        "cost_medians": costs.drop(columns="seed", errors="ignore").to_dict("records"),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write real.md and real.json."""
    parser = argparse.ArgumentParser(description="Train and test on real cells; write real.md and real.json.")
    parser.add_argument("--data", type=Path, required=True, help="folder of real data")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    parser.add_argument("--work", type=Path, help="new folder for runs and predictions (default: runs/real/<time>)")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--reuse", type=Path, help="work folder of a finished measurement: only write its page again")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("anndata").setLevel(logging.WARNING)
    ontology = CellOntology.load(ONTOLOGY)
    if options.reuse:
        results = Results.load(options.reuse)
    else:
        work = (options.work or ROOT / "runs" / "real" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}").resolve()
        work.mkdir(parents=True)
        results = measure(options.data.resolve(), work, ontology, range(options.seeds))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "real.md").write_text(page(results, ontology), encoding="utf-8")
    content = json.dumps(plain(results, ontology), indent=1)
    (options.output / "real.json").write_text(content + "\n", encoding="utf-8")
    print(options.output / "real.md")


if __name__ == "__main__":
    main()
