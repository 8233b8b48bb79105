"""A matplotlib figure as inline SVG: safe text, no dates, no clashing ids, the same bytes every time."""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib.style
from matplotlib.figure import Figure

from scoring.palette import INK, MUTED
from scoring.wording import visible_text

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_STYLE = {
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 72,
    "font.size": 9.0,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "savefig.dpi": 200,  # of the rasterized clouds of points
    "svg.fonttype": "none",
    "svg.hashsalt": "neutrostage",
    "text.color": INK,
    "text.parse_math": False,  # names come from files: "$x$" is a name
    "text.usetex": False,
    "xtick.color": MUTED,
    "ytick.color": INK,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the report's style, whatever the user's matplotlibrc says; glyphs that a font lacks are no fault."""
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def figure_svg(figure: Figure, *, name: str, description: str) -> str:
    """Return a figure as an `<svg>` element that scales with the page.

    Parameters
    ----------
    figure
        Drawn inside `drawing()`.
    name
        Prefix of its ids, unique in the page.
    description
        Read out by screen readers.
    """
    buffer = io.BytesIO()
    with drawing():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ET.fromstring(buffer.getvalue())  # noqa: S314 - written one line above
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style")]:
            parent.remove(child)
    for element in root.iter():
        _prefix_ids(element, name)
    for size in ("width", "height"):
        del root.attrib[size]
    root.set("role", "img")
    root.set("aria-label", description)
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _XLINK)
    return ET.tostring(root, encoding="unicode")


def save_picture(figure: Figure, folder: Path, name: str) -> list[str]:
    """Write a figure that was drawn inside `drawing()` as PNG and as SVG; return the names of the files."""
    names = [f"{name}.png", f"{name}.svg"]
    with drawing():
        figure.savefig(folder / names[0], format="png", dpi=150)
        figure.savefig(folder / names[1], format="svg", metadata={"Date": None})
    return names


def _prefix_ids(element: ET.Element, name: str) -> None:
    for key, value in element.attrib.items():
        if key == "id":
            element.set(key, f"{name}-{value}")
        elif key in ("href", f"{{{_XLINK}}}href") and value.startswith("#"):
            element.set(key, f"#{name}-{value[1:]}")
        elif "url(#" in value:
            element.set(key, re.sub(r"url\(#", f"url(#{name}-", value))


def short_name(name: str, width: int = 28) -> str:
    """Return a name that fits a figure: invisible characters out, elided in the middle beyond `width` columns.

    Examples
    --------
    >>> short_name("patient_with_a_very_long_name_rep2", 20)
    'patient_wi…name_rep2'
    """
    text = visible_text(name[:10_000])
    if display_width(text) <= width:
        return text
    head, tail = text[:width], text[-width:]
    while display_width(head) > width // 2:
        head = head[:-1]
    while display_width(tail) > width - width // 2 - 1:
        tail = tail[1:]
    return f"{head}…{tail}"


def display_width(text: str) -> int:
    """Return the columns a text takes: East Asian wide characters two, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
