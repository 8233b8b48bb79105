"""The figures of the report: tables in, inline SVG out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from schema.labels import UNLABELLED, CellOntology
from schema.predictions import (
    ASSESSABLE,
    NOT_ASSESSABLE,
    STAGE_BESIDE_BURDEN,
    fraction_columns,
    stage_columns,
    state_columns,
)
from schema.stages import StageScale
from scoring.palette import INK, MUTED, OTHER, PROBABILITY, RULE, choose_types, stage_colors, state_colors
from scoring.row_figure import Series, new_row_figure, stacked_figure, write_right
from scoring.svg import drawing, figure_svg
from scoring.wording import interval_text

Floats = npt.NDArray[np.float64]


def burden_figure(samples: pd.DataFrame, scale: StageScale | None, truth: pd.DataFrame | None) -> str:
    """Return the forest plot of burden by sample, in the order of the table.

    Parameters
    ----------
    samples
        As samples.csv.
    scale
        Colors the marks by predicted stage; None = one color.
    truth
        Columns sample_id and burden_percent, one row per sample in the same order; drawn as diamonds.
    """
    with drawing():
        legend = _burden_legend(samples, scale, has_truth=truth is not None)
        names = samples["sample_id"].tolist()
        label = "neutrophils, % of viable nucleated singlets (95 % interval)"
        figure, axes = new_row_figure(names, x_label=label, legend=legend, right=1.75)
        true = np.full(len(samples), np.nan) if truth is None else truth["burden_percent"].to_numpy(dtype=np.float64)
        highest = np.nanmax([1.0, *samples["burden_high"].astype(float), *true])
        axes.set_xlim(0, 1.06 * highest)
        axes.grid(axis="x", color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        colors = _stage_color_of(samples, scale)
        for row in range(len(samples)):
            _draw_burden(axes, row, samples.iloc[row], colors[row])
        axes.plot(true, range(len(true)), "D", mfc="none", mec=INK, ms=5, mew=1.1, ls="", clip_on=False, zorder=4)
        write_right(axes, [interval_text(samples.iloc[row]) for row in range(len(samples))], "% (95 % interval)")
        return figure_svg(figure, name="burden", description="Neutrophil burden of each sample with its interval.")


def _draw_burden(axes: Axes, row: int, sample: pd.Series, color: str) -> None:
    if sample["assessability"] == NOT_ASSESSABLE or np.isnan(sample["burden_percent"]):
        box = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": MUTED, "linestyle": (0, (3, 2))}
        position = (axes.get_xlim()[1] * 0.012, row)
        axes.text(*position, "not assessable", va="center", fontsize=8, style="italic", color=MUTED, bbox=box)
        return
    fill = color if sample["assessability"] == ASSESSABLE else "white"
    axes.hlines(row, sample["burden_low"], sample["burden_high"], color=color, linewidth=1.8, zorder=2)
    axes.plot(sample["burden_percent"], row, "o", mfc=fill, mec=color, mew=1.6, ms=6.5, clip_on=False, zorder=3)


def _burden_legend(samples: pd.DataFrame, scale: StageScale | None, *, has_truth: bool) -> list[Artist]:
    seen = set(samples[STAGE_BESIDE_BURDEN])
    levels = [] if scale is None else list(zip(scale.levels, stage_colors(scale), strict=True))
    marks: list[Artist] = [
        Line2D([], [], color=color, marker="o", lw=1.8, label=level.name)
        for level, color in levels
        if level.name in seen
    ]
    marks.append(Line2D([], [], color=MUTED, marker="o", mfc=MUTED, ls="", label="filled: assessable"))
    marks.append(Line2D([], [], color=MUTED, marker="o", mfc="white", mew=1.6, ls="", label="hollow: low confidence"))
    if has_truth:
        marks.append(Line2D([], [], color=INK, marker="D", mfc="none", ls="", label="true burden (simulated)"))
    return marks


def _stage_color_of(samples: pd.DataFrame, scale: StageScale | None) -> list[str]:
    colors = {} if scale is None else dict(zip([v.name for v in scale.levels], stage_colors(scale), strict=True))
    return [colors.get(name, MUTED) for name in samples[STAGE_BESIDE_BURDEN]]


def composition_figure(samples: pd.DataFrame, ontology: CellOntology) -> str:
    """Return the expected composition of each sample as stacked bars, neutrophils first, rare types as "other"."""
    with drawing():
        fractions = _values(samples, [c.name for c in fraction_columns(ontology)])
        column = {int(node): i for i, node in enumerate(ontology.nodes_at(2))}
        chosen = choose_types(ontology, fractions)
        series = [
            Series(ontology.nodes[node].name, ontology.nodes[node].id, color, fractions[:, column[node]])
            for node, color in chosen.items()
        ]
        rest = fractions[:, [i for node, i in column.items() if node not in chosen]].sum(axis=1)
        series.append(Series("other", "other", OTHER, rest))
        names = samples["sample_id"].tolist()
        figure, _ = stacked_figure(
            names, series, x_label="expected share of barcodes, %", right=0.2, missing="no cells"
        )
        return figure_svg(figure, name="composition", description="Expected cell-type composition of each sample.")


def stage_figure(samples: pd.DataFrame, scale: StageScale, truth: pd.DataFrame | None) -> str:
    """Return the probability of each stage per sample as stacked bars, lowest stage first.

    Parameters
    ----------
    samples
        As samples.csv.
    scale
        The stages.
    truth
        Columns sample_id and tumor_stage (name), one row per sample in the same order; written at the right.
    """
    with drawing():
        at_least = _values(samples, [c.name for c in stage_columns(scale)])
        ones, zeros = np.ones((len(samples), 1)), np.zeros((len(samples), 1))
        level = -np.diff(np.hstack([ones, at_least, zeros]), axis=1)
        level[np.isnan(level).any(axis=1)] = np.nan
        series = [
            Series(v.name, v.name, color, level[:, i])
            for i, (v, color) in enumerate(zip(scale.levels, stage_colors(scale), strict=True))
        ]
        names = samples["sample_id"].tolist()
        right = 0.2 if truth is None else 1.75
        figure, axes = stacked_figure(
            names, series, x_label="probability, %", right=right, missing="no stage predicted"
        )
        if truth is not None:
            write_right(axes, truth["tumor_stage"].fillna("").astype(str).tolist(), "true stage (simulated)")
        return figure_svg(figure, name="stage", description="Probability of each tumour stage for each sample.")


def state_figure(samples: pd.DataFrame, ontology: CellOntology) -> str:
    """Return the share of each neutrophil state per sample as stacked bars; rows of too few neutrophils stay empty."""
    with drawing():
        columns = state_columns(ontology)
        shares = _values(samples, [c.name for c in columns])
        ids = [c.name.removeprefix("state_") for c in columns]
        colors = state_colors(ids, ontology.roles.pro_tumor_states)
        names = [ontology.nodes[ontology.index_by_id[i]].name for i in ids]
        series = [Series(n, i, c, shares[:, k]) for k, (n, i, c) in enumerate(zip(names, ids, colors, strict=True))]
        figure, _ = stacked_figure(
            samples["sample_id"].tolist(),
            series,
            x_label="share of the sample's neutrophils, %",
            right=0.2,
            missing="fewer than 30 expected neutrophils",
        )
        return figure_svg(figure, name="states", description="Neutrophil states of each sample.")


def embedding_figure(embedding: pd.DataFrame, samples: pd.DataFrame, ontology: CellOntology) -> str:
    """Return two views of the same cells: by predicted type, and by neutrophil probability.

    Parameters
    ----------
    embedding
        Columns x, y (float, no unit), cell_type (a name of the ontology) and neutrophil_probability (calibrated).
    samples
        As samples.csv: gives types the colors of the composition figure.
    ontology
        The bundle's.
    """
    with drawing():
        chosen = choose_types(ontology, _values(samples, [c.name for c in fraction_columns(ontology)]))
        node = _nodes_of(embedding["cell_type"].tolist(), ontology)
        marks = _type_legend(chosen, node, ontology)
        below = max(0.75, 0.18 * -(-len(marks) // 2) + 0.1)  # inches under the maps
        height = 4.3 + below
        figure = Figure(figsize=(9.0, height))
        left, right = (figure.add_axes((x, below / height, 0.475, 4.0 / height)) for x in (0.01, 0.515))
        spread = np.random.default_rng(0).permutation(len(embedding))  # else the last sample hides the others
        color = np.array([chosen.get(n, OTHER) for n in node], dtype=object)
        _draw_cells(left, embedding.iloc[spread], color[spread].tolist(), "cell type")
        ranked = embedding.sort_values("neutrophil_probability", kind="stable")
        _draw_cells(right, ranked, PROBABILITY(ranked["neutrophil_probability"].to_numpy()), "neutrophil probability")
        figure.legend(
            handles=marks,
            loc="upper left",
            bbox_to_anchor=(0.0, below / height),
            ncols=2,
            handletextpad=0.2,
            labelspacing=0.35,
        )
        bar = figure.colorbar(
            ScalarMappable(cmap=PROBABILITY),
            cax=figure.add_axes((0.6, (below - 0.3) / height, 0.3, 0.12 / height)),
            orientation="horizontal",
        )
        bar.set_label("calibrated probability of being a neutrophil")
        bar.outline.set_visible(False)
        return figure_svg(figure, name="embedding", description="Map of cells by type and by neutrophil probability.")


def _nodes_of(names: Sequence[str], ontology: CellOntology) -> npt.NDArray[np.int64]:
    """Return the node that each name means, int64 `[n_cells]`; -1 where it means none."""
    found = {name: ontology.find(name) for name in dict.fromkeys(names)}
    codes = {name: UNLABELLED if node is None else node for name, node in found.items()}
    return np.array([codes[name] for name in names], dtype=np.int64)


def _draw_cells(axes: Axes, cells: pd.DataFrame, color: list[str] | Floats, title: str) -> None:
    size = float(np.clip(12000 / max(len(cells), 1), 3, 30))
    axes.scatter(cells["x"], cells["y"], s=size, c=color, linewidths=0, rasterized=True)
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_aspect("equal", adjustable="datalim")


def _type_legend(chosen: dict[int, str], node: npt.NDArray[np.int64], ontology: CellOntology) -> list[Line2D]:
    seen = set(node.tolist())
    marks = [_dot(color, ontology.nodes[n].name) for n, color in chosen.items() if n in seen]
    return marks + ([_dot(OTHER, "other")] if seen - set(chosen) else [])


def _dot(color: str, label: str) -> Line2D:
    return Line2D([], [], color=color, marker="o", ms=5, ls="", label=label)


def _values(samples: pd.DataFrame, columns: list[str]) -> Floats:
    return samples[columns].to_numpy(dtype=np.float64)
