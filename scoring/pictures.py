"""The pictures of a run as PNG and SVG files beside the report, and as parts of it."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from schema.labels import CellOntology
from scoring.comparison import Grouped
from scoring.group_figures import burden_by_group, states_by_group, waterfall
from scoring.svg import drawing, figure_svg, save_picture

_NAMES = ("burden_by_group", "burden_waterfall", "states_by_group")

_DESCRIPTIONS = dict(
    zip(
        _NAMES,
        (
            "Neutrophil burden of the samples of each group, with intervals.",
            "Samples by falling neutrophil burden, with intervals.",
            "Mean neutrophil states of each group.",
        ),
        strict=True,
    )
)


def draw_pictures(grouped: Grouped, ontology: CellOntology, folder: Path) -> list[str]:
    """Write the pictures into a folder and return the names of the files, some of `schema.comparisons.PICTURES`."""
    return [file for name, figure in _figures(grouped, ontology).items() for file in save_picture(figure, folder, name)]


def inline_pictures(grouped: Grouped, ontology: CellOntology) -> dict[str, str]:
    """Return the pictures as inline SVG, by name."""
    figures = _figures(grouped, ontology)
    return {name: figure_svg(figure, name=name, description=_DESCRIPTIONS[name]) for name, figure in figures.items()}


def _figures(grouped: Grouped, ontology: CellOntology) -> dict[str, Figure]:
    with drawing():
        figures = (burden_by_group(grouped), waterfall(grouped), states_by_group(grouped, ontology))
    return {name: figure for name, figure in zip(_NAMES, figures, strict=True) if figure is not None}
