import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from benchmarks.stage import SETTINGS
from benchmarks.stage_floors import FLOORS, PROBES, StagedCells, composition, depth, majority, ridge, type_pseudobulk
from benchmarks.stage_guard_page import EITHER, guard_targets, rate_table, rate_text, said_in
from benchmarks.stage_guards import (
    EVEN,
    N_LEVELS,
    WITH_STAGE,
    WITHOUT_STAGE,
    GuardSizes,
    asked,
    by_depth,
    dealt,
    true_stages,
)
from benchmarks.stage_page import METHODS, OURS, calibration_error, page, said_of, target_rows
from benchmarks.stage_pool import StagePool
from model.sample_sums import SampleSums
from model.stage_heads import StageBag
from model.stage_look import StagedSamples, StageLook
from schema.predictions import STAGE_OUTPUTS


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
        of = {"head": "looks", "p_value": 0.002, "cramers_v": None, "kappa": 0.9, "probe_kappa": 0.1, "probe_p": 0.004}
        of["reason"] = "" if can_learn else "not better than chance"
        support = {output: dict(of) for output in STAGE_OUTPUTS}
        about = {"setting": setting.name, "seed": 0, "commit": "abc", "date": "2026-11-30"}
        found.append({**about, "level": level, "at_least": said, "support": support})
    return found


def guard_rows():
    """Thirty cohorts of each setting; of those without signal, three have an output of which a stage is said."""
    wrong = {(0, "all"), (1, "without neutrophils"), (2, "all"), (2, "without neutrophils")}
    return [
        {
            "setting": setting.name,
            "cohort": number,
            "output": output,
            "reason": ""
            if setting.name == "no signal" and (number, output) in wrong
            else "depth alone does about as well",
        }
        for setting in WITHOUT_STAGE
        for number in range(30)
        for output in STAGE_OUTPUTS
    ]


REAL = [
    {
        "study": "kang2018",
        "support": {
            "all": {"n_samples": 4, "n_donors": 2, "reason": "4 samples of 2 donors are too few"},
            "without neutrophils": {"n_samples": 4, "n_donors": 2, "reason": ""},
        },
        "heads": [{"output": "all", "head": "looks", "chosen": True, "quadratic_kappa": 1.0, "mae": 0.25}],
    }
]


def test_targets_by_hand():
    rows = {row[0].split(":")[0]: row for row in target_rows(answers())}
    assert rows["state"][2].startswith("1.000 against 0.000 (majority): +1.000")
    assert [rows[name][3] for name in ("state", "composition", "confounded", "none")] == ["met"] * 4
    spoilt = answers()
    spoilt[3]["support"]["without neutrophils"]["reason"] = ""
    assert {row[0].split(":")[0]: row[3] for row in target_rows(spoilt)}["none"] == "**not met**"


def test_what_was_not_said_has_no_score_and_the_page_says_so():
    assert len(said_of(answers(), "none", OURS)[0][0]) == 0
    about = {"command": "make bench-stage", "date": "2026-11-30", "hardware": "2 cores", "quick": False, "seeds": [0]}
    guards = {"guards": guard_rows(), "guard_sizes": {"n_mice": 10}}
    text = page({**about, "sizes": {"n_mice": 4}, "answers": answers(), "real": REAL, **guards})
    assert "| ours | 1.000 | 0.000 | 0.000 | 0.000 |" in text
    assert "| ours | - | - | - | - |" in text
    row = "none, seed 0 | without neutrophils | looks | 0.002 | - | 0.90 | 0.10 | 0.004 | not better than chance"
    assert f"| {row} |" in text
    about = "control against stimulated blood (4 samples, 2 donors)"
    assert f"| {about} | all | looks (chosen) | 1.00 | 0.25 |" in text
    assert f"| {about} | all | said: 4 samples of 2 donors are too few |  |  |" in text
    assert f"| {about} | without neutrophils | said: a stage |  |  |" in text
    assert "no signal: a stage is said | <= 5 % of cohorts | 10 % (2 to 27) of 30 cohorts | **not met** |" in text


def test_calibration_error_by_hand():
    level = np.array([0, 1, 1, 1])
    assert calibration_error([(level, np.full((4, 1), 0.75))]) == pytest.approx(0.0)
    assert calibration_error([(level, np.full((4, 1), 0.25))]) == pytest.approx(0.5)


def test_rates_are_of_cohorts_and_their_intervals_exact():
    """A cohort is wrong if either output is; 3 of 30 has the Clopper-Pearson interval 2.1 to 26.5 %."""
    rows = guard_rows()
    assert said_in(rows, "no signal", "all") == (2, 30)
    assert said_in(rows, "no signal", "without neutrophils") == (2, 30)
    assert said_in(rows, "no signal", EITHER) == (3, 30)
    assert rate_text(3, 30) == "10 % (2 to 27)"
    assert rate_text(0, 100) == "0 % (0 to 4)"
    text = rate_table(rows, WITHOUT_STAGE)
    assert "| 30 | 7 % (1 to 22) | 7 % (1 to 22) | 10 % (2 to 27) | 0 | 0 | 0 | 56 |" in text
    assert rate_table(rows, WITH_STAGE) == "Not run yet."
    assert guard_targets([]) == []


def pool(ontology, n_mice=4, seed=0):
    """Mice of two studies and five stages; later stages have more of the cells of the first leaf."""
    rng = np.random.default_rng(seed)
    level, study = (part.ravel() for part in np.meshgrid(np.repeat(np.arange(N_LEVELS), n_mice), [0, 1]))
    n, n_leaves, n_types = len(level), len(ontology.leaves), len(ontology.nodes_at(2))
    share = np.full((n, n_leaves), 0.01)
    counted = np.flatnonzero(~ontology.below(*ontology.roles.outside_denominator))
    share[:, counted[0]], share[:, counted[1]] = 0.1 + 0.15 * level, 0.9 - 0.15 * level
    n_cells = np.full(n, 200.0)
    parts = (n_cells, n_cells * rng.normal(7, 0.3, n), 200 * share, np.zeros((n, n_types)), np.zeros((n, n_types, 3)))
    sums = SampleSums(*(torch.from_numpy(part).float() for part in parts))
    sample = torch.arange(n).repeat_interleave(5)
    latent = torch.from_numpy(rng.normal(size=(len(sample), 4))).float()
    look = StageLook(sums, StageBag(latent, torch.full_like(sample, 3), sample))
    samples = StagedSamples(sample=np.arange(n), level=level, donor=np.arange(n), study=study, n_cells=np.full(n, 200))
    return StagePool(look, samples, ontology)


def test_cohorts_are_drawn_as_their_setting_says(ontology):
    mice, rng = pool(ontology), np.random.default_rng(0)
    rows, level = true_stages(mice, 2, rng)
    assert level.tolist() == mice.samples.level[rows].tolist()
    assert np.bincount(level + N_LEVELS * mice.samples.study[rows]).tolist() == [2] * 10
    rows, level = dealt((EVEN, (0, 0, 0, 1, 1)))(mice, 2, rng)
    assert len(set(rows)) == 20
    assert np.bincount(level[mice.samples.study[rows] == 0]).tolist() == [2] * 5
    assert np.bincount(level[mice.samples.study[rows] == 1]).tolist() == [0, 0, 0, 5, 5]
    assert level.tolist() != mice.samples.level[rows].tolist()
    rows, level = by_depth(mice, 4, rng)
    depth = mice.look.sums.log_counts.numpy()[rows] / 200
    assert np.corrcoef(depth, level)[0, 1] > 0.7
    assert np.bincount(level + N_LEVELS * mice.samples.study[rows]).tolist() == [4] * 10


def test_the_guards_say_what_is_there_and_refuse_what_is_not(ontology):
    mice = pool(ontology, n_mice=2)
    settings = {setting.name: setting for setting in WITHOUT_STAGE + WITH_STAGE}
    sizes = GuardSizes(n_without=1, n_with=1)
    for name, is_said in (("composition, 20 mice", True), ("no signal", False), ("each stage in one study", False)):
        rows = asked(settings[name], mice, sizes, 0)
        assert [(row["cohort"], row["output"]) for row in rows] == [(0, output) for output in STAGE_OUTPUTS]
        assert [not row["reason"] for row in rows] == [is_said] * 2, name
