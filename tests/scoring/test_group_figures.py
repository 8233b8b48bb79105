import re

import numpy as np
import pandas as pd
import pytest

from schema.stages import StageScale
from scoring.comparison import Grouped
from scoring.group_figures import MAX_BARS, MAX_DOTS, burden_by_group, states_by_group, waterfall
from scoring.pictures import inline_pictures
from scoring.svg import drawing, figure_svg


@pytest.fixture
def grouped_of(ontology):
    """Return a function that makes up samples of groups; every tenth is not assessable."""

    def make(n, groups, *, denominators=("all cells",), scale=None):
        rng = np.random.default_rng(0)
        burden = rng.gamma(1.5, 4, n)
        table = pd.DataFrame(
            {
                "sample_id": [f"s{i}" for i in range(n)],
                "group": np.array(groups)[np.arange(n) % len(groups)],
                "burden_percent": burden,
                "burden_low": 0.7 * burden,
                "burden_high": 1.3 * burden,
                "burden_denominator": np.array(denominators)[np.arange(n) % len(denominators)],
                "assessability": np.where(np.arange(n) % 10 == 9, "not_assessable", "assessable"),
            }
        )
        states = [node.id for node in ontology.nodes if node.parent == "NEUT"]
        shares = pd.DataFrame(rng.dirichlet(np.ones(len(states)), n), columns=[f"state_{name}" for name in states])
        return Grouped(samples=pd.concat([table, shares], axis=1), groups=tuple(groups), scale=scale, has_donors=False)

    return make


def words(figure):
    return re.findall(r">([^<>]+)</text>", figure_svg(figure, name="x", description="x"))


def test_every_group_is_named_with_its_samples(grouped_of):
    with drawing():
        found = words(burden_by_group(grouped_of(20, ["a", "b"])))
    assert {"a", "b", "n = 10", "n = 8", "2 not assessable"} <= set(found)


def test_one_sample_can_be_drawn(grouped_of, ontology):
    assert set(inline_pictures(grouped_of(1, ["a"]), ontology)) == {
        *("burden_by_group", "burden_waterfall", "states_by_group"),
    }


def test_ten_thousand_samples_are_drawn_in_part_and_the_picture_says_so(grouped_of, ontology):
    grouped = grouped_of(10_000, ["a", "b"])
    with drawing():
        by_group, falling = burden_by_group(grouped), waterfall(grouped)
    assert len(by_group.axes[0].collections[1].get_offsets()) == MAX_DOTS
    assert len(falling.axes[0].patches) == MAX_BARS
    assert f"{MAX_DOTS} samples drawn of each larger group, evenly over their range" in words(by_group)
    assert any(f"{MAX_BARS} of 9\u202f000 samples drawn" in text for text in words(falling))
    assert all(len(text) < 1_000_000 for text in inline_pictures(grouped, ontology).values())


def test_highest_and_lowest_are_always_among_those_drawn(grouped_of):
    grouped = grouped_of(2_000, ["a"])
    with drawing():
        heights = [bar.get_height() for bar in waterfall(grouped).axes[0].patches]
    readable = grouped.samples.loc[grouped.samples["assessability"] != "not_assessable", "burden_percent"]
    assert (heights[0], heights[-1]) == (readable.max(), readable.min())
    assert heights == sorted(heights, reverse=True)


def test_denominators_have_panels_of_their_own(grouped_of):
    with drawing():
        figure = waterfall(grouped_of(20, ["a"], denominators=("all cells", "CD45+ cells")))
    assert len(figure.axes) == 2
    assert {"% of all cells", "% of CD45+ cells"} <= set(words(figure))


def test_states_are_the_mean_over_samples_that_have_them(grouped_of, ontology):
    grouped = grouped_of(8, ["a", "b"])
    states = [name for name in grouped.samples if name.startswith("state_")]
    grouped.samples.loc[grouped.samples["group"] == "b", states] = np.nan
    with drawing():
        figure = states_by_group(grouped, ontology)
    assert {"a (4 of 4)", "b (0 of 4)", "no sample with 30 expected neutrophils"} <= set(words(figure))
    first = figure.axes[0].collections[0].get_paths()[0].vertices
    mean = grouped.samples.loc[grouped.samples["group"] == "a", states[0]].mean()
    assert np.ptp(first[:, 0]) == pytest.approx(100 * mean)


def test_stages_have_the_colors_of_the_stage_figure(grouped_of):
    scale = StageScale.load("mouse_carcinogenesis")
    names = [level.name for level in scale.levels[1:3]]
    with drawing():
        colors = {bar.get_facecolor() for bar in waterfall(grouped_of(8, names, scale=scale)).axes[0].patches}
    assert len(colors) == 2
