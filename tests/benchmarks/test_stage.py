import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmarks.stage import SETTINGS
from benchmarks.stage_floors import FLOORS, PROBES, StagedCells, composition, depth, majority, ridge, type_pseudobulk
from benchmarks.stage_page import METHODS, OURS, calibration_error, page, said_of, target_rows


def cohort(through, n_samples=24, n_cells=40, seed=0):
    """Two types of cells; stage 0 to 2 moves the share of A, or a gene of A."""
    rng = np.random.default_rng(seed)
    level = np.arange(n_samples) % 3
    share = 0.2 + 0.25 * level if through == "composition" else np.full(n_samples, 0.5)
    sample = np.repeat(np.arange(n_samples), n_cells)
    is_a = rng.random(len(sample)) < share[sample]
    rate = np.full((len(sample), 6), 5.0)
    rate[:, 0] = np.where(is_a, 30, 1)
    if through == "state":
        rate[:, 1] = np.where(is_a, 2 + 10 * level[sample], 5)
    obs = pd.DataFrame({"cell_type": np.where(is_a, "A", "B")}, index=[f"c{i}" for i in range(len(sample))])
    counts = ad.AnnData(sparse.csr_matrix(rng.poisson(rate).astype(np.float32)), obs=obs)
    return StagedCells(counts, sample, level, np.arange(n_samples), np.arange(n_samples) % 2)


def error(name, through):
    training, test = cohort(through), cohort(through, seed=1)
    features = (FLOORS | PROBES)[name]
    return float(np.abs(ridge(features, training, test, 3, 0).sum(axis=1) - test.level).mean())


@pytest.mark.parametrize(
    ("name", "through", "least", "most"),
    [
        ("composition", "composition", 0.0, 0.35),
        ("composition", "state", 0.5, 2.0),
        ("cell-type pseudobulk", "state", 0.0, 0.25),
        ("pseudobulk", "composition", 0.0, 0.45),
        ("study alone", "state", 0.5, 2.0),
        ("depth alone", "composition", 0.0, 2.0),
    ],
)
def test_floors_see_what_their_name_says(name, through, least, most):
    assert least <= error(name, through) <= most


def test_composition_is_of_true_types_and_depth_of_counts():
    training = cohort("composition", n_samples=3, n_cells=200)
    logs, again = composition(training, training)
    np.testing.assert_allclose(logs, again)
    np.testing.assert_allclose(logs.sum(axis=1), 0, atol=1e-12)
    assert (np.diff(logs[:, 0]) > 0.5).all()
    assert depth(training, training)[0].shape == (3, 2)


def test_a_sample_with_few_cells_of_a_type_stands_at_the_mean():
    training = cohort("state", n_samples=4)
    lost = training.counts[~((training.sample == 0) & (training.counts.obs["cell_type"] == "A").to_numpy())].copy()
    kept = ~((training.sample == 0) & (training.counts.obs["cell_type"] == "A").to_numpy())
    cut = training._replace(counts=lost, sample=training.sample[kept])
    first, _ = type_pseudobulk(cut, cut)
    np.testing.assert_allclose(first[0, :6], first[1:, :6].mean(axis=0))


def test_majority_is_the_shares_of_the_training_samples():
    training = cohort("state", n_samples=4)  # levels 0, 1, 2, 0
    np.testing.assert_allclose(majority(training, training, 3), [[0.5, 0.25]] * 4)


def answers():
    """Cohorts of six held-out samples: ours is right where stage can be learnt, and silent elsewhere."""
    level = [0, 1, 2, 3, 4, 2]
    right = (np.array(level)[:, None] >= np.arange(1, 5)).astype(float)
    found = []
    for setting in SETTINGS:
        can_learn = setting.name in {"composition", "state"}
        said = {name: np.full((6, 4), 0.5).tolist() for name in METHODS}
        said[OURS] = (right if can_learn else np.full((6, 4), np.nan)).tolist()
        support = {"head": "looks", "p_value": 0.002, "cramers_v": None, "kappa": 0.9, "probe_kappa": 0.1}
        support["reason"] = "" if can_learn else "not better than chance"
        about = {"setting": setting.name, "seed": 0, "commit": "abc", "date": "2026-11-30"}
        found.append({**about, "level": level, "at_least": said, "support": support})
    return found


REAL = [
    {
        "study": "kang2018",
        "support": {"n_samples": 4, "n_donors": 2, "reason": "4 samples of 2 donors are too few"},
        "heads": [{"output": "all", "head": "looks", "chosen": True, "quadratic_kappa": 1.0, "mae": 0.25}],
    }
]


def test_targets_by_hand():
    rows = {row[0].split(":")[0]: row for row in target_rows(answers())}
    assert rows["state"][2].startswith("1.000 against 0.000 (majority): +1.000")
    assert [rows[name][3] for name in ("state", "composition", "confounded", "none")] == ["met"] * 4
    spoilt = answers()
    spoilt[3]["support"]["reason"] = ""
    assert {row[0].split(":")[0]: row[3] for row in target_rows(spoilt)}["none"] == "**not met**"


def test_what_was_not_said_has_no_score_and_the_page_says_so():
    assert len(said_of(answers(), "none", OURS)[0][0]) == 0
    about = {"command": "make bench-stage", "date": "2026-11-30", "hardware": "2 cores", "quick": False, "seeds": [0]}
    text = page({**about, "sizes": {"n_mice": 4}, "answers": answers(), "real": REAL})
    assert "| ours | 1.000 | 0.000 | 0.000 | 0.000 |" in text
    assert "| ours | - | - | - | - |" in text
    assert "| none, seed 0 | looks | 0.002 | - | 0.90 | 0.10 | not better than chance |" in text
    about = "control against stimulated blood (4 samples, 2 donors)"
    assert f"| {about} | all | looks (chosen) | 1.00 | 0.25 |" in text
    assert f"| {about} |  | said: 4 samples of 2 donors are too few |  |  |" in text


def test_calibration_error_by_hand():
    level = np.array([0, 1, 1, 1])
    assert calibration_error([(level, np.full((4, 1), 0.75))]) == pytest.approx(0.0)
    assert calibration_error([(level, np.full((4, 1), 0.25))]) == pytest.approx(0.5)
