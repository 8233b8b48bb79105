import torch

from model.heads import CellTypeHead, StageHead, StageHeadConfig, level_probabilities


def make_head(n_levels=5):
    torch.manual_seed(0)
    head = StageHead(6, 4, n_levels, StageHeadConfig(n_attention=3, n_pooled=2)).eval()
    torch.nn.init.normal_(head.score.weight)
    return head


def test_the_prior_is_in_the_logits_and_out_of_the_balanced_ones():
    torch.manual_seed(0)
    head, latent = CellTypeHead(6, 4), torch.randn(5, 6)
    plain = head(latent)
    assert torch.equal(plain, head.members[0](latent))
    log_prior = torch.tensor([0.7, 0.2, 0.09, 0.01]).log()
    head.adjust(log_prior, 1.0)
    assert torch.allclose(head(latent), plain + log_prior)
    assert torch.equal(head.eval()(latent), head.train()(latent))
    assert torch.allclose(head.balanced(head(latent)), plain, atol=1e-6)
    head.adjust(log_prior, 0.5)
    assert torch.allclose(head.balanced(head(latent)), plain - 0.5 * log_prior, atol=1e-6)


def test_the_prior_travels_with_the_weights_and_is_not_trained():
    head, again = CellTypeHead(6, 4), CellTypeHead(6, 4)
    head.adjust(torch.tensor([0.7, 0.2, 0.09, 0.01]).log(), 1.0)
    again.load_state_dict(head.state_dict())
    assert torch.equal(again.log_prior, head.log_prior)
    assert float(again.strength) == 1.0
    assert {name for name, _ in head.named_parameters()} == {
        f"members.0.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")
    }


def test_probabilities_fall_along_the_scale_and_levels_sum_to_one():
    head = make_head()
    state = head.pool(head.empty(2), torch.randn(30, 6), torch.rand(30, 4).softmax(1), torch.arange(30) % 2)
    logits = head(state)
    assert logits.shape == (2, 4)
    assert bool((logits.diff(dim=1) < 0).all())
    levels = level_probabilities(logits)
    assert levels.shape == (2, 5)
    assert torch.allclose(levels.sum(1), torch.ones(2))
    assert bool((levels > 0).all())


def test_two_levels_need_one_threshold():
    head = make_head(n_levels=2)
    assert head.thresholds().shape == (1,)


def test_a_sample_seen_twice_over_is_read_alike():
    head = make_head()
    latent, probabilities, sample = torch.randn(30, 6), torch.rand(30, 4).softmax(1), torch.zeros(30, dtype=torch.long)
    once = head(head.pool(head.empty(1), latent, probabilities, sample))
    twice = head.pool(head.pool(head.empty(1), latent, probabilities, sample), latent, probabilities, sample)
    assert torch.allclose(once, head(twice), atol=1e-5)


def test_levels_that_no_training_sample_had_get_no_probability():
    head = make_head()
    head.seen.copy_(torch.tensor([1, 3]))
    state = head.pool(head.empty(1), torch.randn(9, 6), torch.rand(9, 4).softmax(1), torch.zeros(9, dtype=torch.long))
    levels = level_probabilities(head(state))[0].detach()
    assert float(levels[0] + levels[4]) < 1e-6
    assert bool((levels[1:4] > 0.01).all())


def test_level_probabilities_by_hand():
    levels = level_probabilities(torch.tensor([[0.0, -100.0]]))
    assert torch.allclose(levels, torch.tensor([[0.5, 0.5, 0.0]]))


def test_the_logits_are_the_mean_over_members():
    torch.manual_seed(0)
    head, latent = CellTypeHead(6, 4, n_members=2), torch.randn(5, 6)
    head.adjust(torch.tensor([0.7, 0.2, 0.09, 0.01]).log(), 1.0)
    of_members = head.of_members(latent)
    assert of_members.shape == (2, 5, 4)
    assert torch.allclose(of_members[1], head.members[1](latent[:, 3:]) + head.log_prior)
    assert torch.allclose(head(latent), (of_members[0] + of_members[1]) / 2)
