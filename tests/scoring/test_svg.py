import re
from xml.etree import ElementTree as ET

import pytest
from matplotlib.figure import Figure

from scoring.svg import display_width, drawing, figure_svg, short_name


def draw(text="label", name="test"):
    with drawing():
        figure = Figure(figsize=(2, 2))
        axes = figure.add_axes((0.2, 0.2, 0.7, 0.7))
        axes.plot([0, 1], [0, 1], "o")
        axes.set_title(text)
        return figure_svg(figure, name=name, description='says "what" it shows')


def parse(svg):
    return ET.fromstring(svg)  # noqa: S314 - our own


def texts(svg):
    return [element.text for element in parse(svg).iter() if element.tag.endswith("}text")]


@pytest.mark.parametrize(
    "text", ["$x^2$", "<script>alert(1)</script>", "]]></svg><img src=x onerror=y>", "a & b", 'id="figure_1" url(#x)']
)
def test_names_are_text_and_nothing_else(text):
    svg = draw(text)
    assert text in texts(svg)
    tags = {element.tag.rpartition("}")[2] for element in parse(svg).iter()}
    assert not tags & {"script", "img", "style", "foreignObject", "metadata"}


def test_it_is_one_svg_element_that_scales_and_can_be_read_out():
    svg = draw()
    root = parse(svg)
    assert svg.startswith("<svg ")
    assert "width" not in root.attrib
    assert root.attrib["viewBox"] == "0 0 144 144"
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'says "what" it shows'


def test_same_figure_same_bytes_and_no_date():
    assert draw() == draw()
    assert not re.search(r"20\d\d-\d\d", draw())


def test_ids_of_two_figures_do_not_clash_and_references_resolve():
    ids = [set(re.findall(r'\bid="([^"]+)"', draw(name=name))) for name in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', draw(name="one"))
    assert {a or b for a, b in used} <= ids[0]
    assert used


def test_missing_glyphs_are_no_warning():
    assert "日本語" in texts(draw("日本語"))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("mouse_1", "mouse_1"),
        ("patient_with_a_very_long_name_rep2", "patient_wi…name_rep2"),
        ("日本語のとても長いサンプル名", "日本語のと…ンプル名"),
        ("", ""),
    ],
)
def test_long_names_are_elided_in_the_middle(name, shown):
    assert short_name(name, 20) == shown
    assert display_width(short_name(name, 20)) <= 20


def test_a_name_of_70000_characters_is_short():
    assert len(short_name("x" * 70_000)) <= 28
