"""Labels of a file as nodes of the label tree: a user's label map first, then the tree's names, then Cell Ontology."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from schema.cl_terms import find_term, term_label
from schema.errors import UsageError
from schema.labels import UNLABELLED, CellOntology, unresolved_labels
from schema.names import normalise_name

logger = logging.getLogger(__name__)


def resolve_labels(
    values: pd.Categorical, ontology: CellOntology, label_map: Mapping[str, str | None] | None, where: str
) -> npt.NDArray[np.int64]:
    """Return the node of each cell's label.

    Parameters
    ----------
    values
        Labels as categories of text, `[n_cells]`; missing = unlabelled.
    ontology
        The label tree.
    label_map
        Label to node (id, name, synonym or Cell Ontology term); None = unlabelled. It goes before all other names.
    where
        File and column, for messages.

    Returns
    -------
    ndarray
        int64 `[n_cells]`: node index, at any level; -1 = unlabelled.

    Raises
    ------
    UsageError
        If the map names a node that the tree does not have.
    InputError
        If a label means nothing, listing all such labels with the nearest known names.
    """
    mapped = _map_nodes(ontology, label_map or {})
    used = values.remove_unused_categories()
    nodes = [_node_of(str(label), mapped, ontology) for label in used.categories]
    unknown = [str(label) for label, node in zip(used.categories, nodes, strict=True) if node is None]
    if unknown:
        raise unresolved_labels(ontology, unknown, where)
    lookup = np.array([*(UNLABELLED if node is None else node for node in nodes), UNLABELLED], dtype=np.int64)
    _warn_of_uncovered(used, lookup, ontology, mapped, where)
    result: npt.NDArray[np.int64] = lookup[used.codes]
    return result


def load_label_map(path: Path) -> dict[str, str | None]:
    """Read a label map: a YAML mapping of label to node, null = unlabelled.

    Raises
    ------
    UsageError
        If the file cannot be read or is no such mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(getattr(error, "problem", None) or type(error).__name__).split())
        raise _bad_map(f"a file that cannot be read ({reason})", path.name) from error
    if not isinstance(content, dict):
        raise _bad_map(f"a {type(content).__name__}", path.name)
    wrong = [f"{label!r}: {node!r}" for label, node in content.items() if not isinstance(node, str | None)]
    if wrong:
        raise _bad_map(", ".join(wrong[:5]), path.name)
    return {str(label): node for label, node in content.items()}


def _node_of(label: str, mapped: Mapping[str, int], ontology: CellOntology) -> int | None:
    form = normalise_name(label)
    if form in mapped:
        return mapped[form]
    node = ontology.find(label)
    return find_term(ontology, label) if node is None else node


def _map_nodes(ontology: CellOntology, label_map: Mapping[str, str | None]) -> dict[str, int]:
    """Return normalised label to node index for a whole label map."""
    nodes: dict[str, int] = {}
    for label, target in label_map.items():
        node = UNLABELLED if target is None else _node_of(target, {}, ontology)
        if node is None:
            near = ontology.suggestions(target)
            raise _bad_map(
                f"{label!r}: {target!r}" + (f" (nearest: {', '.join(near)})" if near else ""), "data.label_map"
            )
        if nodes.setdefault(normalise_name(label), node) != node:
            raise _bad_map(f"{label!r} twice, for different nodes", "data.label_map")
    return nodes


def _warn_of_uncovered(
    values: pd.Categorical,
    lookup: npt.NDArray[np.int64],
    ontology: CellOntology,
    mapped: Mapping[str, int],
    where: str,
) -> None:
    """Say which labels are cell types that the tree has no node for; their cells stay unlabelled."""
    sizes = np.bincount(values.codes[values.codes >= 0], minlength=len(values.categories))
    uncovered = [
        f"{term_label(str(label))} ({size:,} cells)"
        for label, node, size in zip(values.categories, lookup, sizes, strict=False)
        if node == UNLABELLED and normalise_name(label) not in mapped and ontology.find(label) is None
    ]
    if uncovered:
        logger.warning("%s: no node of the label tree covers %s; left unlabelled", where, ", ".join(uncovered))


def _bad_map(got: str, where: str) -> UsageError:
    return UsageError(
        "a label map must be a YAML mapping of label: node of the ontology (null = unlabelled)",
        got=got,
        where=where,
        fix="Use ids or names of schema/cell_ontology.yaml.",
    )
