from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from scoring.figures import burden_figure, composition_figure, embedding_figure, stage_figure, state_figure


def texts(svg):
    root = ET.fromstring(svg)  # noqa: S314 - our own
    return [element.text for element in root.iter() if element.tag.endswith("}text")]


@pytest.fixture(scope="module")
def samples(make_samples):
    return make_samples([f"mouse-{i}" for i in range(6)], lost=(5,))


def test_burden_names_every_sample_and_says_not_assessable(samples, scale):
    shown = texts(burden_figure(samples, scale, None))
    assert [text for text in shown if text.startswith("mouse")] == samples["sample_id"].tolist()
    assert shown.count("not assessable") == 2  # in its row and in the column of numbers
    assert "neutrophils, % of viable nucleated singlets (95 % interval)" in shown
    assert {"filled: assessable", "hollow: low confidence"} <= set(shown)
    assert "true burden (simulated)" not in shown


def test_burden_shows_truth_where_it_is_known(samples, scale):
    truth = pd.DataFrame({"sample_id": samples["sample_id"], "burden_percent": [90.0] * 5 + [float("nan")]})
    shown = texts(burden_figure(samples, scale, truth))
    assert "true burden (simulated)" in shown
    assert "80" in shown  # the axis reaches the truth


def test_burden_of_nothing_assessable_is_drawn(make_samples, scale):
    samples = make_samples(["only"], lost=(0,))
    assert texts(burden_figure(samples, scale, None)).count("not assessable") == 2


def test_composition_starts_with_neutrophils_and_ends_with_other(samples, ontology):
    shown = texts(composition_figure(samples, ontology))
    legend = [text for text in shown if text.endswith(")")]
    assert legend[0] == "neutrophil (NEUT)"
    assert len(legend) == 14
    assert shown[-1] == "other"


def test_stage_names_levels_and_truth(samples, scale):
    truth = pd.DataFrame({"sample_id": samples["sample_id"], "tumor_stage": ["adenoma", None] * 3})
    shown = texts(stage_figure(samples, scale, truth))
    assert {level.name for level in scale.levels} <= set(shown)
    assert "true stage (simulated)" in shown


def test_samples_without_stage_say_so(make_samples, scale):
    samples = make_samples(["a", "b"])
    samples.loc[1, [c for c in samples if c.startswith("p_stage")]] = float("nan")
    assert texts(stage_figure(samples, scale, None)).count("no stage predicted") == 1


def test_states_of_few_neutrophils_stay_empty(samples, ontology):
    samples = samples.copy()
    samples.loc[:2, [c for c in samples if c.startswith("state_")]] = float("nan")
    n_blank = int(samples["state_N_MAT"].isna().sum())
    assert texts(state_figure(samples, ontology)).count("fewer than 30 expected neutrophils") == n_blank


def test_embedding_names_types_and_calls_the_rest_other(samples, ontology):
    cells = pd.DataFrame(
        {
            "x": [0.0, 1.0, 2.0],
            "y": [0.0, 1.0, 0.5],
            "cell_type": ["neutrophil", "no counts", "<b>&"],
            "neutrophil_probability": [0.9, 0.1, 0.2],
        }
    )
    shown = texts(embedding_figure(cells, samples, ontology))
    assert {"neutrophil", "other", "cell type", "neutrophil probability"} <= set(shown)
    assert "<b>&" not in shown
