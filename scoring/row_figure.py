"""The common anatomy of the sample figures: one row per sample, a legend above, words to the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from scoring.palette import INK, MUTED, text_on
from scoring.svg import display_width, short_name

Floats = npt.NDArray[np.float64]

WIDTH = 9.0  # inches; the page scales it
_CHARACTER = 0.074  # inches of a 9-point character, with room for wide ones
_LEGEND_CHARACTER = 0.062  # the same on average over a long name
_TALL = 20  # rows from which the x axis is repeated on top


@dataclass(frozen=True)
class Series:
    """One part of a stacked bar: its name, short label, color and share per sample."""

    name: str
    label: str
    color: str
    share: Floats


def new_row_figure(
    names: Sequence[str], *, x_label: str, legend: Sequence[Artist], right: float
) -> tuple[Figure, Axes]:
    """Return a figure with one row per sample, first sample on top, whose height follows their number.

    Parameters
    ----------
    names
        Sample names, `[n_samples]`, elided where long.
    x_label
        Label of the x axis, with its unit.
    legend
        Legend entries, drawn above in as many columns as fit.
    right
        Inches kept free at the right for words.
    """
    labels = [short_name(name) for name in names]
    left = 0.25 + _CHARACTER * max([6, *map(display_width, labels)])
    row = 0.32 if len(labels) <= 12 else 0.25 if len(labels) <= 30 else 0.2
    n_columns = legend_columns([str(entry.get_label()) for entry in legend])
    legend_height = 0.18 * -(-len(legend) // n_columns) + 0.15
    top = legend_height + (0.4 if len(labels) > _TALL else 0.05)
    height = top + row * len(labels) + 0.5
    figure = Figure(figsize=(WIDTH, height))
    box = (left / WIDTH, 0.5 / height, (WIDTH - left - right) / WIDTH, row * len(labels) / height)
    axes = figure.add_axes(box)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels=labels)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", top=len(labels) > _TALL, labeltop=len(labels) > _TALL)
    axes.set_xlabel(x_label)
    figure.legend(
        handles=list(legend),
        ncols=n_columns,
        loc="upper left",
        bbox_to_anchor=(0.0, 1.0),
        borderaxespad=0.1,
        borderpad=0.2,
        columnspacing=1.4,
        handlelength=1.2,
        handletextpad=0.5,
        labelspacing=0.35,
    )
    return figure, axes


def legend_columns(labels: Sequence[str]) -> int:
    """Return the most columns, filled one after another, that fit the width of the figure."""
    for n_columns in range(min(6, len(labels)), 1, -1):
        widths = np.array_split([display_width(label) for label in labels], n_columns)  # as matplotlib fills them
        if sum(0.45 + _LEGEND_CHARACTER * column.max() for column in widths) <= WIDTH:
            return n_columns
    return 1


def stacked_figure(
    names: Sequence[str], series: Sequence[Series], *, x_label: str, right: float, missing: str
) -> tuple[Figure, Axes]:
    """Return horizontal stacked bars of shares, percent; segments that are wide enough carry their label.

    Parameters
    ----------
    names
        Sample names, `[n_samples]`.
    series
        Parts in the order in which they are stacked; NaN shares leave a row empty.
    x_label, right
        As in `new_row_figure`.
    missing
        Words in an empty row.
    """
    legend = [Patch(facecolor=s.color, label=_legend_label(s)) for s in series]
    figure, axes = new_row_figure(names, x_label=x_label, legend=legend, right=right)
    axes.set_xlim(0, 100)
    start = np.zeros(len(names))
    for part in series:
        width = 100 * np.nan_to_num(part.share)
        axes.add_collection(_bars(start, width, part.color), autolim=False)
        _label_segments(axes, part, start, width)
        start = start + width
    for row in np.flatnonzero(np.isnan(series[0].share)).tolist():
        axes.text(0.8, row, missing, va="center", style="italic", color=MUTED)
    return figure, axes


def _bars(start: Floats, width: Floats, color: str) -> PolyCollection:
    """Return one segment per row that has one; a collection draws much faster than `barh`."""
    rows = np.flatnonzero(width > 0)
    left, right = start[rows], start[rows] + width[rows]
    x, y = np.stack([left, right, right, left], axis=1), rows[:, None] + np.array([-0.39, -0.39, 0.39, 0.39])
    return PolyCollection(list(np.stack([x, y], axis=2)), facecolors=color, edgecolors="white", linewidths=0.5)


def _legend_label(part: Series) -> str:
    return part.name if part.name == part.label else f"{part.name} ({part.label})"


def _label_segments(axes: Axes, part: Series, start: Floats, width: Floats) -> None:
    needed = 1.5 + 1.15 * display_width(part.label)
    for row in np.flatnonzero(width >= needed).tolist():
        x = float(start[row] + width[row] / 2)
        axes.text(x, row, part.label, ha="center", va="center", fontsize=7, color=text_on(part.color))


def write_right(axes: Axes, words: Sequence[str], title: str) -> None:
    """Write one text per row to the right of the axes, under a title."""
    x = axes.get_xlim()[1]
    for row, text in enumerate(words):
        axes.annotate(text, (x, row), (8, 0), textcoords="offset points", va="center", color=INK, annotation_clip=False)
    axes.annotate(title, (x, -0.5), (8, 6), textcoords="offset points", fontsize=8, color=MUTED, annotation_clip=False)
