from collections import Counter

import numpy as np
import pytest

from datamodules.simulation.cohort import draw_composition, draw_subset_shares, plan_samples
from datamodules.simulation.design import TissueDesign


def test_every_study_has_every_stage_with_its_own_mice():
    samples = plan_samples(3, 2, confounded=False)
    assert len(samples) == 2 * 5 * (3 + 2) + 1
    assert len({s.donor_id for s in samples}) == len({s.sample_id for s in samples}) == len(samples)
    training = Counter((s.study, s.stage) for s in samples if not s.held_out)
    assert training == {(study, stage): 3 for study in (0, 1) for stage in range(5)}
    assert samples[0].sample_id == "S1-M0-01"


def test_one_extra_held_out_late_carcinoma_lost_its_neutrophils():
    lost = [s for s in plan_samples(3, 2, confounded=False) if s.neutrophils_lost]
    assert [(s.sample_id, s.held_out, s.stage) for s in lost] == [("S2-M4-06", True, 4)]


def test_in_a_confounded_cohort_every_stage_has_one_study():
    studies = {}
    for sample in plan_samples(2, 1, confounded=True):
        studies.setdefault(sample.stage, set()).add(sample.study)
    assert studies == {0: {0}, 1: {0}, 2: {0}, 3: {1}, 4: {1}}


@pytest.mark.parametrize(("stage", "malignant", "neutrophils"), [(0, 0.0, 1.5 / 99), (4, 32 / 110.75, 16 / 110.75)])
def test_composition_scatters_around_the_mean_of_its_stage(stage, malignant, neutrophils):
    design, rng = TissueDesign.load(), np.random.default_rng(0)
    drawn = np.array([draw_composition(rng, design, stage) for _ in range(3_000)])
    ids = [t.id for t in design.types]
    np.testing.assert_allclose(drawn.sum(axis=1), 1)
    assert drawn[:, ids.index("MAL")].mean() == pytest.approx(malignant, abs=0.003)
    share = drawn[:, ids.index("NEUT")]
    assert share.mean() == pytest.approx(neutrophils, abs=0.002)
    assert share.var() == pytest.approx(neutrophils * (1 - neutrophils) / 91, rel=0.1)  # Dirichlet of concentration 90


def test_neutrophils_move_from_mature_to_angiogenic_with_stage():
    design, rng = TissueDesign.load(), np.random.default_rng(0)
    states = design.subsets_of("NEUT")
    ids = [s.id for s in states]
    normal, late = (np.mean([draw_subset_shares(rng, states, s) for _ in range(500)], axis=0) for s in (0, 4))
    assert normal[ids.index("N_MAT")] > 2 * late[ids.index("N_MAT")]
    assert late[ids.index("N_ANG")] > 5 * normal[ids.index("N_ANG")]
