import math

import pytest
import torch

from model.calibration import CalibrationCheck, Reliability, fit_excess_prior, fit_temperatures
from model.tree import LabelTree
from schema.labels import UNLABELLED


def reliability_of(confidence, correct, **options):
    found = Reliability(**options)
    found.update(confidence, correct)
    return found


def test_the_temperatures_that_made_the_labels_are_found(ontology):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6000, len(ontology.leaves), generator=generator) * 4
    tree = LabelTree(ontology)
    leaf = torch.multinomial(tree.leaf_probabilities(logits, torch.tensor([2.0, 1.5, 0.7])), 1, generator=generator)[
        :, 0
    ]
    fitted = fit_temperatures(logits, tree.leaves[leaf], tree)
    assert torch.allclose(fitted, torch.tensor([2.0, 1.5, 0.7]), rtol=0.1)
    confidence, called = tree.leaf_probabilities(logits, fitted).max(1)
    assert reliability_of(confidence, called == leaf).error < 0.03
    overconfident, called = tree.leaf_probabilities(logits, torch.ones(3)).max(1)
    assert reliability_of(overconfident, called == leaf).error > 0.1


def test_without_labels_the_temperatures_are_one(ontology):
    logits = torch.zeros(3, len(ontology.leaves))
    assert fit_temperatures(logits, torch.tensor([-1, -1, -1]), LabelTree(ontology)).tolist() == [1.0, 1.0, 1.0]


def test_calibration_error_by_hand():
    found = Reliability(n_bins=10)
    found.update(torch.tensor([0.9, 0.6]), torch.tensor([True, True]))
    found.update(torch.tensor([0.9, 0.6, 1.0]), torch.tensor([True, False, True]))
    assert found.error == pytest.approx((0.2 + 0.2) / 5, abs=1e-6)
    assert found.accuracy == 0.8
    assert found.bins[0].tolist() == [0, 0, 0, 0, 0, 0, 2, 0, 0, 3]
    assert math.isnan(Reliability().error)


@pytest.fixture
def check(ontology):
    """Return a function that checks cells, given by label and probabilities of leaves."""
    found = CalibrationCheck(ontology)
    leaf = {ontology.nodes[node].id: column for column, node in enumerate(ontology.leaves)}

    def add(rows):
        """Add cells given as (label, {leaf: probability})."""
        tree = LabelTree(ontology)
        probabilities = torch.zeros(len(rows), len(leaf))
        for row, (_, of_leaf) in enumerate(rows):
            for name, value in of_leaf.items():
                probabilities[row, leaf[name]] = value
        label = [UNLABELLED if name is None else ontology.index_by_id[name] for name, _ in rows]
        found.update(probabilities @ tree.below.float().T, torch.tensor(label))
        return found

    return add


def test_each_level_counts_the_cells_whose_label_says_it(check):
    found = check(
        [
            ("L1_MYE", {"MONO": 0.6, "N_MAT": 0.4}),  # lineage right, probability 1
            ("MONO", {"MONO": 0.6, "N_MAT": 0.2, "N_ANG": 0.2}),  # right at 1 (1.0), at 2 and 3 (0.6)
            ("N_MAT", {"T_CD4": 0.1, "N_ANG": 0.5, "N_MAT": 0.4}),  # right at 1 and 2 (0.9), wrong at 3 (0.5)
            (None, {"T_CD4": 1.0}),
        ]
    )
    assert [level.n_cells for level in found.levels] == [3, 2, 2]
    assert found.metrics() == pytest.approx(
        {
            "val/level_1/ece": 0.1 / 3,
            "val/level_2/ece": (0.4 + 0.1) / 2,
            "val/level_3/ece": (0.4 + 0.5) / 2,
            "val/cell_type/accuracy_calibrated": 1.0,
            "val/cell_type/ece": (0.4 + 0.1) / 2,
        },
        abs=1e-6,
    )


def test_without_labelled_cells_there_are_no_metrics(check):
    found = check([(None, {"MONO": 1.0})])
    assert found.metrics() == {}


@pytest.mark.parametrize("excess", [0.0, 0.4])
def test_prior_that_the_logits_have_too_much_is_found(ontology, excess):
    generator = torch.Generator().manual_seed(0)
    tree, log_prior = LabelTree(ontology), torch.linspace(-6, 0, len(ontology.leaves)).log_softmax(0)
    logits = torch.randn(6000, len(ontology.leaves), generator=generator) * 2 + log_prior
    leaf = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]
    found = fit_excess_prior(logits + excess * log_prior, tree.leaves[leaf], tree, log_prior)
    assert found == pytest.approx(excess, abs=0.05)


def test_without_labels_the_logits_have_none_too_much(ontology):
    logits = torch.zeros(2, len(ontology.leaves))
    assert fit_excess_prior(logits, torch.tensor([-1, -1]), LabelTree(ontology), logits[0]) == 0.0
