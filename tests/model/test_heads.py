import torch

from model.heads import CellTypeHead


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


def test_the_logits_are_the_mean_over_members():
    torch.manual_seed(0)
    head, latent = CellTypeHead(6, 4, n_members=2), torch.randn(5, 6)
    head.adjust(torch.tensor([0.7, 0.2, 0.09, 0.01]).log(), 1.0)
    of_members = head.of_members(latent)
    assert of_members.shape == (2, 5, 4)
    assert torch.allclose(of_members[1], head.members[1](latent[:, 3:]) + head.log_prior)
    assert torch.allclose(head(latent), (of_members[0] + of_members[1]) / 2)
