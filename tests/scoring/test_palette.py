import numpy as np
import pytest
from matplotlib.colors import to_rgb

from scoring.palette import NEUTROPHIL, PROBABILITY, choose_types, stage_colors, state_colors, text_on


def fractions(ontology, **shares):
    ids = [ontology.nodes[i].id for i in ontology.nodes_at(2)]
    return np.array([[shares.get(i, 0.0) for i in ids]])


def lightness(color):
    return float(np.dot([0.2126, 0.7152, 0.0722], np.array(to_rgb(color)) ** 2.2))


def test_neutrophils_come_first_even_where_there_are_none(ontology):
    chosen = choose_types(ontology, fractions(ontology, MAL=0.6, B=0.4))
    assert [ontology.nodes[node].id for node in chosen] == ["NEUT", "MAL", "B"]
    assert next(iter(chosen.values())) == NEUTROPHIL


def test_at_most_fourteen_types_the_most_frequent(ontology):
    ids = [ontology.nodes[i].id for i in ontology.nodes_at(2) if ontology.nodes[i].id != "NEUT"]
    chosen = choose_types(ontology, fractions(ontology, **{name: 1 + rank for rank, name in enumerate(ids)}))
    assert [ontology.nodes[node].id for node in chosen] == ["NEUT", *ids[-13:]]
    assert len(set(chosen.values())) == 14


def test_no_samples_no_fault(ontology):
    assert len(choose_types(ontology, np.empty((0, len(ontology.nodes_at(2)))))) == 1


def test_stages_darken_so_that_they_read_without_color(scale):
    values = [lightness(color) for color in stage_colors(scale)]
    assert values == sorted(values, reverse=True)


def test_probability_darkens_throughout():
    values = [lightness(PROBABILITY(x)[:3]) for x in np.linspace(0, 1, 20)]
    assert values == sorted(values, reverse=True)


def test_states_have_a_color_each_and_warm_ones_lean_to_the_tumor():
    ids = ["N_PRO", "N_INF", "N_MAT", "N_ANG"]
    colors = state_colors(ids, ["N_INF", "N_ANG"])
    assert len(set(colors)) == 4
    assert [to_rgb(color)[0] > to_rgb(color)[2] for color in colors] == [False, True, False, True]


@pytest.mark.parametrize(("color", "text"), [("#ffffff", "#1b1f24"), ("#332288", "#ffffff")])
def test_text_contrasts_with_what_it_stands_on(color, text):
    assert text_on(color) == text
