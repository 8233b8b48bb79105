import math

import numpy as np
import pytest
import torch

from model.proportional_odds import fit_proportional_odds, ordinal_loss


def drawn(n=400, seed=0):
    """Levels 0 to 3 of samples that one direction of three orders: score 2 x, thresholds -2, 0, 2."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, 3, generator=generator)
    at_least = torch.sigmoid(2 * features[:, :1] - torch.tensor([-2.0, 0.0, 2.0]))
    return features, (torch.rand(n, 1, generator=generator) < at_least).sum(dim=1)


def test_the_loss_of_a_level_by_hand():
    logits = torch.tensor([[2.0, -1.0]])
    at_least = torch.sigmoid(logits[0]).tolist()
    shares = [1 - at_least[0], at_least[0] - at_least[1], at_least[1]]
    losses = [float(ordinal_loss(logits, torch.tensor([level]))) for level in range(3)]
    assert losses == pytest.approx([-math.log(share) for share in shares], rel=1e-5)


def test_a_loss_of_far_logits_is_finite():
    far = torch.tensor([[80.0, 79.0], [-200.0, -201.0]], requires_grad=True)
    loss = ordinal_loss(far, torch.tensor([0, 2]))
    assert torch.isfinite(loss).all()
    loss.sum().backward()
    assert torch.isfinite(far.grad).all()


def test_the_direction_and_thresholds_that_made_the_levels_are_found():
    features, level = drawn(4000)
    model = fit_proportional_odds([features], level, 4, 1e-6)
    per_unit = model.weight / model.spread
    assert per_unit.tolist() == pytest.approx([2.0, 0.0, 0.0], abs=0.15)
    at_zero = model(torch.zeros(1, 3))[0]
    assert (-at_zero).tolist() == pytest.approx([-2.0, 0.0, 2.0], abs=0.2)


def test_a_penalty_shrinks_and_thresholds_stay_in_order():
    features, level = drawn()
    lengths = [float(fit_proportional_odds([features], level, 4, p).weight.norm()) for p in (1e-4, 1e-1, 10.0)]
    assert lengths[0] > lengths[1] > lengths[2]
    assert lengths[2] < 0.1
    missing = fit_proportional_odds([features[level != 2]], level[level != 2], 4, 1e-3)
    assert bool((missing.thresholds.diff() > 0).all())


def test_more_features_than_samples_are_fitted_in_the_span_of_the_samples():
    generator = torch.Generator().manual_seed(1)
    features, level = torch.randn(20, 500, generator=generator), torch.arange(20) % 3
    model = fit_proportional_odds([features], level, 3, 1e-3)
    centred = features - features.mean(dim=0)
    outside = model.weight - torch.linalg.pinv(centred) @ (centred @ model.weight)
    assert float(outside.norm()) < 1e-3 * float(model.weight.norm())
    assert float((model(features) > 0).sum(dim=1).eq(level).float().mean()) > 0.9


def test_blocks_weigh_alike_whatever_their_unit():
    features, level = drawn()
    one = fit_proportional_odds([features[:, :1], features[:, 1:]], level, 4, 1e-2)
    other = fit_proportional_odds([1000 * features[:, :1], features[:, 1:] / 50], level, 4, 1e-2)
    scaled = torch.cat([1000 * features[:, :1], features[:, 1:] / 50], dim=1)
    torch.testing.assert_close(other(scaled), one(features), rtol=1e-3, atol=1e-3)


def test_contributions_add_up_to_the_score():
    features, level = drawn()
    model = fit_proportional_odds([features], level, 4, 1e-2)
    score = model(features)[:, 0] + model.thresholds[0]
    np.testing.assert_allclose(model.contributions(features).sum(dim=1), score, rtol=1e-4, atol=1e-5)
