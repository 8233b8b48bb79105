"""Scores of the real benchmark: every method, setting and question, from calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.calls import STATES
from benchmarks.real_human import recall_below
from benchmarks.scores import ClassScore, class_scores
from benchmarks.studies import WU, ZILIONIS_HUMAN
from schema.labels import CellOntology

MOUSE_TYPES = ("NEUT", "B", "NK", "ZT")
LINEAGES = {
    "L1_EPI": "epithelial",
    "L1_ENDO": "endothelial",
    "L1_MES": "mesenchymal",
    "L1_MYE": "myeloid",
    "L1_LYM": "lymphoid",
}
SHOWN = LINEAGES | {"ZT": "T", **{state: state.removeprefix("Z") for state in STATES}}
"""Names of nodes in the tables, where the id would not be understood."""


@dataclass(frozen=True)
class Block:
    """Scores of one method in one setting: what it is, and F1 by class with the macro last."""

    setting: str
    method: str
    question: str
    scores: list[ClassScore]

    def rows(self) -> list[dict[str, Any]]:
        """Return the scores as plain values."""
        head = {"setting": self.setting, "method": self.method, "question": self.question}
        return [head | asdict(score) for score in self.scores]


def mouse_blocks(calls: pd.DataFrame, ontology: CellOntology) -> list[Block]:
    """Score every method and training set on held-out mice: types, then states."""
    questions = (("type", "truth_type", "type_call", MOUSE_TYPES), ("state", "truth", "state_call", STATES))
    return [
        Block(str(setting), str(method), question, _score(part, truth, call, nodes, ontology))
        for (setting, method), part in calls.groupby(["training_set", "method"], sort=False)
        for question, truth, call, nodes in questions
    ]


def human_blocks(calls: pd.DataFrame, ontology: CellOntology) -> list[Block]:
    """Score every method and way through orthologs on human lung tumours: type, credited type, lineage."""
    calls = calls[calls["study"] == ZILIONIS_HUMAN.name]
    questions = (
        ("type", "truth_type", "type_call"),
        ("credited", "truth", "credited_call"),
        ("lineage", "truth_lineage", "lineage_call"),
    )
    blocks = []
    for (setting, method), part in calls.groupby(["orthologs", "method"], sort=False):
        for question, truth, call in questions:
            nodes = [ontology.nodes[i].id for i in sorted(set(part[truth]) - {-1})]
            blocks.append(Block(str(setting), str(method), question, _score(part, truth, call, nodes, ontology)))
    return blocks


def breast_rows(calls: pd.DataFrame, samples: pd.DataFrame, ontology: CellOntology) -> list[dict[str, Any]]:
    """Return what each method gave the breast tumour: verdict, percent called neutrophil, percent recall by lineage."""
    neutrophil = ontology.index_by_id[ontology.roles.neutrophil]
    samples = samples[samples["study"] == WU.name]
    rows = []
    for (orthologs, method), part in calls[calls["study"] == WU.name].groupby(["orthologs", "method"], sort=False):
        by_seed = [of_seed for _, of_seed in part.groupby("seed")]
        verdicts = samples.loc[samples["orthologs"] == orthologs, "assessability"]
        row = {"orthologs": orthologs, "method": method, "verdict": ", ".join(sorted(set(verdicts)))}
        row["neutrophil"] = 100 * float(np.mean([(p["type_call"] == neutrophil).mean() for p in by_seed]))
        for node, name in LINEAGES.items():
            row[name] = 100 * float(np.mean([recall_below(p, node, ontology) for p in by_seed]))
        rows.append(row)
    return rows


def _score(part: pd.DataFrame, truth: str, call: str, nodes: Sequence[str], ontology: CellOntology) -> list[ClassScore]:
    codes = [ontology.index_by_id[node] for node in nodes]
    return class_scores(part, truth, call, codes, [SHOWN.get(node, node) for node in nodes])
