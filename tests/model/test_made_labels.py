import numpy as np
import pytest
import torch

from model.augment import Augmentation, AugmentationConfig
from model.made_labels import drawn_with_made, implied_labels, made_labels, wanted_droplets

MADE = {"thin_share": 0.0, "donor_share": 0.0, "mixing_share": 0.0, "panel_share": 0.0}
MADE |= {"doublet_share": 0.2, "ambient_share": 0.1, "contact_share": 0.5}
COMMON = {"MAL": 300, "N_ANG": 60, "N_INF": 40, "B": 400, "L1_MYE": 100, "AMBIENT": 60, "DBL_OTHER": 40}


@pytest.fixture
def count(ontology):
    def make(**cells):
        counts = torch.zeros(len(ontology.nodes), dtype=torch.int64)
        for node, n in cells.items():
            counts[ontology.index_by_id[node]] = n
        return counts

    return make


def test_expected_labels_are_those_that_are_made(make_batch, count, ontology):
    """Against the labels of batches as they come out of the augmentation."""
    torch.manual_seed(0)
    counts = count(**COMMON)
    label = torch.repeat_interleave(torch.arange(len(counts)), counts)
    batch = make_batch(np.ones((1000, 2)), cell_type=label.numpy())
    config = AugmentationConfig(**MADE)
    augmentation = Augmentation(ontology, config)
    seen = sum(torch.bincount(augmentation(batch).cell_type, minlength=len(counts)) for _ in range(100)) / 100
    expected = drawn_with_made(counts, ontology, config)
    assert float(expected.sum()) == pytest.approx(1000)
    np.testing.assert_allclose(seen, expected, atol=3, rtol=0.02)
    node = ontology.index_by_id
    assert float(expected[node["DBL_NEUT_MAL"]]) > 40
    assert float(expected[node["L1_MYE"]]) == 100


def test_nothing_made_changes_nothing(count, ontology):
    counts = count(**COMMON)
    config = AugmentationConfig(**(MADE | {"doublet_share": 0.0, "ambient_share": 0.0}))
    assert torch.equal(drawn_with_made(counts, ontology, config), counts.double())
    assert torch.equal(implied_labels(counts, ontology, config), counts.double())


def test_labelled_droplets_keep_their_prior_and_others_get_the_stated_one(count, ontology):
    config = AugmentationConfig(**MADE, expected_doublets=0.05, expected_ambient=0.02)
    cells = {"MAL": 300, "NEUT": 100, "B": 400, "L1_TECH": 0}
    node = ontology.index_by_id
    implied = implied_labels(count(**cells), ontology, config)
    total = 800 / 0.93
    assert float(implied.sum()) == pytest.approx(total)
    assert float(implied[node["AMBIENT"]]) == pytest.approx(0.02 * total)
    doublets = implied[[node["DBL_NEUT_MAL"], node["DBL_OTHER"]]]
    assert float(doublets.sum()) == pytest.approx(0.05 * total)
    made = drawn_with_made(count(**cells), ontology, config)[[node["DBL_NEUT_MAL"], node["DBL_OTHER"]]]
    assert float(doublets[0] / doublets[1]) == pytest.approx(float(made[0] / made[1]))
    labelled = implied_labels(count(**cells, AMBIENT=7, DOUBLET=5), ontology, config)
    assert labelled[[node[name] for name in ("AMBIENT", "DOUBLET", "DBL_NEUT_MAL", "DBL_OTHER")]].tolist() == [
        7,
        5,
        0,
        0,
    ]


def test_what_cannot_be_made_gets_no_prior(count, ontology):
    config = AugmentationConfig(**(MADE | {"ambient_share": 0.0}), expected_doublets=0.05)
    implied = implied_labels(count(MAL=300, B=400), ontology, config)
    node = ontology.index_by_id
    assert float(implied[node["AMBIENT"]]) == float(implied[node["DBL_NEUT_MAL"]]) == 0
    assert float(implied[node["DBL_OTHER"]]) == pytest.approx(0.05 * 700 / 0.95)


def test_the_nodes_that_cells_are_made_of_are_named(ontology):
    counts = torch.zeros(len(ontology.nodes))
    for name in ("MAL", "NEUT", "B"):
        counts[ontology.index_by_id[name]] = 100.0
    assert set(made_labels(counts, ontology, AugmentationConfig())) == {"AMBIENT", "DBL_NEUT_MAL", "DBL_OTHER"}
    nothing = AugmentationConfig(doublet_share=0.0, ambient_share=0.0)
    assert made_labels(counts, ontology, nothing) == ()


@pytest.mark.parametrize(
    ("labelled", "doublets", "ambient"),
    [({}, 0.0, 0.0), ({"AMBIENT": 3}, 0.0, 0.1), ({"DBL_NEUT_MAL": 1}, 0.2, 0.0), ({"L1_TECH": 5}, 0.0, 0.0)],
)
def test_droplets_are_made_where_training_cells_are_labelled_so(count, ontology, labelled, doublets, ambient):
    config = AugmentationConfig(**MADE)
    found = wanted_droplets(config, count(MAL=300, NEUT=100, **labelled), ontology)
    assert (found.doublet_share, found.ambient_share) == (doublets, ambient)
    assert found.contact_share == config.contact_share
    asked = AugmentationConfig(**MADE, unlabelled_droplets=True)
    assert wanted_droplets(asked, count(MAL=300), ontology) == asked
