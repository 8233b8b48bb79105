import pytest

from schema.names import nearest_names, normalise_name


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("Natural-Killer_cells ", "natural killer cells"),
        ("  T\tcells\n CD8+", "t cells cd8+"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        (3, "3"),
        (None, "none"),
        (float("nan"), "nan"),
        ("", ""),
    ],
)
def test_case_dashes_underscores_and_spaces_do_not_matter(name, form):
    assert normalise_name(name) == form


def test_the_nearest_names_come_first_and_as_they_are_written():
    known = ["Neutrophil", "neutrophils", "Macrophage", "B cell"]
    assert nearest_names("neutrofil", known) == ["Neutrophil", "neutrophils"]
    assert nearest_names("MACROPHAGES", known, n=1) == ["Macrophage"]


def test_names_that_differ_in_spelling_only_are_shown_once():
    assert nearest_names("b cells", ["B cell", "b-cell", "B_cell"]) == ["B cell"]


def test_nothing_near_gives_nothing():
    assert nearest_names("xyzzy", ["Neutrophil", "Macrophage"]) == []
