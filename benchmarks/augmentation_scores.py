"""How a bundle calls simulated cells: F1 of types, states and droplets, neutrophils by depth, calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.calls import call_types
from benchmarks.metrics import confusion_by_group, f1_scores
from datamodules.coverage import cover
from datamodules.narrow import Rows, narrow
from datamodules.order import SequentialPlan
from datamodules.read import read_batches
from datamodules.sources import SourceFile
from datamodules.store import open_store
from model.bundle import Bundle
from model.calibration import Reliability
from model.inference import Predictor
from schema.labels import TYPE_LEVEL, CellOntology

UMI_BINS = (150, 250, 500, 1000)
"""Lower edges of the bins of library size, UMI."""
DROPLETS = {"AMBIENT": "ambient", "DBL_NEUT_MAL": "neutrophil x malignant", "DBL_OTHER": "other doublet"}
"""Classes of droplets that are not one cell, by node."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def score(bundle: Bundle, path: Path) -> dict[str, float]:
    """Predict a simulated file and return its scores by name."""
    ontology = bundle.ontology
    with open_store(path) as store:
        match = cover(store, bundle.vocabulary, orthologs=None, min_share=0.1).match
        kind = store.obs("true_cell_type_id")
        truth = np.array([ontology.index_by_id[name] for name in kind.categories], dtype=np.int64)[kind.codes]
        source = SourceFile.unlabelled(store, match, narrow(np.zeros(store.n_cells, dtype=np.int64)))
        predictor = Predictor(bundle, device="cpu", n_samples=1)
        batches = read_batches([source], [Rows.first(store.n_cells)], SequentialPlan([store.n_cells], 2048))
        seen = [(batch.library_size.numpy().copy(), predictor.predict(batch).probabilities) for batch in batches]
    library_size, leaves = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    return scores(leaves.astype(np.float64), truth, library_size, ontology)


def scores(
    leaves: Floats, truth: Ints, library_size: npt.NDArray[np.float32], ontology: CellOntology
) -> dict[str, float]:
    """Return the scores of calls.

    A cell is called the most probable type, and within it the most probable leaf. Macro means are over the classes that
    occur among the cells.

    Parameters
    ----------
    leaves
        float64 `[n_cells, n_leaves]`, calibrated.
    truth
        int64 `[n_cells]`, leaves of the tree as node indices.
    library_size
        float32 `[n_cells]`, UMI.
    ontology
        Label tree.
    """
    of_nodes = leaves @ ontology.leaves_below.T
    called_type = call_types(of_nodes, ontology)
    within = ontology.leaves_below[called_type] & True
    called = ontology.leaves[np.where(within, leaves, -1.0).argmax(axis=1)]
    true_type = ontology.ancestor_at(TYPE_LEVEL)[truth]
    neutrophil = ontology.index_by_id[ontology.roles.neutrophil]
    is_neutrophil = true_type == neutrophil
    result = {"types": macro_f1(true_type, called_type, np.unique(true_type))}
    result["states"] = macro_f1(truth[is_neutrophil], called[is_neutrophil], ontology.neutrophil_states)
    result["neutrophil"] = f1(true_type, called_type, neutrophil)
    for low, high in zip(UMI_BINS, (*UMI_BINS[1:], np.inf), strict=True):
        here = (library_size >= low) & (library_size < high)
        result[f"neutrophil {low}"] = f1(true_type[here], called_type[here], neutrophil)
        result[f"n {low}"] = float((is_neutrophil & here).sum())
    for node, name in DROPLETS.items():
        result[name] = f1(truth, called, ontology.index_by_id[node])
    reliability = Reliability()
    right = torch.from_numpy(called_type == true_type)
    reliability.update(torch.from_numpy(of_nodes[np.arange(len(truth)), called_type]), right)
    return result | {"accuracy": reliability.accuracy, "ece": reliability.error}


def macro_f1(truth: Ints, called: Ints, classes: Ints) -> float:
    """Return the mean F1 of the classes that occur in `truth`; NaN where none does."""
    occurring = [f1(truth, called, node) for node in classes.tolist() if (truth == node).any()]
    return float(np.mean(occurring)) if occurring else float("nan")


def f1(truth: Ints, called: Ints, node: int) -> float:
    """Return the F1 of one class; NaN where no cell is it."""
    if not (truth == node).any():
        return float("nan")
    is_node, called_node = np.where(truth == node, 0, -1), np.where(called == node, 0, -1)
    everyone = np.zeros(len(truth), dtype=np.int64)
    return float(f1_scores(confusion_by_group(is_node, called_node, everyone, n_classes=1, n_groups=1))[0, 0])
