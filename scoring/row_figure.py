"""The common anatomy of the sample figures: one row per sample, a legend above, words to the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from scoring.palette import INK, MUTED, text_on
from scoring.svg import display_width, short_name

Floats = npt.NDArray[np.float64]

WIDTH = 9.0  # inches; the page scales it
_CHARACTER = 0.074  # inches of a 9-point character
_TALL = 20  # rows from which the x axis is repeated on top


@dataclass(frozen=True)
class Series:
    """One part of a stacked bar: its name, short label, color and share per sample."""

    name: str
    label: str
    color: str
    share: Floats


def new_row_figure(
    names: Sequence[str], *, x_label: str, legend: Sequence[Artist], n_columns: int, right: float
) -> tuple[Figure, Axes]:
    """Return a figure with one row per sample, first sample on top, whose height follows their number.

    Parameters
    ----------
    names
        Sample names, `[n_samples]`, elided where long.
    x_label
        Label of the x axis, with its unit.
    legend, n_columns
        Legend entries, drawn above, and in how many columns.
    right
        Inches kept free at the right for words.
    """
    labels = [short_name(name) for name in names]
    left = 0.25 + _CHARACTER * max([6, *map(display_width, labels)])
    row = 0.32 if len(labels) <= 12 else 0.25 if len(labels) <= 30 else 0.2
    legend_height = 0.2 * -(-len(legend) // n_columns) + 0.12
    top = legend_height + (0.5 if len(labels) > _TALL else 0.05)
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
        bbox_to_anchor=(left / WIDTH, 1.0),
        borderaxespad=0.1,
        borderpad=0.2,
        columnspacing=1.4,
        handlelength=1.2,
        handletextpad=0.5,
        labelspacing=0.35,
    )
    return figure, axes


def stacked_figure(
    names: Sequence[str], series: Sequence[Series], *, x_label: str, n_columns: int, right: float, missing: str
) -> tuple[Figure, Axes]:
    """Return horizontal stacked bars of shares, percent; segments that are wide enough carry their label.

    Parameters
    ----------
    names
        Sample names, `[n_samples]`.
    series
        Parts in the order in which they are stacked; NaN shares leave a row empty.
    x_label, n_columns, right
        As in `new_row_figure`.
    missing
        Words in an empty row.
    """
    legend = [Patch(facecolor=s.color, label=s.name) for s in series]
    figure, axes = new_row_figure(names, x_label=x_label, legend=legend, n_columns=n_columns, right=right)
    axes.set_xlim(0, 100)
    start = np.zeros(len(names))
    for part in series:
        width = 100 * np.nan_to_num(part.share)
        axes.barh(range(len(names)), width, 0.78, start, color=part.color, edgecolor="white", linewidth=0.5)
        _label_segments(axes, part, start, width)
        start = start + width
    for row in np.flatnonzero(np.isnan(series[0].share)):
        axes.text(0.8, row, missing, va="center", style="italic", color=MUTED)
    return figure, axes


def _label_segments(axes: Axes, part: Series, start: Floats, width: Floats) -> None:
    needed = 1.5 + 1.15 * display_width(part.label)
    for row in np.flatnonzero(width >= needed):
        x = start[row] + width[row] / 2
        axes.text(x, row, part.label, ha="center", va="center", fontsize=7, color=text_on(part.color))


def write_right(axes: Axes, words: Sequence[str], title: str) -> None:
    """Write one text per row to the right of the axes, under a title."""
    x = axes.get_xlim()[1]
    for row, text in enumerate(words):
        axes.annotate(text, (x, row), (8, 0), textcoords="offset points", va="center", color=INK, annotation_clip=False)
    axes.annotate(
        title, (x, -0.5), (8, 6), textcoords="offset points", fontsize=8, color=MUTED, annotation_clip=False
    )
