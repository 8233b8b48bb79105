"""A label tree made of a plain list of labels: no level between them, roles taken from what their names mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from schema.labels import TYPE_LEVEL, CellNode, CellOntology, Roles
from schema.names import normalise_name

FLAT = "flat"
"""What `data.ontology` is set to for a tree made of the labels."""


def flat_ontology(labels: Sequence[str], default: CellOntology) -> CellOntology:
    """Return a label tree whose leaves are the labels themselves.

    Labels that the default tree knows take over its Cell Ontology id and its roles: which of them are neutrophils,
    malignant or endothelial cells, and which the burden does not count. Labels of several kinds of one role, such as
    neutrophil states, come under one node. A role that no label has gets a leaf of its own without any training cell,
    so that nothing is ever taken for it.

    Parameters
    ----------
    labels
        Labels of the cells; those that say "not known" are left out.
    default
        The tree that names are looked up in.
    """
    known: dict[str, str] = {}
    for label in labels:
        if default.find(label) != -1:
            known.setdefault(normalise_name(label), label)
    names = sorted(known.values())
    ids = _ids(names)
    of_role = {role: _having(names, getattr(default.roles, role), default) for role in _SINGLE}
    nodes: list[CellNode] = []
    roles: dict[str, str] = {}
    for role, having in of_role.items():
        whole, parts = _whole_and_parts(role, having, default)
        nodes += _role_nodes(role, whole, [(ids[name], name) for name in parts], default)
        roles[role] = nodes[-len(parts) - 1].id
        ids |= dict.fromkeys(whole, roles[role])
    placed = {name for having in of_role.values() for name in having}
    nodes += [_node(ids[name], name, default) for name in names if name not in placed]

    def having_any(of: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(ids[name] for name in names for node in of if _is_below(name, node, default)))

    ambient = _having(names, default.roles.ambient, default)
    return CellOntology(
        version=FLAT,
        nodes=tuple(nodes),
        roles=Roles(
            neutrophil=roles["neutrophil"],
            malignant=roles["malignant"],
            endothelial=roles["endothelial"],
            immune=having_any(default.roles.immune),
            neutrophil_malignant_doublet=None,
            pro_tumor_states=having_any(default.roles.pro_tumor_states),
            outside_denominator=having_any(default.roles.outside_denominator),
            ambient=ids[ambient[0]] if len(ambient) == 1 else None,
        ),
        unlabelled_names=default.unlabelled_names,
    )


_SINGLE = ("neutrophil", "malignant", "endothelial")
"""Roles that every tree needs exactly one node for."""


def _whole_and_parts(role: str, having: Sequence[str], default: CellOntology) -> tuple[list[str], list[str]]:
    """Return the labels that mean the node of a role itself, or are its only one, and those that mean a part of it."""
    if len(having) == 1:
        return list(having), []
    at = default.index_by_id[getattr(default.roles, role)]
    whole = [name for name in having if default.find(name) == at]
    return whole, [name for name in having if name not in whole]


def _role_nodes(
    role: str, whole: Sequence[str], parts: Sequence[tuple[str, str]], default: CellOntology
) -> list[CellNode]:
    """Return the node of a role, named by the labels that mean it, and below it those of its parts.

    Neutrophils that have states stand at the level of types, below a node of their own: states are called within types.
    """
    model = default.nodes[default.index_by_id[getattr(default.roles, role)]]
    names = whole or [model.name]
    node = replace(_node(model.id, names[0], default), synonyms=tuple(names[1:]))
    above = []
    if role == "neutrophil" and parts:
        above = [CellNode(id=f"{model.id}_LINEAGE", name=f"{model.name} lineage", level=TYPE_LEVEL - 1)]
        node = replace(node, level=TYPE_LEVEL, parent=above[0].id)
    return [*above, node, *(replace(_node(*part, default), level=node.level + 1, parent=node.id) for part in parts)]


def _node(node_id: str, name: str, default: CellOntology) -> CellNode:
    at = default.find(name)
    model = None if at is None else default.nodes[at]
    return CellNode(
        id=node_id,
        name=name,
        level=1,
        cl_id=model.cl_id if model else None,
        cl_match="nearest" if model and model.cl_id else None,
        markers_mouse=model.markers_mouse if model else (),
        markers_human=model.markers_human if model else (),
    )


def _having(names: Sequence[str], role: str | None, default: CellOntology) -> list[str]:
    return [name for name in names if role is not None and _is_below(name, role, default)]


def _is_below(name: str, node_id: str, default: CellOntology) -> bool:
    """Return whether a label means the node or one below it."""
    at = default.find(name)
    if at is None:
        return False
    below = default.leaves_below
    return bool((below[at] <= below[default.index_by_id[node_id]]).all())


def _ids(names: Sequence[str]) -> dict[str, str]:
    """Return a short id for each name: its letters and digits, numbered where two would be alike."""
    ids: dict[str, str] = {}
    for number, name in enumerate(names):
        plain = re.sub(r"\W+", "_", name).strip("_") or "type"
        ids[name] = plain if plain not in ids.values() else f"{plain}_{number}"
    return ids
