"""The cell ontology: the label tree, its roles, and how a label of a user becomes a node of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from schema.errors import InputError, UsageError
from schema.names import nearest_names, normalise_name

UNLABELLED = -1
"""Code of a cell whose type is not known."""

TYPE_LEVEL = 2
"""Level of the label tree at which a cell's type is called."""

DEFAULT_ONTOLOGY = Path(__file__).with_name("cell_ontology.yaml")


@dataclass(frozen=True, kw_only=True)
class CellNode:
    """One node of the label tree.

    Attributes
    ----------
    id, name
        Short stable id and the field's name for the cell type.
    level
        1 lineage, 2 type, 3 subset or neutrophil state, 4 a user's finer state.
    parent
        Id of the parent node; None at level 1.
    cl_id, cl_match
        Cell Ontology id, and whether it means this node ("exact") or only stands near it ("nearest").
    synonyms
        Further names that resolve to this node.
    markers_mouse, markers_human
        Gene symbols shown as evidence.
    """

    id: str
    name: str
    level: int
    parent: str | None = None
    cl_id: str | None = None
    cl_match: str | None = None
    synonyms: tuple[str, ...] = ()
    markers_mouse: tuple[str, ...] = ()
    markers_human: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Roles:
    """Nodes that mean something to training or to the burden score, by id; no class name is special beyond these.

    `doublet` is the node of all doublets, `other_doublet` that of pairs which are not a neutrophil and a malignant
    cell. `endothelial_tip` lies below the endothelial cells it is a share of; `excluded_states` are neutrophil states
    that say more of the quality of a cell than of what it does. A tree without one of the optional roles, or written
    before there was one, does without what it is for.
    """

    neutrophil: str
    malignant: str
    endothelial: str
    immune: tuple[str, ...]
    neutrophil_malignant_doublet: str | None
    pro_tumor_states: tuple[str, ...]
    outside_denominator: tuple[str, ...]
    ambient: str | None = None
    doublet: str | None = None
    other_doublet: str | None = None
    lymphoid: str | None = None
    endothelial_tip: str | None = None
    excluded_states: tuple[str, ...] = ()


@dataclass(frozen=True)
class CellOntology:
    """The label tree. Nodes are numbered in file order, parents first; leaves in the order of their nodes."""

    version: str
    nodes: tuple[CellNode, ...]
    roles: Roles
    unlabelled_names: frozenset[str]

    def __post_init__(self) -> None:
        """Refuse a tree that contradicts itself."""
        seen: dict[str, int] = {}
        for node in self.nodes:
            if node.cl_match not in (None, "exact", "nearest"):
                raise _bad_tree(f"cl_match: {node.cl_match} at {node.id}", "Use exact or nearest.")
            if node.id in seen:
                raise _bad_tree(f"the id {node.id} twice", "Give every node its own id.")
            if node.parent is not None and node.parent not in seen:
                raise _bad_tree(f"the parent {node.parent} of {node.id} not before it", "List parents before children.")
            if node.level != (1 if node.parent is None else seen[node.parent] + 1):
                raise _bad_tree(f"level {node.level} at {node.id}", "A level is one more than its parent's.")
            seen[node.id] = node.level
        for role in _role_ids(self.roles):
            if role not in seen:
                raise _bad_tree(f"a role that names {role}", "Let roles name nodes of the tree.")
        _ = self.index_by_name  # ambiguous names are refused here, not at the first label

    @cached_property
    def index_by_id(self) -> dict[str, int]:
        """Node id to node index."""
        return {node.id: index for index, node in enumerate(self.nodes)}

    @cached_property
    def index_by_name(self) -> dict[str, int]:
        """Normalised id, name, synonym or exact Cell Ontology id to node index."""
        names: dict[str, int] = {}
        for index, node in enumerate(self.nodes):
            exact = (node.cl_id,) if node.cl_id and node.cl_match == "exact" else ()
            for name in (node.id, node.name, *node.synonyms, *exact):
                if names.setdefault(normalise_name(name), index) != index:
                    other = self.nodes[names[normalise_name(name)]].id
                    raise _bad_tree(f"the name {name!r} at {other} and at {node.id}", "Keep it at one of them.")
        return names

    @cached_property
    def parents(self) -> npt.NDArray[np.int64]:
        """Index of each node's parent, int64 `[n_nodes]`; -1 at the top."""
        return np.array([-1 if n.parent is None else self.index_by_id[n.parent] for n in self.nodes], dtype=np.int64)

    @cached_property
    def leaves(self) -> npt.NDArray[np.int64]:
        """Node index of each leaf, int64 `[n_leaves]`: the classes of the softmax."""
        return np.setdiff1d(np.arange(len(self.nodes)), self.parents)

    @cached_property
    def leaves_below(self) -> npt.NDArray[np.bool_]:
        """Whether a leaf lies at or below a node, bool `[n_nodes, n_leaves]`."""
        below = np.zeros((len(self.nodes), len(self.leaves)), dtype=bool)
        for column, leaf in enumerate(self.leaves):
            node = int(leaf)
            while node >= 0:
                below[node, column] = True
                node = int(self.parents[node])
        return below

    @cached_property
    def levels(self) -> npt.NDArray[np.int64]:
        """Level of each node, int64 `[n_nodes]`."""
        return np.array([node.level for node in self.nodes], dtype=np.int64)

    def nodes_at(self, level: int) -> npt.NDArray[np.int64]:
        """Return the nodes that answer "which type" at a level: those of that level and shallower leaves, int64."""
        is_leaf = np.isin(np.arange(len(self.nodes)), self.leaves)
        return np.flatnonzero((self.levels == level) | (is_leaf & (self.levels < level)))

    @cached_property
    def neutrophil_states(self) -> npt.NDArray[np.int64]:
        """Nodes of the neutrophil states, int64 `[n_states]`: the children of the neutrophil."""
        return np.flatnonzero(self.parents == self.index_by_id[self.roles.neutrophil])

    def ancestor_at(self, level: int) -> npt.NDArray[np.int64]:
        """Return each node's ancestor (or itself) at a level, int64 `[n_nodes]`; -1 for nodes above that level.

        A leaf above the level stands for itself.
        """
        answers = set(self.nodes_at(level).tolist())
        result = np.full(len(self.nodes), -1, dtype=np.int64)
        for start in range(len(self.nodes)):
            node = start
            while node >= 0 and node not in answers:
                node = int(self.parents[node])
            result[start] = node
        return result

    @cached_property
    def ambient_type(self) -> int | None:
        """Node at the level of types that means a droplet of ambient RNA; None where the tree has none."""
        if self.roles.ambient is None:
            return None
        return int(self.ancestor_at(TYPE_LEVEL)[self.index_by_id[self.roles.ambient]])

    def below(self, *ids: str) -> npt.NDArray[np.bool_]:
        """Return which leaves lie at or below any of the named nodes, bool `[n_leaves]`."""
        return np.any(self.leaves_below[[self.index_by_id[i] for i in ids]], axis=0) if ids else self.leaves < 0

    def inside(self, *ids: str) -> npt.NDArray[np.bool_]:
        """Return which nodes lie at or below the named ones with all of their leaves, bool `[n_nodes]`."""
        return np.asarray(~(self.leaves_below & ~self.below(*ids)).any(axis=1))

    def reported_cl_id(self, index: int) -> str:
        """Return the Cell Ontology id to report for a node: its own, else its nearest ancestor's, else "unknown"."""
        while index >= 0:
            if cl_id := self.nodes[index].cl_id:
                return cl_id
            index = int(self.parents[index])
        return "unknown"

    def find(self, label: object) -> int | None:
        """Return the node a label means, UNLABELLED for names that say "not known", None where nothing fits."""
        form = normalise_name(label)
        if form in self.unlabelled_names:
            return UNLABELLED
        return self.index_by_name.get(form)

    def suggestions(self, label: object) -> list[str]:
        """Return the known names nearest to a label, best first."""
        return nearest_names(label, [name for node in self.nodes for name in (node.name, *node.synonyms)])

    def to_dict(self) -> dict[str, Any]:
        """Return the ontology as plain lists and strings, as `from_dict` reads it."""
        return {
            "version": self.version,
            "roles": {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self.roles).items()},
            "unlabelled": sorted(self.unlabelled_names),
            "nodes": [{k: list(v) if isinstance(v, tuple) else v for k, v in vars(n).items()} for n in self.nodes],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CellOntology:
        """Build an ontology from plain lists and strings."""
        try:
            nodes = tuple(CellNode(**{k: _frozen(v) for k, v in node.items()}) for node in content["nodes"])
            roles = Roles(**{k: _frozen(v) for k, v in content["roles"].items()})
            unlabelled = frozenset(normalise_name(name) for name in content["unlabelled"])
            return cls(str(content["version"]), nodes, roles, unlabelled)
        except (KeyError, TypeError, AttributeError) as error:
            raise _bad_tree(repr(error), "Compare with schema/cell_ontology.yaml.") from error

    @classmethod
    def load(cls, path: Path | None = None) -> CellOntology:
        """Read the project's own tree, or a user's; a user's file may extend ours with `extends: default`.

        Raises
        ------
        UsageError
            If the file cannot be read or contradicts itself.
        """
        default = yaml.safe_load(DEFAULT_ONTOLOGY.read_text(encoding="utf-8"))
        if path is None:
            return cls.from_dict(default)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise _bad_tree(f"{type(error).__name__} at {path.name}", "Give a readable YAML file.") from error
        if isinstance(content, dict) and content.get("extends") == "default":
            added = content.get("nodes") or []
            if not isinstance(added, list):
                raise _bad_tree(f"nodes: {added!r} at {path.name}", "Give a list of nodes.")
            content = default | {"version": content.get("version", path.stem), "nodes": default["nodes"] + added}
        return cls.from_dict(content)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _role_ids(roles: Roles) -> list[str]:
    values = [v if isinstance(v, tuple) else (v,) for v in vars(roles).values() if v is not None]
    return [name for value in values for name in value]


def _bad_tree(got: str, fix: str) -> UsageError:
    return UsageError("a cell ontology is one consistent tree", got=got, where="the ontology file", fix=fix)


def unresolved_labels(ontology: CellOntology, labels: list[str], where: str) -> InputError:
    """Return the error that lists labels no node answers to, each with the nearest known names."""
    shown = [
        f"{label!r}" + (f" (nearest: {', '.join(near)})" if (near := ontology.suggestions(label)) else "")
        for label in labels[:20]
    ]
    more = f" and {len(labels) - 20} more" if len(labels) > 20 else ""
    return InputError(
        "every cell type label must resolve to a node of the ontology",
        got=f"{len(labels)} unknown: " + "; ".join(shown) + more,
        where=where,
        fix="Map them in a label map (data.label_map: a YAML of label: node), null = unlabelled.",
    )
