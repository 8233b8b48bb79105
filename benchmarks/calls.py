"""From probabilities to calls: the same rule for the network and for the floors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schema.labels import CellOntology

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

STATES = ("ZN1", "ZN2", "ZN3", "ZN4", "ZN5", "ZN6")
"""Nodes of configs/ontology_zilionis.yaml for the states N1 to N6."""


def node_probabilities(classes: Sequence[str], probabilities: Floats, ontology: CellOntology) -> Floats:
    """Return the probability of every node: the sum of the classes at or below it, float `[n_cells, n_nodes]`.

    Parameters
    ----------
    classes
        Node ids, `[n_classes]`, at any level; a class gives nothing to the nodes below its own.
    probabilities
        float `[n_cells, n_classes]`, one row sums to 1.
    """
    above = np.zeros((len(classes), len(ontology.nodes)), dtype=probabilities.dtype)
    for row, name in enumerate(classes):
        node = ontology.index_by_id[name]
        while node >= 0:
            above[row, node] = 1
            node = int(ontology.parents[node])
    return probabilities @ above


def call_types(of_nodes: Floats, ontology: CellOntology, level: int = 2) -> Ints:
    """Return the most probable node of a level, int64 `[n_cells]`."""
    nodes = ontology.nodes_at(level)
    return np.asarray(nodes[of_nodes[:, nodes].argmax(axis=1)], dtype=np.int64)


def call_states(of_nodes: Floats, types: Ints, ontology: CellOntology, names: Sequence[str] = STATES) -> Ints:
    """Return the most probable of some states for cells called neutrophil, int64 `[n_cells]`; -1 for others.

    Parameters
    ----------
    of_nodes
        float `[n_cells, n_nodes]`.
    types
        int64 `[n_cells]`, called node at level 2.
    names
        Ids of the states.
    """
    nodes = np.array([ontology.index_by_id[name] for name in names], dtype=np.int64)
    states = nodes[of_nodes[:, nodes].argmax(axis=1)]
    return np.where(types == ontology.index_by_id[ontology.roles.neutrophil], states, -1).astype(np.int64)
