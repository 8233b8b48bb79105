import math

import torch

from model.calibration import expected_calibration_error, fit_temperatures, neutrophil_reference
from model.tree import LabelTree


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
    assert expected_calibration_error(confidence, called == leaf) < 0.03
    overconfident, called = tree.leaf_probabilities(logits, torch.ones(3)).max(1)
    assert expected_calibration_error(overconfident, called == leaf) > 0.1


def test_without_labels_the_temperatures_are_one(ontology):
    logits = torch.zeros(3, len(ontology.leaves))
    assert fit_temperatures(logits, torch.tensor([-1, -1, -1]), LabelTree(ontology)).tolist() == [1.0, 1.0, 1.0]


def test_calibration_error_by_hand():
    confidence = torch.tensor([0.9, 0.9, 0.6, 0.6])
    correct = torch.tensor([True, True, True, False])
    assert math.isclose(expected_calibration_error(confidence, correct, n_bins=10), (0.2 + 0.2) / 4, abs_tol=1e-6)
    assert math.isnan(expected_calibration_error(torch.tensor([]), torch.tensor([], dtype=torch.bool)))


def test_the_reference_is_a_mean_per_donor():
    probability = torch.tensor([0.9, 0.7, 0.1, 0.3, 0.2])
    is_neutrophil = torch.tensor([True, True, False, False, False])
    sensitivity, false_positive = neutrophil_reference(probability, is_neutrophil, torch.tensor([0, 0, 0, 1, 1]), 2)
    assert torch.allclose(sensitivity[:1], torch.tensor([0.8], dtype=torch.float64), atol=1e-6)
    assert math.isnan(float(sensitivity[1]))
    assert torch.allclose(false_positive, torch.tensor([0.1, 0.25], dtype=torch.float64), atol=1e-6)
