import numpy as np
import pytest

from datamodules.simulation.cohort import SimulatedSample
from datamodules.simulation.truth import SampleTruth, build_obs, burden_percent, sample_table


@pytest.fixture
def kind(ontology):
    names = ["N_INF", "N_ANG", "MAL", "MAL", "FIB", "ERY", "PLT", "AMBIENT", "DBL_NEUT_MAL", "EC_TIP"]
    return np.array([ontology.index_by_id[name] for name in names], dtype=np.int16)


@pytest.fixture
def truths(kind):
    ambient = np.arange(10, dtype=np.float32) / 100
    first = SimulatedSample(study=0, stage=0, mouse=1, held_out=True)
    lost = SimulatedSample(study=1, stage=4, mouse=7, held_out=True, neutrophils_lost=True)
    return [SampleTruth(first, kind, ambient, kind), SampleTruth(lost, kind[2:], ambient[2:], kind)]


def test_burden_counts_neutrophils_among_viable_nucleated_singlets(ontology, kind):
    assert burden_percent(ontology, kind) == pytest.approx(100 * 2 / 6)  # of N, N, MAL, MAL, FIB, EC_TIP


def test_burden_of_nothing_countable_is_not_a_number(ontology, kind):
    assert np.isnan(burden_percent(ontology, kind[5:9]))


def test_the_sample_table_says_what_was_in_the_tissue_and_what_was_called(ontology, truths):
    table = sample_table(ontology, truths)
    lost = table.loc["S2-M4-07"]
    assert (lost.true_burden_percent, lost.true_burden_percent_in_tissue) == (0, pytest.approx(100 * 2 / 6))
    assert (lost.n_cells, lost.n_cells_in_tissue, lost.n_neutrophils_in_tissue) == (8, 10, 2)
    assert lost.tumor_stage == "late carcinoma"
    assert lost.neutrophils_lost
    shares = table.filter(like="true_share_")
    assert shares.shape == (2, 9)
    assert shares.loc["S1-M0-01", ["true_share_N_INF", "true_share_N_ANG"]].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_obs_says_of_every_barcode_what_is_true(ontology, truths):
    obs = build_obs(ontology, truths, "mouse")
    assert obs.index[[0, 9, 10]].tolist() == ["S1-M0-01_000001", "S1-M0-01_000010", "S2-M4-07_000001"]
    neutrophil, lost = obs.iloc[0], obs.iloc[10]
    assert (neutrophil.cell_type, neutrophil.true_cell_type_id) == ("inflammatory neutrophil", "N_INF")
    assert neutrophil.true_neutrophil_state == "N_INF"
    assert (neutrophil.study, neutrophil.tumor_stage) == ("simulated-study-1", "normal")
    assert (lost.cell_type, lost.true_neutrophil_state) == ("malignant epithelial cell", "")
    assert (lost.donor_id, lost.study, lost.tumor_stage) == ("donor-S2-M4-07", "simulated-study-2", "late carcinoma")
    assert obs.is_doublet.tolist() == 2 * [False] + 6 * [False] + [True, False] + 6 * [False] + [True, False]
    assert obs.neutrophils_lost.tolist() == 10 * [False] + 8 * [True]
    assert obs.ambient_fraction.iloc[10] == np.float32(0.02)
    assert obs.simulated.all()


def test_every_label_resolves_to_its_node(ontology, truths):
    obs = build_obs(ontology, truths, "mouse")
    found = [ontology.nodes[ontology.find(label)].id for label in obs.cell_type]
    assert found == obs.true_cell_type_id.tolist()
