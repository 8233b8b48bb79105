from dataclasses import replace

import pytest
import torch

from model.encoder import Encoder, EncoderConfig
from schema.errors import UsageError

CONFIG = EncoderConfig(n_hidden=8, n_blocks=1, n_latent=4, dropout=0.0)


def test_a_gene_not_measured_counts_as_its_training_mean():
    torch.manual_seed(0)
    encoder = Encoder(3, CONFIG).eval()
    encoder.gene_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    file = torch.tensor([0])
    missing = encoder(torch.tensor([[0.5, 0.7, 0.0]]), torch.tensor([[True, True, False]]), file)
    at_mean = encoder(torch.tensor([[0.5, 0.7, 3.0]]), torch.ones(1, 3, dtype=torch.bool), file)
    zero = encoder(torch.tensor([[0.5, 0.7, 0.0]]), torch.ones(1, 3, dtype=torch.bool), file)
    assert torch.allclose(missing, at_mean, atol=1e-6)
    assert not torch.allclose(missing, zero, atol=1e-3)


def test_each_cell_is_centred_by_its_own_file():
    torch.manual_seed(0)
    encoder = Encoder(3, CONFIG).eval()
    encoder.gene_mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    expression = torch.tensor([[0.5, 0.7, 0.0], [0.5, 0.7, 0.0]])
    present = torch.tensor([[True, True, False], [True, True, True]])
    both = encoder(expression, present, torch.tensor([0, 1]))
    assert torch.allclose(both[0], encoder(expression[:1], present[:1], torch.tensor([0]))[0], atol=1e-6)
    assert torch.allclose(both[1], encoder(expression[1:], present[1:], torch.tensor([0]))[0], atol=1e-6)


def test_a_wrong_dropout_is_refused():
    with pytest.raises(UsageError, match="0 <= dropout < 1"):
        EncoderConfig(dropout=1.0)


def test_a_cell_has_the_latent_vectors_of_all_members_and_each_is_its_own():
    torch.manual_seed(0)
    encoder = Encoder(3, replace(CONFIG, n_members=2)).eval()
    cell = torch.rand(5, 3), torch.ones(1, 3, dtype=torch.bool), torch.zeros(5, dtype=torch.int64)
    before = encoder(*cell)
    assert before.shape == (5, 8)
    assert encoder.n_latent == 8
    alone = Encoder(3, CONFIG).eval()
    alone.first.weight.data, alone.first.bias.data = encoder.first.weight[8:], encoder.first.bias[8:]
    alone.members[0].load_state_dict(encoder.members[1].state_dict())
    assert torch.allclose(alone(*cell), before[:, 4:], atol=1e-6)
    encoder.members[1].layers[-1].bias.data += 1
    after = encoder(*cell)
    assert torch.equal(after[:, :4], before[:, :4])
    assert torch.allclose(after[:, 4:], before[:, 4:] + 1)
