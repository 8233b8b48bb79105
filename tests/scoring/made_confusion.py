"""Held-out donors made up: neutrophils found at one rate, monocytes taken for them at another, all else read right."""

import numpy as np

from schema.confusion import Confusion
from schema.depths import N_DEPTHS
from schema.labels import TYPE_LEVEL


def made_confusion(ontology, sensitivity, false_positive, *, cells=10_000):
    """Return one reading per donor; rates are one value per donor, alike at all depths."""
    types = [ontology.nodes[i].id for i in ontology.nodes_at(TYPE_LEVEL)]
    neutrophil, monocyte = types.index("NEUT"), types.index("MONO")
    n = len(sensitivity)
    said = np.tile(np.eye(len(types), dtype=np.float32), (n, N_DEPTHS, 1, 1))
    for donor, (found, taken) in enumerate(zip(sensitivity, false_positive, strict=True)):
        said[donor, :, neutrophil, [neutrophil, monocyte]] = np.array([[found], [1 - found]])
        said[donor, :, monocyte, [monocyte, neutrophil]] = np.array([[1 - taken], [taken]])
    return Confusion(np.arange(n), np.full((n, N_DEPTHS, len(types)), cells), said)


def made_probabilities(ontology, **mass):
    """Return leaf probabilities, float64 `[n_cells, n_leaves]`, from leaf id to probability per cell."""
    leaves = [ontology.nodes[i].id for i in ontology.leaves]
    columns = {leaves.index(name): np.asarray(values, dtype=np.float64) for name, values in mass.items()}
    found = np.zeros((len(next(iter(columns.values()))), len(leaves)))
    for column, values in columns.items():
        found[:, column] = values
    return found
