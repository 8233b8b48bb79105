"""Samples by group: burden with intervals, a waterfall of all samples, neutrophil states; from 1 to 10,000 samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from schema.labels import CellOntology
from schema.predictions import ASSESSABLE, NOT_ASSESSABLE, state_columns
from scoring.comparison import Grouped
from scoring.palette import INK, MUTED, RULE, group_colors, state_colors
from scoring.row_figure import WIDTH, Series, legend_columns, stacked_figure
from scoring.svg import short_name
from scoring.wording import count_text

Floats = npt.NDArray[np.float64]

MAX_DOTS = 60
"""Samples of a group that are drawn; of more, so many that stand evenly among them by burden."""

MAX_BARS = 300
"""Bars of a waterfall; of more samples, so many that stand evenly among them by burden."""

MAX_NAMES = 40
"""Bars that carry the name of their sample."""

NO_GROUP = "no group"

_LEVEL_NAMES = 6
"""Groups whose names stand level; those of more are slanted."""

_PANEL = 3.4  # inches


def burden_by_group(grouped: Grouped) -> Figure:
    """Return burden against group: a dot and its interval for each sample, a bar at the median of each group.

    One panel per denominator. Draw inside `scoring.svg.drawing()`.
    """
    parts = _by_denominator(grouped)
    figure, panels = _panels(
        len(parts), below=1.1 if _is_slanted(grouped) else 0.75, legend=_marks([], has_median=True)
    )
    colors = group_colors(grouped.groups, grouped.scale)
    for axes, (denominator, samples) in zip(panels, parts, strict=True):
        thinned = False
        for place, (group, color) in enumerate(zip(grouped.groups, colors, strict=True)):
            readable = _readable(samples[samples["group"] == group])
            shown = _evenly(readable, MAX_DOTS)
            thinned |= len(shown) < len(readable)
            _draw_group(axes, place, shown, readable["burden_percent"].median(), color)
        _finish_groups(axes, samples, grouped)
        words = f"{MAX_DOTS} samples drawn of each larger group, evenly over their range" if thinned else ""
        _title(axes, denominator, words)
    return figure


def waterfall(grouped: Grouped) -> Figure:
    """Return all samples by falling burden as bars with their intervals, in the colors of their groups.

    Samples that are not assessable have no bar, and are counted. One panel per denominator.
    """
    parts = _by_denominator(grouped)
    colors = dict(zip(grouped.groups, group_colors(grouped.groups, grouped.scale), strict=True))
    has_names = max(len(_readable(samples)) for _, samples in parts) <= MAX_NAMES
    longest = max((len(short_name(str(name), 20)) for _, part in parts for name in part["sample_id"]), default=0)
    known = set(grouped.samples["group"])
    marks = [Patch(facecolor=color, label=short_name(group)) for group, color in colors.items() if group in known]
    marks += [Patch(facecolor=MUTED, label=NO_GROUP)] if "" in known else []
    below = 0.35 + (0.07 * longest if has_names else 0.15)
    figure, panels = _panels(len(parts), below=below, legend=_marks(marks, has_median=False))
    for axes, (denominator, samples) in zip(panels, parts, strict=True):
        readable = _readable(samples)
        shown = _evenly(readable, MAX_BARS)
        _draw_bars(axes, shown, [colors.get(group, MUTED) for group in shown["group"]], has_names=has_names)
        n_lost = int((samples["assessability"] == NOT_ASSESSABLE).sum())
        words = [f"{count_text(n_lost)} not assessable, without a bar"] if n_lost else []
        if len(shown) < len(readable):
            words.append(f"{MAX_BARS} of {count_text(len(readable))} samples drawn, evenly over their range")
        _title(axes, denominator, "; ".join(words))
    return figure


def states_by_group(grouped: Grouped, ontology: CellOntology) -> Figure | None:
    """Return the mean share of each neutrophil state over the samples of each group; None where no states are known."""
    columns = [column.name for column in state_columns(ontology) if column.name in grouped.samples]
    if not columns:
        return None
    ids = [name.removeprefix("state_") for name in columns]
    names, shares = [], []
    for group in grouped.groups:
        samples = _readable(grouped.samples[grouped.samples["group"] == group])
        known = samples[columns].dropna()
        names.append(f"{short_name(group, 18)} ({len(known)} of {len(samples)})")
        shares.append(known.mean().to_numpy(dtype=np.float64) if len(known) else np.full(len(columns), np.nan))
    table = np.array(shares)
    colors = state_colors(ids, ontology.roles.pro_tumor_states)
    series = [
        Series(ontology.nodes[ontology.index_by_id[i]].name, i, color, table[:, k])
        for k, (i, color) in enumerate(zip(ids, colors, strict=True))
    ]
    figure, _ = stacked_figure(
        names,
        series,
        x_label="mean share of the neutrophils, %; in brackets samples with enough of them",
        right=0.2,
        missing="no sample with 30 expected neutrophils",
    )
    return figure


def _by_denominator(grouped: Grouped) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), part) for name, part in grouped.samples.groupby("burden_denominator", sort=True)]


def _readable(samples: pd.DataFrame) -> pd.DataFrame:
    """Return assessable samples by falling burden."""
    readable = samples[(samples["assessability"] != NOT_ASSESSABLE) & samples["burden_percent"].notna()]
    return readable.sort_values(["burden_percent", "sample_id"], ascending=[False, True], kind="stable")


def _evenly(samples: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return so many rows at most, first and last among them, evenly spaced."""
    if len(samples) <= most:
        return samples
    return samples.iloc[np.unique(np.linspace(0, len(samples) - 1, most).round().astype(int))]


def _panels(n: int, *, below: float, legend: list[Line2D | Patch]) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels one below the other, so many inches under each, and a legend on top."""
    n_columns = legend_columns([str(mark.get_label()) for mark in legend])
    above = 0.18 * -(-len(legend) // n_columns) + 0.2
    height = above + n * (_PANEL + below)
    figure = Figure(figsize=(WIDTH, height))
    figure.legend(
        handles=legend,
        loc="upper left",
        bbox_to_anchor=(0, 1),
        ncols=n_columns,
        borderaxespad=0.1,
        columnspacing=1.4,
        handlelength=1.2,
        handletextpad=0.5,
        labelspacing=0.35,
    )
    panels = []
    for place in range(n):
        bottom = height - above - (place + 1) * (_PANEL + below) + below
        panels.append(figure.add_axes((0.75 / WIDTH, bottom / height, (WIDTH - 1.0) / WIDTH, (_PANEL - 0.35) / height)))
    return figure, panels


def _title(axes: Axes, denominator: str, words: str) -> None:
    axes.set_ylabel("neutrophils, % (95 % interval)")
    axes.annotate(
        f"% of {short_name(denominator, 90)}", (0, 1), (0, 6), "axes fraction", textcoords="offset points", fontsize=8
    )
    axes.annotate(
        words, (1, 1), (0, 6), "axes fraction", textcoords="offset points", fontsize=8, color=MUTED, ha="right"
    )


def _draw_group(axes: Axes, place: int, samples: pd.DataFrame, median: float, color: str) -> None:
    """Draw the samples of a group side by side, and the median of all of them."""
    n = len(samples)
    if not n:
        return
    reach = min(0.36, 0.14 * (n - 1) / 2)
    x = place + (np.linspace(-reach, reach, n) if n > 1 else np.zeros(1))
    y, low, high = (samples[f"burden_{end}"].to_numpy(dtype=np.float64) for end in ("percent", "low", "high"))
    axes.add_collection(LineCollection(_verticals(x, low, high), colors=color, linewidths=1.2, alpha=0.7, zorder=2))
    is_sure = (samples["assessability"] == ASSESSABLE).to_numpy()
    size = 26 if n <= 20 else 12
    axes.scatter(x, y, s=size, facecolors=np.where(is_sure, color, "white"), edgecolors=color, linewidths=1.2, zorder=3)
    if n > 1:
        axes.hlines(median, place - 0.42, place + 0.42, color=INK, linewidth=1.6, zorder=4)


def _verticals(x: Floats, low: Floats, high: Floats) -> list[Floats]:
    return list(np.stack([np.stack([x, low], axis=1), np.stack([x, high], axis=1)], axis=1))


def _is_slanted(grouped: Grouped) -> bool:
    """Return whether the names of the groups need more room than there is between them."""
    return len(grouped.groups) > _LEVEL_NAMES


def _finish_groups(axes: Axes, samples: pd.DataFrame, grouped: Grouped) -> None:
    """Name the groups, with the number of samples and of those that are not assessable."""
    labels = []
    for group in grouped.groups:
        here = samples[samples["group"] == group]
        n_lost = int((here["assessability"] == NOT_ASSESSABLE).sum())
        if _is_slanted(grouped):
            labels.append(f"{short_name(group, 20)}\nn = {len(here) - n_lost}" + (f" of {len(here)}" if n_lost else ""))
        else:
            lost = f"\n{n_lost} not assessable" if n_lost else ""
            labels.append(f"{short_name(group, 84 // len(grouped.groups))}\nn = {len(here) - n_lost}{lost}")
    axes.set_xticks(range(len(labels)), labels=labels, fontsize=8)
    if _is_slanted(grouped):
        for label in axes.get_xticklabels():
            label.set(rotation=35, ha="right", rotation_mode="anchor")
    axes.tick_params(axis="x", length=0, labelcolor=INK)
    axes.set_xlim(-0.6, len(labels) - 0.4)
    _from_zero(axes, samples)


def _from_zero(axes: Axes, samples: pd.DataFrame) -> None:
    axes.set_ylim(0, 1.06 * float(np.nanmax([1.0, *_readable(samples)["burden_high"].astype(float)])))
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)


def _draw_bars(axes: Axes, samples: pd.DataFrame, colors: list[str], *, has_names: bool) -> None:
    x = np.arange(len(samples), dtype=np.float64)
    y, low, high = (samples[f"burden_{end}"].to_numpy(dtype=np.float64) for end in ("percent", "low", "high"))
    is_sure = (samples["assessability"] == ASSESSABLE).to_numpy()
    shade = [color if sure else "white" for color, sure in zip(colors, is_sure, strict=True)]
    axes.bar(x, y, width=0.8, color=shade, edgecolor=colors, linewidth=1.2 if has_names else 0.5)
    if has_names:
        for color, width in (("white", 2.8), (INK, 1.1)):  # a pale rim, so that the line shows on a dark bar
            axes.add_collection(LineCollection(_verticals(x, low, high), colors=color, linewidths=width, zorder=3))
    else:
        axes.fill_between(x, low, high, step="mid", color=INK, alpha=0.25, linewidth=0, zorder=3)
    names = [short_name(str(name), 20) for name in samples["sample_id"]] if has_names else []
    axes.set_xticks(x if has_names else [], labels=names, rotation=90, fontsize=7)
    axes.tick_params(axis="x", length=0, labelcolor=INK)
    axes.set_xlim(-0.8, max(len(samples), 3) - 0.2)
    if not has_names:
        axes.set_xlabel("samples, by burden")
    _from_zero(axes, samples)


def _marks(marks: list[Patch], *, has_median: bool) -> list[Line2D | Patch]:
    """Return the entries of a legend."""
    shape = "o" if has_median else "s"
    about: list[Line2D | Patch] = [
        *marks,
        Line2D([], [], color=MUTED, mfc=MUTED, label="filled: assessable", marker=shape, ls=""),
        Line2D([], [], color=MUTED, mfc="white", label="hollow: low confidence", marker=shape, ls=""),
    ]
    return [*about, Line2D([], [], color=INK, lw=1.6, label="median of the group")] if has_median else about
