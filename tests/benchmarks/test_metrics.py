import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from benchmarks.metrics import confusion_by_group, credit_descendants, f1_scores, interval, resampled_confusions


def test_f1_agrees_with_scikit_learn_on_random_calls():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, 300), rng.integers(0, 4, 300)
    group = rng.integers(0, 5, 300)
    confusion = confusion_by_group(truth, predicted, group, n_classes=4, n_groups=5)
    np.testing.assert_array_equal(confusion.sum(axis=0)[:4, :4], confusion_matrix(truth, predicted))
    np.testing.assert_allclose(f1_scores(confusion.sum(axis=0)), f1_score(truth, predicted, average=None))


def test_calls_outside_the_classes_are_misses_and_calls_of_outside_cells_are_false():
    confusion = confusion_by_group(
        np.array([0, 0, 1, -1]), np.array([0, -1, 1, 1]), np.zeros(4, dtype=np.int64), n_classes=2, n_groups=1
    )
    assert confusion[0].tolist() == [[1, 0, 1], [0, 1, 0], [0, 1, 0]]
    np.testing.assert_allclose(f1_scores(confusion[0]), [2 / 3, 2 / 3])


def test_a_class_without_cells_or_calls_has_no_f1():
    confusion = confusion_by_group(np.array([0]), np.array([0]), np.array([0]), n_classes=2, n_groups=1)
    assert f1_scores(confusion[0])[0] == 1.0
    assert np.isnan(f1_scores(confusion[0])[1])


def test_resampling_keeps_each_donors_number_of_groups():
    by_group = np.array([[1, 0], [10, 0], [0, 100], [0, 1000]])
    drawn = resampled_confusions(by_group, np.array([0, 0, 1, 1]), n_draws=200, seed=1)
    assert set(drawn[:, 0].tolist()) == {2, 11, 20}
    assert set(drawn[:, 1].tolist()) == {200, 1100, 2000}


def test_an_interval_leaves_out_what_is_not_a_number():
    assert interval(np.array([np.nan, *np.linspace(0, 1, 101)])) == pytest.approx((0.025, 0.975))
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_a_call_below_the_authors_label_is_credited_and_one_above_is_not(ontology, nodes):
    neutrophil, monocyte, myeloid, b_cell = nodes("NEUT", "MONO", "L1_MYE", "B")
    truth = np.array([myeloid, myeloid, neutrophil, myeloid, -1])
    called = np.array([monocyte, b_cell, myeloid, -1, monocyte])
    assert credit_descendants(truth, called, ontology).tolist() == [myeloid, b_cell, myeloid, -1, monocyte]
