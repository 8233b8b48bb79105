"""The rows of genes.csv: which genes drove each call, the network's answer beside a linear method's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse, stats

from schema.errors import UsageError
from schema.genes import GeneVocabulary
from schema.labels import TYPE_LEVEL, CellOntology
from schema.predictions import GENE_COLUMNS
from scoring.drawn_cells import ALL_SAMPLES, MIN_CELLS, CellDraw, Group
from scoring.linear import linear_weights

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


COMPARED_GENES = 100
"""Genes over which network and linear method are compared: among all genes, those that say nothing drown the rest."""


@dataclass(frozen=True, kw_only=True)
class GeneSources:
    """Where the table takes its numbers from.

    Attributes
    ----------
    ontology, vocabulary, sample_ids
        Label tree, genes in the network's order, names of samples.
    present
        bool `[n_genes]`, genes that the file measured.
    expression
        Rows of drawn cells, int64 `[n]` ascending, to their normalised expression, float32 `[n, n_genes]`.
    unknown
        float64 `[n_genes]`, expression at which a gene counts as unknown, where calls are explained against that;
        None = against cells that were called otherwise.
    attribute
        What each gene adds to the log probability of a node, mean over cells, float64 `[n_genes]`, in nats. Takes the
        node, the node that is given (None = nothing is), rows of the node's cells, int64 ascending, and of the cells to
        which each is compared, one each in any order; none of these = the unknown.
    """

    ontology: CellOntology
    vocabulary: GeneVocabulary
    sample_ids: Sequence[str]
    present: npt.NDArray[np.bool_]
    expression: Callable[[Ints], sparse.csr_matrix]
    unknown: Floats | None
    attribute: Callable[[int, int | None, Ints, Ints], Floats]


def explain_calls(
    draw: CellDraw, sources: GeneSources, *, n_genes: int, seed: int, nodes: Sequence[int] | None = None
) -> pd.DataFrame:
    """Return genes.csv as a table, exactly as `schema.predictions.GENE_COLUMNS` states it.

    Types are explained against all other types of the file, neutrophil states against the other states.

    Parameters
    ----------
    draw
        The drawn cells, once all cells have passed.
    sources
        Where the numbers come from.
    n_genes
        Most genes of a call.
    seed
        For the draw of the cells to which a call is compared.
    nodes
        Types and states to explain; None = all. Those with fewer than `MIN_CELLS` drawn cells have no rows.
    """
    groups = draw.groups()
    neutrophil = sources.ontology.index_by_id[sources.ontology.roles.neutrophil]
    frames = []
    for given in (None, neutrophil):
        members = {
            group: rows
            for group, rows in groups.items()
            if (sources.ontology.parents[group.node] == neutrophil) == (given is not None)
        }
        wanted = [g for g, rows in members.items() if len(rows) >= MIN_CELLS and (nodes is None or g.node in nodes)]
        if wanted:
            rivals = Rivals(members, draw.n_called, sources, given)
            frames += [_rows_of(group, members[group], rivals, sources, n_genes, seed) for group in wanted]
    return pd.concat(frames, ignore_index=True) if frames else _typed(pd.DataFrame(columns=_NAMES))


def called_node(ontology: CellOntology, name: str) -> int:
    """Return the type (level 2) or neutrophil state that a name means.

    Raises
    ------
    UsageError
        If it means nothing that a cell can be called.
    """
    node = ontology.find(name)
    if node is not None and node in {*ontology.nodes_at(TYPE_LEVEL).tolist(), *ontology.neutrophil_states.tolist()}:
        return node
    raise UsageError(
        "calls are explained for a type (level 2) or a neutrophil state",
        got=repr(name),
        where="cell_type",
        fix=f"Nearest names: {', '.join(ontology.suggestions(name)) or 'none'}.",
    )


class Rivals:
    """Calls that exclude each other, as seen on the drawn cells: their mean expression, and a linear method's weights.

    Parameters
    ----------
    members
        Rows of each group; those of all samples are one call each.
    n_called
        int64 `[n_nodes]`, cells called each node in the whole file.
    sources
        Where expression comes from.
    given
        Node that all of them are below, None = they are types.
    """

    def __init__(
        self, members: dict[Group, Ints], n_called: Ints, sources: GeneSources, given: int | None = None
    ) -> None:
        self.given = given
        self.place = {g.node: i for i, g in enumerate(g for g in members if g.sample == ALL_SAMPLES)}
        of_call = [members[Group(node, ALL_SAMPLES)] for node in self.place]
        rows, call = np.concatenate(of_call), np.repeat(np.arange(len(of_call)), [len(r) for r in of_call])
        order = np.argsort(rows)
        self._rows, self._call = rows[order], call[order]
        self._n_called, self._unknown = n_called[list(self.place)], sources.unknown
        expression = sources.expression(self._rows)
        self._weights = linear_weights(expression, self._call, len(of_call))
        member = sparse.csr_matrix((np.ones(len(call)), (self._call, np.arange(len(call)))))
        self._mean = (member @ expression).toarray() / np.bincount(self._call)[:, None]

    def elsewhere(self, node: int) -> Floats:
        """Return mean expression of the cells of the file called otherwise, float64 `[n_genes]`; NaN without any."""
        weight = np.where(np.arange(len(self._n_called)) == self.place[node], 0.0, self._n_called)
        return weight @ self._mean / weight.sum() if weight.any() else np.full(self._mean.shape[1], np.nan)

    def contrast(self, node: int) -> Floats:
        """Return the expression to which a node's is compared: of the other calls, each alike, or the unknown."""
        if self._unknown is not None:
            return self._unknown
        others = np.delete(self._mean, self.place[node], axis=0)
        return others.mean(axis=0) if len(others) else np.full(self._mean.shape[1], np.nan)

    def linear(self, node: int, mean_expression: Floats) -> Floats:
        """Return what each gene adds to the linear score of a node: weight times difference, float64 `[n_genes]`."""
        added: Floats = self._weights[:, self.place[node]] * (mean_expression - self.contrast(node))
        return added

    def others(self, node: int, n_cells: int, rng: np.random.Generator) -> Ints:
        """Return rows of cells of other calls, int64 `[n_cells]`: each call alike often, then each of its cells."""
        calls = np.delete(np.arange(len(self.place)), self.place[node])
        if self._unknown is not None or not len(calls):
            return np.zeros(0, dtype=np.int64)
        rows = [rng.choice(self._rows[self._call == call]) for call in rng.choice(calls, size=n_cells)]
        return np.array(rows, dtype=np.int64)


def _rows_of(group: Group, rows: Ints, rivals: Rivals, sources: GeneSources, n_genes: int, seed: int) -> pd.DataFrame:
    """Return the rows of one group, best gene first; genes that speak against the call have none."""
    node, present = sources.ontology.nodes[group.node], sources.present
    others = rivals.others(group.node, len(rows), np.random.default_rng([seed, group.node, group.sample + 1]))
    attribution = sources.attribute(group.node, rivals.given, rows, others)
    mean = np.asarray(sources.expression(rows).mean(axis=0), dtype=np.float64).ravel()
    linear = np.where(present, rivals.linear(group.node, mean), 0.0)
    best = np.argsort(-attribution, kind="stable")[:n_genes]
    best = best[attribution[best] > 0]
    is_human = sources.vocabulary.species == "human"
    symbols = [sources.vocabulary.symbols[gene] for gene in best]
    markers = set(node.markers_human if is_human else node.markers_mouse)
    is_fitted = not np.isnan(linear).any()
    loudest = np.argsort(-np.abs(attribution), kind="stable")[:COMPARED_GENES]
    correlation = _spearman(attribution[loudest], linear[loudest]) if is_fitted else np.nan
    frame = pd.DataFrame(
        {
            "cell_type_id": node.id,
            "cell_type": node.name,
            "level": node.level,
            "sample_id": "" if group.sample == ALL_SAMPLES else sources.sample_ids[group.sample],
            "n_cells": len(rows),
            "rank": np.arange(1, len(best) + 1),
            "gene": symbols,
            "attribution": attribution[best],
            "linear": linear[best],
            "linear_rank": _places(linear, present)[best] if is_fitted else pd.NA,
            "mean_expression": mean[best],
            "mean_expression_elsewhere": rivals.elsewhere(group.node)[best],
            "is_marker": [symbol in markers for symbol in symbols],
            "rank_correlation": correlation,
        }
    )
    return _typed(frame)


def _places(values: Floats, present: npt.NDArray[np.bool_]) -> Ints:
    """Return the place of each measured gene by value, highest first, int64 from 1; after them the others."""
    places = np.empty(len(values), dtype=np.int64)
    places[np.lexsort((-values, ~present))] = np.arange(1, len(values) + 1)
    return places


def _spearman(first: Floats, second: Floats) -> float:
    """Return Spearman's rank correlation; NaN where one of both is the same throughout."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(stats.spearmanr(first, second).statistic)


_NAMES = [column.name for column in GENE_COLUMNS]


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with the contract's dtypes."""
    return frame.astype({column.name: column.dtype for column in GENE_COLUMNS})
