"""From answers to the rows of the tables: F1, calibration and strangeness of every method in every part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.cells_answers import states_of
from benchmarks.cells_macro import Macro, macro_f1
from benchmarks.cells_methods import Answer
from benchmarks.cells_settings import DONORS, STUDY, UNKNOWN, Setting
from model.calibration import Reliability
from schema.labels import CellOntology

UMI_BINS = {"<250": (0, 250), "250-500": (250, 500), "500-1k": (500, 1_000), ">1k": (1_000, np.inf)}
LEAST_IN_BIN = 10
"""Test cells that a type must have in a bin, over all seeds, to count there."""
COSTS = ("fit_seconds", "fit_peak_mib", "predict_seconds", "predict_peak_mib")

Answered = Sequence[tuple[Setting, Answer]]


def joined(answered: Answered) -> pd.DataFrame:
    """Return the answers of one method in one part as one table, with `seed`.

    Cohorts of different seeds are different cells and donors; each is resampled within its seed.
    """
    parts = []
    for setting, answer in answered:
        cells = answer.cells.assign(seed=setting.seed)
        if setting.part in (DONORS, STUDY):
            cells["stratum"] = f"{setting.seed}"
        parts.append(cells)
    return pd.concat(parts, ignore_index=True)


def strict(cells: pd.DataFrame) -> Macro:
    """Return macro-F1 over types, of cells whose label is a type that training cells have."""
    return macro_f1(cells[cells["is_answerable"] & (cells["type"] >= 0)], "type", "type_call")


def ontology_aware(cells: pd.DataFrame) -> Macro:
    """Return macro-F1 over labels, types and broader ones; a type below the label is right."""
    return macro_f1(cells[cells["is_answerable"]], "label", "credited_call")


def states(cells: pd.DataFrame, ontology: CellOntology) -> Macro | None:
    """Return macro-F1 over the neutrophil states; None where no cell has one."""
    nodes = [ontology.index_by_id[name] for name in states_of(ontology)]
    return macro_f1(cells, "state", "state_call", nodes) if cells["state"].isin(nodes).any() else None


def by_library_size(cells: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the strict macro-F1 of the cells of each bin of UMI, of types with enough cells there."""
    cells = cells[cells["is_answerable"] & (cells["type"] >= 0)]
    found = {}
    for name, (low, high) in UMI_BINS.items():
        part = cells[(cells["library_size"] >= low) & (cells["library_size"] < high)]
        sizes = part["type"].value_counts()
        kept = [int(node) for node in sizes[sizes >= LEAST_IN_BIN].index]
        if kept:
            found[name] = macro_f1(part, "type", "type_call", kept).shown() | {"n_types": len(kept)}
    return found


def calibration_error(cells: pd.DataFrame) -> dict[str, float]:
    """Return the ECE of the called type over cells with a type: mean over seeds, smallest and largest."""
    errors = []
    for _, part in cells[cells["is_answerable"] & (cells["type"] >= 0)].groupby("seed"):
        check = Reliability()
        right = (part["type"] == part["type_call"]).to_numpy()
        check.update(torch.from_numpy(part["confidence"].to_numpy(dtype=np.float32)), torch.from_numpy(right))
        errors.append(check.error)
    return {"value": float(np.mean(errors)), "low": min(errors), "high": max(errors)}


def row(part: str, method: str, answered: Answered, ontology: CellOntology) -> dict[str, Any]:
    """Return the row of a method in a part: scores, and medians of what a run cost."""
    cells = joined(answered)
    of_states = states(cells, ontology)
    return {
        "part": part,
        "method": method,
        "n_runs": len(answered),
        "seeds": sorted({setting.seed for setting, _ in answered}),
        "strict": strict(cells).shown(),
        "ontology_aware": ontology_aware(cells).shown(),
        "states": of_states.shown() if of_states else None,
        "by_library_size": by_library_size(cells),
        "calibration_error": calibration_error(cells),
        "not_answerable": int((~cells["is_answerable"]).sum()),
        "costs": {name: float(np.median([a.facts[name] for _, a in answered])) for name in COSTS},
    }


def by_case(answered: Answered) -> dict[str, dict[str, dict[str, float]]]:
    """Return strict and ontology-aware macro-F1 of each case of a part."""
    names = dict.fromkeys(setting.name for setting, _ in answered)
    found = {}
    for name in names:
        cells = joined([pair for pair in answered if pair[0].name == name])
        found[name] = {"strict": strict(cells).shown(), "ontology_aware": ontology_aware(cells).shown()}
    return found


def strangers(answered: Answered, method: str) -> list[dict[str, Any]]:
    """Return for each left-out type how well the method's score tells its cells from those of known types (AUROC)."""
    rows = []
    for setting, answer in answered:
        cells = answer.cells[answer.cells["strangeness"].notna()]
        unknown = ~cells["is_answerable"].to_numpy()
        auroc = area_under_curve(unknown, cells["strangeness"].to_numpy()) if unknown.any() else float("nan")
        rows.append(
            {
                **{"part": UNKNOWN, "type": setting.name, "method": method, "seed": setting.seed, "auroc": auroc},
                **{"n_unknown": int(unknown.sum()), "n_known": int((~unknown).sum())},
                "score": answer.facts["strangeness"],
            }
        )
    return rows


def area_under_curve(is_positive: npt.NDArray[np.bool_], score: npt.NDArray[np.floating]) -> float:
    """Return the area under the receiver operating characteristic of a score, bool and float `[n_cells]`."""
    return float(roc_auc_score(is_positive, score))
