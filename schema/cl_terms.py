"""Cell Ontology terms, by id or by name, as nodes of the label tree: the deepest node among a term's ancestors."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from schema.labels import UNLABELLED, CellOntology
from schema.names import normalise_name

_CL_ID = re.compile(r"^CL[:_](\d{7})$", re.IGNORECASE)
_SHORTEST_SYNONYM = 6
"""Letters below which a synonym of the Cell Ontology is not trusted: its DC2 is plasmacytoid, the field's is not."""


def find_term(ontology: CellOntology, label: object) -> int | None:
    """Return the node that a Cell Ontology term stands for.

    A term that is no node's own resolves to the deepest node among its ancestors in the Cell Ontology; of several as
    deep, to the nearest; of several as near, to what they have in common in the tree.

    Parameters
    ----------
    ontology
        The label tree.
    label
        Id ("CL:0000909", "CL_0000909"), label or synonym of a term.

    Returns
    -------
    int or None
        Index of the node; UNLABELLED for a term that the tree does not cover (neuron) or that is wider than its nodes
        (leukocyte); None for what is no term of the Cell Ontology.
    """
    term = _term_id(str(label))
    if term is None:
        return None
    if (node := ontology.index_by_name.get(normalise_name(term))) is not None:
        return node
    above: dict[int, int] = {}
    for ancestor, distance in _terms()[term]["ancestors"].items():
        if (node := ontology.index_by_name.get(normalise_name(ancestor))) is not None:
            above[node] = min(distance, above.get(node, distance))
    if not above:
        return UNLABELLED
    deepest = max(ontology.nodes[node].level for node in above)
    nearest = min(distance for node, distance in above.items() if ontology.nodes[node].level == deepest)
    return _in_common(
        ontology,
        [node for node, distance in above.items() if distance == nearest and ontology.nodes[node].level == deepest],
    )


def term_label(term: str) -> str:
    """Return the label of a Cell Ontology id, the id itself where it is none."""
    found = _term_id(term)
    return term if found is None else str(_terms()[found]["label"])


def _in_common(ontology: CellOntology, nodes: list[int]) -> int:
    """Return the deepest node at or above all of some nodes of one level; UNLABELLED where there is none."""
    while len(set(nodes)) > 1:
        nodes = [int(ontology.parents[node]) for node in nodes]
    return nodes[0]


def _term_id(label: str) -> str | None:
    written = _CL_ID.match(label.strip())
    term = f"CL:{written.group(1)}" if written else _ids_by_name().get(normalise_name(label))
    seen: set[str] = set()
    while term in _terms() and term not in seen and _terms()[term].get("deprecated"):
        seen.add(term)
        term = str(_terms()[term].get("replaced_by", term))
    return term if term in _terms() else None


@lru_cache(maxsize=1)
def _terms() -> dict[str, dict[str, Any]]:
    """Return the Cell Ontology as shipped with cellxgene-ontology-guide: id to ancestors with distances, label, ..."""
    from cellxgene_ontology_guide.ontology_parser import OntologyParser  # unpacks 10 MB

    terms: dict[str, dict[str, Any]] = OntologyParser().cxg_schema.ontology("CL")
    return terms


@lru_cache(maxsize=1)
def _ids_by_name() -> dict[str, str]:
    """Return normalised label or synonym to id; synonyms that are short or shared by several terms are left out."""
    current = {term: facts for term, facts in _terms().items() if not facts.get("deprecated")}
    by_synonym: dict[str, set[str]] = {}
    for term, facts in current.items():
        for synonym in facts.get("synonyms", ()):
            by_synonym.setdefault(normalise_name(synonym), set()).add(term)
    safe = {name: min(ids) for name, ids in by_synonym.items() if len(ids) == 1 and len(name) >= _SHORTEST_SYNONYM}
    return safe | {normalise_name(facts["label"]): term for term, facts in current.items()}
