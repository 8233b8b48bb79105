import numpy as np
import pytest
from matplotlib.patches import Patch

from scoring.row_figure import Series, new_row_figure, stacked_figure
from scoring.svg import drawing


@pytest.mark.parametrize("n_samples", [1, 8, 60])
def test_height_follows_the_rows_and_first_sample_is_on_top(n_samples):
    with drawing():
        figure, axes = new_row_figure(
            [f"s{i}" for i in range(n_samples)], x_label="x, %", legend=[Patch(label="a")], right=0.2
        )
    rows = axes.get_position().height * figure.get_figheight() / n_samples
    assert 0.19 < rows < 0.33
    assert axes.get_ylim() == (n_samples - 0.5, -0.5)
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"s{i}" for i in range(n_samples)]


def test_the_legend_stays_inside_the_figure():
    with drawing():
        legend = [Patch(label=f"a rather long name of a cell type ({i})") for i in range(14)]
        figure, axes = new_row_figure(["s"], x_label="x", legend=legend, right=0.2)
        box = figure.legends[0].get_window_extent().transformed(figure.transFigure.inverted())
    assert box.x1 <= 1
    assert box.y0 >= axes.get_position().y1


def test_bars_are_stacked_in_order_and_blank_rows_say_why():
    series = [
        Series("one", "1", "#000000", np.array([0.25, np.nan])),
        Series("two", "2", "#ffffff", np.array([0.75, np.nan])),
    ]
    with drawing():
        _, axes = stacked_figure(["a", "b"], series, x_label="x", right=0.2, missing="too few")
    bars = [path.get_extents() for collection in axes.collections for path in collection.get_paths()]
    assert [(bar.x0, bar.x1, bar.y0, bar.y1) for bar in bars] == [(0, 25, -0.39, 0.39), (25, 100, -0.39, 0.39)]
    assert [text.get_text() for text in axes.texts] == ["1", "2", "too few"]


def test_narrow_segments_carry_no_label():
    series = [Series("long name", "LONG_NAME", "#000000", np.array([0.05])), Series("b", "B", "#fff", np.array([0.95]))]
    with drawing():
        _, axes = stacked_figure(["a"], series, x_label="x", right=0.2, missing="")
    assert [text.get_text() for text in axes.texts] == ["B"]
