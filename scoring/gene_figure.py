"""Why these calls: for each call a small panel of the genes that speak loudest for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from schema.labels import TYPE_LEVEL, CellOntology
from schema.predictions import GENE_COLUMNS, check_columns, fraction_columns
from scoring.palette import INK, MUTED, NEUTROPHIL
from scoring.row_figure import WIDTH
from scoring.svg import drawing, figure_svg, short_name

MAX_CALLS, MAX_GENES = 9, 8
"""Panels of a figure, and genes of a panel; genes.csv has the rest."""

MARKER, OTHER_GENE = NEUTROPHIL, "#7b8794"
_COLUMNS = 3
_PANEL, _ABOVE, _BELOW = 1.95, 0.5, 0.4  # inches
_LEFT, _RIGHT = 0.36, 0.13  # share of a column for gene names and for linear ranks


def gene_figures(genes: pd.DataFrame | None, samples: pd.DataFrame, ontology: CellOntology) -> dict[str, str]:
    """Return the figures of types and neutrophil states, by name; those without any explained call are left out.

    Parameters
    ----------
    genes
        As genes.csv; None = nothing was explained.
    samples
        As samples.csv.
    ontology
        The bundle's.

    Raises
    ------
    ValueError
        If the table of genes does not have the contract's columns.
    """
    if genes is None:
        return {}
    check_columns(genes, GENE_COLUMNS)
    shown = {"why_types": types_to_show(genes, samples, ontology), "why_states": states_to_show(genes, ontology)}
    words = {"why_types": "Genes behind the cell types.", "why_states": "Genes behind the neutrophil states."}
    return {
        name: gene_figure(genes, calls, name=name, description=words[name]) for name, calls in shown.items() if calls
    }


def types_to_show(genes: pd.DataFrame, samples: pd.DataFrame, ontology: CellOntology) -> list[str]:
    """Return the ids of the types of a figure: neutrophils first, then the most frequent that were explained."""
    types = ontology.nodes_at(TYPE_LEVEL)
    names = [column.name for column in fraction_columns(ontology)]
    share = dict(zip(types.tolist(), samples[names].fillna(0).mean().tolist(), strict=True))
    explained = set(genes["cell_type_id"])
    shown = [node for node in types.tolist() if ontology.nodes[node].id in explained]
    neutrophil = ontology.index_by_id[ontology.roles.neutrophil]
    shown.sort(key=lambda node: (node != neutrophil, -share[node]))
    return [ontology.nodes[node].id for node in shown[:MAX_CALLS]]


def states_to_show(genes: pd.DataFrame, ontology: CellOntology) -> list[str]:
    """Return the ids of the neutrophil states of a figure, in the order of the tree."""
    explained = set(genes["cell_type_id"])
    states = [node.id for node in ontology.nodes if node.parent == ontology.roles.neutrophil]
    return [state for state in states if state in explained][:MAX_CALLS]


def gene_figure(genes: pd.DataFrame, calls: Sequence[str], *, name: str, description: str) -> str:
    """Return a panel for each call: bars of what its genes add, markers in color, ranks of a linear method beside them.

    Parameters
    ----------
    genes
        As genes.csv; rows of all samples are shown.
    calls
        Ids of the calls, in order.
    name, description
        As in `scoring.svg.figure_svg`.
    """
    with drawing():
        n_rows = -(-len(calls) // _COLUMNS)
        height = _ABOVE + n_rows * (_PANEL + _BELOW)
        figure = Figure(figsize=(WIDTH, height))
        of_all = genes[genes["sample_id"] == ""]
        for number, call in enumerate(calls):
            row, column = divmod(number, _COLUMNS)
            bottom = height - _ABOVE - row * (_PANEL + _BELOW) - _PANEL
            width = (1 - _LEFT - _RIGHT) / _COLUMNS
            axes = figure.add_axes(((column + _LEFT) / _COLUMNS, bottom / height, width, (_PANEL - 0.3) / height))
            _draw_call(axes, of_all[of_all["cell_type_id"] == call].head(MAX_GENES))
        figure.legend(
            handles=[
                Patch(facecolor=MARKER, label="marker in the label tree"),
                Patch(facecolor=OTHER_GENE, label="other gene"),
                Patch(facecolor="white", edgecolor=OTHER_GENE, label="hollow: lower here than elsewhere"),
            ],
            loc="upper left",
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.1,
            ncols=3,
        )
        words = "bars: nats of log probability · #: rank in the linear method"
        figure.text(1.0, 1 - 0.12 / height, words, ha="right", va="center", fontsize=7.5, color=MUTED)
        return figure_svg(figure, name=name, description=description)


def _draw_call(axes: Axes, genes: pd.DataFrame) -> None:
    place = np.arange(len(genes))
    color = np.where(genes["is_marker"], MARKER, OTHER_GENE)
    is_low = (genes["mean_expression"] < genes["mean_expression_elsewhere"]).to_numpy()
    axes.barh(place, genes["attribution"], color=np.where(is_low, "white", color), edgecolor=color, height=0.7)
    axes.set_ylim(MAX_GENES - 0.5, -0.5)
    axes.set_yticks(place, labels=[short_name(gene, 16) for gene in genes["gene"]], fontsize=8)
    for label, is_marker in zip(axes.get_yticklabels(), genes["is_marker"], strict=True):
        label.set_color(MARKER if is_marker else INK)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7)
    axes.locator_params(axis="x", nbins=4)
    _write_ranks(axes, genes)
    first = genes.iloc[0]
    axes.annotate(
        short_name(first["cell_type"], 36), (-0.62, 1.12), xycoords="axes fraction", fontsize=9.5, fontweight="bold"
    )
    agreement = "–" if pd.isna(first["rank_correlation"]) else f"{first['rank_correlation']:.2f}"
    words = f"{first['n_cells']} cells; rank correlation {agreement}"
    axes.annotate(words, (-0.62, 1.02), xycoords="axes fraction", fontsize=7.5, color=MUTED)


def _write_ranks(axes: Axes, genes: pd.DataFrame) -> None:
    """Write at the right of each bar its place by the linear method."""
    for place, rank in enumerate(genes["linear_rank"]):
        text = "" if pd.isna(rank) else f"#{rank}" if rank < 1000 else ">999"
        axes.annotate(text, (1.03, place), xycoords=("axes fraction", "data"), va="center", fontsize=7.5, color=MUTED)
