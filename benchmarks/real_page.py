"""Tables of the real benchmark in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.calls import STATES
from benchmarks.markdown import number, table, with_interval
from benchmarks.real_mice import NETWORK
from benchmarks.real_scores import LINEAGES, SHOWN, Block
from benchmarks.scores import confusion_table
from benchmarks.studies import ZILIONIS_HUMAN
from schema.labels import CellOntology


def macro_table(blocks: Sequence[Block], costs: pd.DataFrame) -> str:
    """Return macro-F1 over types and over states with medians of what a run cost."""
    header = ["training cells", "method", "types, macro-F1", "states, macro-F1", "fit, s", "predict, s", "peak, MiB"]
    state = {(block.setting, block.method): block for block in blocks if block.question == "state"}
    rows = []
    for block in (b for b in blocks if b.question == "type"):
        key = (block.setting, block.method)
        cost = costs[(costs["training_set"] == block.setting) & (costs["method"] == block.method)]
        fit, predict = (float(cost[name].median()) for name in ("fit_seconds", "predict_seconds"))
        peak = float(cost[["fit_peak_mib", "predict_peak_mib"]].max(axis=1).median())
        scores = [with_interval(b.scores[-1]) for b in (block, state[key])]
        rows.append([*key, *scores, f"{fit:.1f}", f"{predict:.1f}", f"{peak:.0f}"])
    return table(header, rows)


def class_table(blocks: Sequence[Block], question: str) -> str:
    """Return F1 of every class with its interval, a column per method and setting."""
    chosen = [b for b in blocks if b.question == question and b.method != "majority"]
    header = ["class (cells)", *(f"{b.method}, {b.setting}" for b in chosen)]
    names = [(score.name, score.n_cells) for score in chosen[0].scores]
    by_name = [{score.name: score for score in b.scores} for b in chosen]
    return table(header, [[f"{n} ({cells})", *(with_interval(s[n]) for s in by_name)] for n, cells in names])


def confusion_page(calls: pd.DataFrame, setting: str, method: str, ontology: CellOntology) -> str:
    """Return the confusion of N1 to N6: rows true, columns called, summed over folds, mean over seeds."""
    part = calls[(calls["training_set"] == setting) & (calls["method"] == method)]
    counts = confusion_table(part, "truth", "state_call", [ontology.index_by_id[state] for state in STATES])
    names = [SHOWN[state] for state in STATES]
    rows = [[name, *(f"{value:.4g}" for value in np.round(row, 1))] for name, row in zip(names, counts, strict=True)]
    return f"{method}, trained on {setting}:\n\n" + table(["true \\ called", *names, "not a neutrophil"], rows)


def state_counts(calls: pd.DataFrame, ontology: CellOntology) -> str:
    """Return how many cells of each state each mouse has."""
    once = calls.drop_duplicates("cell_id")
    rows = []
    for donor, part in once.groupby("stratum"):
        counts = [int((part["truth"] == ontology.index_by_id[state]).sum()) for state in STATES]
        rows.append([str(donor).removeprefix("zilionis_mouse_"), *map(str, counts), str(len(part))])
    return table(["mouse", *(SHOWN[state] for state in STATES), "all cells"], rows)


def human_table(blocks: Sequence[Block], samples: pd.DataFrame) -> str:
    """Return the three macro scores and the neutrophil F1 of every method and way through orthologs."""
    header = ["orthologs", "method", "genes found, %", "type, strict", "type, ontology-aware", "lineage", "neutrophils"]
    rows = []
    for block in (b for b in blocks if b.question == "type"):
        same = {b.question: b for b in blocks if (b.setting, b.method) == (block.setting, block.method)}
        found = samples[(samples["orthologs"] == block.setting) & (samples["study"] == ZILIONIS_HUMAN.name)]
        genes = number(found["genes_found_percent"].median(), 1) if block.method == NETWORK else "-"
        neutrophil = next(score for score in block.scores if score.name == "NEUT")
        macros = [with_interval(same[question].scores[-1]) for question in ("type", "credited", "lineage")]
        rows.append([block.setting, block.method, genes, *macros, with_interval(neutrophil)])
    return table(header, rows)


def breast_table(rows: Sequence[dict[str, Any]]) -> str:
    """Return what the breast tumour was given: verdict on its burden, cells called neutrophil, recall by lineage."""
    lineages = list(LINEAGES.values())
    header = ["orthologs", "method", "burden reads", "called neutrophil, %", *(f"{n} recall, %" for n in lineages)]
    body = []
    for row in rows:
        verdict = row["verdict"].replace("_", " ") if row["method"] == NETWORK else "-"
        shares = [number(row[name], 1) for name in ("neutrophil", *lineages)]
        body.append([row["orthologs"], row["method"], verdict, *shares])
    return table(header, body)
