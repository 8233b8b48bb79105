"""The figure that holds calibrated probabilities against how often they were right on held-out donors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from scoring.label_counts import LEVEL_NAMES
from scoring.palette import INK, MUTED, RULE
from scoring.svg import drawing, figure_svg

LEAST_CELLS = 10
"""Bins of fewer cells are not drawn: their accuracy is chance."""

_PANEL_INCHES = 2.5


def reliability_figure(levels: Sequence[Mapping[str, Any]]) -> str:
    """Return one panel per level of the label tree: share of calls that were right against their probability.

    Parameters
    ----------
    levels
        Rows "reliability" of a bundle's checks: `level`, `n_cells`, `ece` and `bins`, each bin with its cells, the sum
        of their probabilities and how many were right.
    """
    with drawing():
        figure = Figure(figsize=(_PANEL_INCHES * len(levels), _PANEL_INCHES + 0.55), layout="constrained")
        panels = figure.subplots(1, len(levels), sharey=True, squeeze=False)[0]
        for axes, level in zip(panels, levels, strict=True):
            cells, confidence, right = (np.asarray(column, dtype=float) for column in zip(*level["bins"], strict=True))
            shown = cells >= LEAST_CELLS
            axes.plot([0, 1], [0, 1], color=RULE, linewidth=1.2, zorder=1)
            area = 6 + 120 * np.sqrt(cells[shown] / max(1.0, cells.max()))
            axes.scatter(
                confidence[shown] / cells[shown],
                right[shown] / cells[shown],
                s=area,
                facecolors="white",
                edgecolors=INK,
                linewidths=1.2,
                clip_on=False,
                zorder=2,
            )
            axes.plot(confidence[shown] / cells[shown], right[shown] / cells[shown], color=INK, linewidth=1, zorder=1)
            name = LEVEL_NAMES.get(level["level"], f"level {level['level']}")
            axes.set_title(f"{name}\n{level['n_cells']:,} cells, mean gap {level['ece']:.3f}", fontsize=9, loc="left")
            axes.set_xlim(0, 1.02)
            axes.set_ylim(0, 1.02)
            axes.set_aspect("equal")
            axes.set_xlabel("calibrated probability", color=MUTED)
        panels[0].set_ylabel("share that was right")
        return figure_svg(figure, name="reliability", description="Probability against accuracy on held-out donors.")
