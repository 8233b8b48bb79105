"""Colors of the report: safe for color-blind readers, the same for a type in every figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb

from schema.labels import CellOntology
from schema.stages import StageScale

INK, MUTED, RULE = "#1b1f24", "#57606a", "#d8dee4"
OTHER = "#d0d4d9"
NEUTROPHIL = "#d55e00"
PROBABILITY = LinearSegmentedColormap.from_list("neutrophil", ["#e3e6ea", "#f3b27a", NEUTROPHIL, "#6b2a00"])
"""Neutrophil probability from 0 to 1: lightness falls throughout, so that it also reads without color."""

MAX_TYPES = 14
_TYPES = (
    *("#332288", "#88ccee", "#117733", "#ddcc77", "#882255", "#44aa99", "#cc79a7", "#0072b2", "#999933", "#661100"),
    *("#6699cc", "#aa4499", "#556655"),
)
"""After Tol's "muted" and Okabe and Ito's sets; neighbors in a bar differ in lightness."""

_GROUPS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
    *("#332288", "#882255", "#117733", "#999933", "#661100", "#556655"),
)
"""Okabe and Ito's set first, then Tol's."""

_PRO_TUMOR = ("#d55e00", "#8c2d04", "#e69f00", "#662506")
_OTHER_STATES = ("#08306b", "#6baed6", "#2171b5", "#c6dbef", "#4292c6", "#9ecae1", "#54278f", "#9e9ac8", "#807dba")


def stage_colors(scale: StageScale) -> list[str]:
    """Return one color per level, lowest first, along viridis without its palest end."""
    return [to_hex(colormaps["viridis"](x)) for x in np.linspace(0.82, 0.0, len(scale.levels))]


def group_colors(groups: Sequence[str], scale: StageScale | None) -> list[str]:
    """Return one color per group: those of the stages where they are, else of a set of twelve."""
    if scale is not None:
        of_stage = dict(zip([level.name for level in scale.levels], stage_colors(scale), strict=True))
        return [of_stage.get(group, MUTED) for group in groups]
    return [_GROUPS[place % len(_GROUPS)] for place in range(len(groups))]


def choose_types(ontology: CellOntology, fractions: npt.NDArray[np.float64]) -> dict[int, str]:
    """Return the node index and color of the level-2 types that get a color of their own.

    Neutrophils always and first, then the most frequent of the others, 14 in all, in the order of the tree.

    Parameters
    ----------
    ontology
        The bundle's.
    fractions
        float64 `[n_samples, n_types]` as `nodes_at(2)`; NaN where unknown.
    """
    nodes = ontology.nodes_at(2)
    neutrophil = ontology.index_by_id[ontology.roles.neutrophil]
    mean = np.nan_to_num(fractions).mean(axis=0) if len(fractions) else np.zeros(len(nodes))
    ranked = [int(nodes[i]) for i in np.argsort(-mean, kind="stable") if nodes[i] != neutrophil and mean[i] > 0]
    chosen = sorted(ranked[: MAX_TYPES - 1])
    return {neutrophil: NEUTROPHIL} | dict(zip(chosen, _TYPES, strict=False))


def state_colors(ids: Sequence[str], pro_tumor: Sequence[str]) -> list[str]:
    """Return one color per neutrophil state: warm for those that lean towards the tumor, cool for the others."""
    warm, cool = iter(_PRO_TUMOR * len(ids)), iter(_OTHER_STATES * len(ids))
    return [next(warm) if state in pro_tumor else next(cool) for state in ids]


def text_on(color: str) -> str:
    """Return black or white, whichever reads better on a color (relative luminance of WCAG 2)."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    luminance = 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]
    return "#ffffff" if luminance < 0.3 else INK
