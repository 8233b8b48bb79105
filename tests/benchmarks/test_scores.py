import pandas as pd
import pytest

from benchmarks.scores import class_scores, confusion_table


def score_frame(truth, called, seed=0, group=None):
    cells = [f"c{i}" for i in range(len(truth))]
    group = group or ["s"] * len(truth)
    return pd.DataFrame(
        {"seed": seed, "cell_id": cells, "group": group, "stratum": "d", "truth": truth, "called": called}
    )


def test_scores_pool_folds_and_average_seeds():
    frame = pd.concat([score_frame([0, 0, 1], [0, 1, 1], seed=0), score_frame([0, 0, 1], [0, 0, 1], seed=1)])
    scores = class_scores(frame, "truth", "called", [0, 1, 2], ["a", "b", "c"])
    assert [(s.name, s.n_cells) for s in scores] == [("a", 2), ("b", 1), ("macro", 3)]  # c has no cells
    assert [s.f1 for s in scores] == pytest.approx([(2 / 3 + 1) / 2, (2 / 3 + 1) / 2, 5 / 6])


def test_an_interval_is_as_wide_as_the_groups_differ():
    alike = score_frame([0, 0, 0, 0], [0, 0, 0, 0], group=["s1", "s1", "s2", "s2"])
    unlike = score_frame([0, 0, 0, 0], [0, 0, 1, 1], group=["s1", "s1", "s2", "s2"])
    assert [(s.low, s.high) for s in class_scores(alike, "truth", "called", [0], ["a"])] == [(1, 1), (1, 1)]
    assert class_scores(unlike, "truth", "called", [0], ["a"])[0].low == 0.0
    assert class_scores(unlike, "truth", "called", [0], ["a"])[0].high == 1.0


def test_a_draw_without_a_class_does_not_lift_the_macro():
    frame = score_frame([0, 0, 1], [0, 0, 0], group=["s1", "s2", "s3"])  # class 1 is always missed
    macro = class_scores(frame, "truth", "called", [0, 1], ["a", "b"])[-1]
    assert macro.f1 == pytest.approx(0.4)
    assert macro.high == pytest.approx(0.5)  # one class perfect, the other 0 even where it was not drawn


def test_a_confusion_table_has_a_last_column_for_no_class():
    frame = pd.concat([score_frame([3, 3, 5], [3, -1, 3], seed=0), score_frame([3, 3, 5], [3, 5, 3], seed=1)])
    assert confusion_table(frame, "truth", "called", [3, 5]).tolist() == [[1.0, 0.5, 0.5], [1.0, 0.0, 0.0]]
