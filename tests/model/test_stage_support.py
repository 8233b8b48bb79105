import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from model.stage_support import (
    SHRUNK,
    StageSupport,
    called_level,
    cramers_v,
    is_nested,
    judge,
    lead_p,
    permutation_p,
    quadratic_kappa,
    ranked_probability_score,
)

LEVEL = np.repeat(np.arange(3), 8)
DONOR = np.arange(24)
STUDY = np.tile([0, 1], 12)


def certain(level, n_levels=3):
    """P(level >= k) of what is sure of these levels."""
    return (level[:, None] >= np.arange(1, n_levels)).astype(float)


def judged(level=LEVEL, donor=DONOR, study=STUDY, at_least=None, probes=None):
    at_least = certain(level) if at_least is None else at_least
    return judge(level=level, donor=donor, study=study, at_least=at_least, probes=probes or {}, n_heads=4, seed=0)


def test_right_predictions_of_a_stage_that_no_study_owns_are_supported():
    found = judged()
    assert found.is_supported
    assert found.kappa == 1.0
    assert found.p_value == pytest.approx(4 / 2001)
    assert (found.n_samples, found.n_donors, found.n_studies) == (24, 24, 2)


def test_predictions_that_know_nothing_are_not_supported():
    at_least = certain(np.random.default_rng(0).permutation(LEVEL))
    assert judged(at_least=at_least).reason.startswith("not better than chance on held-out donors (p = ")


def test_a_stage_that_one_study_owns_is_not_supported_however_right():
    found = judged(study=(LEVEL > 0).astype(np.int64))
    assert found.reason == "stage and study cannot be told apart (Cramér's V 0.98)"  # sqrt((1 - 2/23) / (1 - 1/23))


def test_a_probe_that_does_about_as_well_withdraws_the_claim():
    """It need not do better: of 24 samples two worse are no lead, and nine are."""
    study = np.full((24, 2), 0.5)
    for n_wrong, reason in ((0, "depth alone does about as well"), (2, "depth alone does about as well"), (9, "")):
        near = certain(LEVEL)
        near[:n_wrong] = certain(2 - LEVEL[:n_wrong])
        found = judged(probes={"study": study, "depth": near})
        assert (found.reason, found.probe) == (reason, "depth")
        assert found.probe_kappa == pytest.approx(
            cohen_kappa_score(LEVEL, called_level(near), weights="quadratic", labels=range(3))
        )
    assert judged(probes={"study": study}).is_supported


def test_a_lead_by_hand():
    """Two thirds of a lead count: of the 2^4 throws of signs two give 10 * 2 / 3 and more, and three 5.5 * 2 / 3."""
    donor = np.array([5, 6, 7, 8])
    assert pytest.approx(2 / 3) == SHRUNK
    assert lead_p(np.array([1.0, 2.0, 3.0, 4.0]), donor, 0) == pytest.approx(2 / 16, abs=0.02)
    assert lead_p(np.array([1.0, 2.0, 3.0, -0.5]), donor, 0) == pytest.approx(3 / 16, abs=0.02)
    assert lead_p(np.zeros(4), donor, 0) == 1.0
    # samples of a donor are thrown together
    assert lead_p(np.ones(8), np.repeat([1, 2], 4), 0) == pytest.approx(1 / 4, abs=0.03)


def test_few_samples_are_not_supported():
    few = judged(level=LEVEL[::3], donor=DONOR[::3], study=STUDY[::3])
    assert few.reason == "8 samples of 8 donors are too few"
    assert judged(donor=DONOR % 5).reason == "24 samples of 5 donors are too few"


def test_the_share_of_false_claims_is_that_of_the_level():
    """Predictions of nothing, judged two hundred times: at most 5 % are taken for something."""
    rng = np.random.default_rng(1)
    claims = [judged(at_least=certain(rng.permutation(LEVEL))).is_supported for _ in range(100)]
    assert np.mean(claims) <= 0.05


def test_stages_move_with_their_donor():
    """Of four donors with six samples each there are 4! / 2! 2! ways to deal out two stages: p cannot be below 1/6."""
    donor, level = np.repeat(np.arange(4), 6), np.repeat([0, 0, 1, 1], 6)
    one_study = np.zeros(24, dtype=np.int64)
    assert permutation_p(level, donor, one_study, certain(level, 2), 0) == pytest.approx(1 / 6, abs=0.03)
    assert permutation_p(level, np.arange(24), one_study, certain(level, 2), 0) < 0.001


def test_what_is_known_of_the_study_is_not_known_of_the_stage():
    """Predictions that say the commonest stage of each study are no better than chance, however right they are."""
    study = np.repeat([0, 1], 12)
    level = np.where(np.arange(24) % 12 < 10, study, 1 - study)
    by_study = np.where(study == 0, 0.25, 0.75)[:, None]
    assert permutation_p(level, np.arange(24), study, by_study, 0) == 1.0
    assert permutation_p(level, np.arange(24), np.zeros(24, dtype=np.int64), by_study, 0) < 0.05
    assert permutation_p(level, np.arange(24), study, certain(level, 2), 0) < 0.01
    donor = np.repeat(np.arange(12), 2)  # each donor in both studies: stages move by sample within studies
    assert permutation_p(level, donor, np.tile([0, 1], 12), certain(level, 2), 0) < 0.01


def test_kappa_equals_scikit_learn():
    rng = np.random.default_rng(0)
    level, called = rng.integers(0, 5, 60), rng.integers(0, 5, 60)
    expected = cohen_kappa_score(level, called, weights="quadratic", labels=range(5))
    assert quadratic_kappa(level, called, 5) == pytest.approx(expected)
    assert quadratic_kappa(np.array([2, 2]), np.array([2, 2]), 5) == 0.0


def test_ranked_probability_score_by_hand():
    at_least = np.array([[1.0, 0.5], [0.25, 0.0]])
    np.testing.assert_allclose(ranked_probability_score(np.array([1, 0]), at_least), [0.25, 0.0625])
    assert called_level(at_least).tolist() == [2, 0]


def test_cramers_v_by_hand():
    level, study = np.repeat([0, 1], 10), np.repeat([0, 1], 10)
    # chi squared / n = 1, less 1/19; both ways shrink from 2 to 2 - 1/19
    assert cramers_v(level, study) == pytest.approx(np.sqrt((1 - 1 / 19) / (1 - 1 / 19)))
    assert cramers_v(level, np.tile([0, 1], 10)) == 0.0
    assert cramers_v(level, np.zeros(20, dtype=int)) == 0.0


def test_nested_is_where_no_stage_is_seen_twice():
    assert is_nested(np.array([0, 1, 2]), np.array([0, 0, 1]))
    assert not is_nested(np.array([0, 1, 1]), np.array([0, 0, 1]))
    assert not is_nested(np.array([0, 1]), np.array([0, 0]))


def test_support_survives_its_dict():
    found = judged(study=np.zeros(24, dtype=np.int64))
    again = StageSupport.from_dict({name: None if value != value else value for name, value in vars(found).items()})
    assert str(again) == str(found)
