import numpy as np
import pytest
import torch

from model.attribution import integrated_gradients, log_probability, path_points
from model.encoder import EncoderConfig
from model.network import Network, NetworkConfig
from model.preprocess import to_dense
from model.tree import LabelTree

N_GENES = 6


@pytest.fixture
def network(ontology):
    """Return a network that was never trained, with a gene mean and a bias worth the name."""
    torch.manual_seed(0)
    config = NetworkConfig(encoder=EncoderConfig(n_hidden=16, n_blocks=2, n_latent=8))
    network = Network(n_genes=N_GENES, n_leaves=len(ontology.leaves), config=config).eval()
    network.encoder.gene_mean.copy_(torch.rand(N_GENES))
    return network


@pytest.fixture
def cells(make_batch):
    counts = np.random.default_rng(0).poisson(4.0, size=(9, N_GENES))
    return make_batch(counts, present=[[True, True, False, True, True, True]], columns=[[0, 1, -1, 3, 4, 5]])


@pytest.fixture
def others(make_batch):
    counts = np.random.default_rng(1).poisson(2.0, size=(9, N_GENES))
    return make_batch(counts, present=[[True, True, False, True, True, True]], columns=[[0, 1, -1, 3, 4, 5]])


def neutrophil_score(ontology):
    tree = LabelTree(ontology)
    return log_probability(tree, torch.tensor([1.0, 1.5, 2.0]), ontology.index_by_id["NEUT"])


def by_brute_force(network, score, start, end, n_points=5000):
    """The definition: gradients at all genes at many even points of the path, for every pair of rows."""
    points = (torch.arange(n_points) + 0.5) / n_points
    present, file = torch.tensor([[True, True, False, True, True, True]]), torch.zeros(n_points, dtype=torch.int64)
    found = []
    for first, last in zip(start, end, strict=True):
        along = (first + points[:, None] * (last - first)).requires_grad_()
        logits = network.cell_type_head(network.encoder(along, present, file))
        (gradient,) = torch.autograd.grad(score(logits).sum(), along)
        found.append(gradient.mean(dim=0) * (last - first))
    return torch.stack(found).detach()


class LinearEncoder(torch.nn.Module):
    """Two genes to two leaves, without any bend."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(2, 2)
        self.first.weight.data = torch.tensor([[1.0, 2.0], [0.0, -3.0]])
        self.first.bias.data = torch.tensor([0.5, 0.0])
        self.register_buffer("gene_mean", torch.tensor([1.0, 2.0]))
        self.after_first = torch.nn.Identity()


def test_of_a_linear_network_it_is_weight_times_difference(make_batch):
    network = torch.nn.Module()
    network.encoder, network.cell_type_head = LinearEncoder(), torch.nn.Identity()
    batch = make_batch([[np.expm1(3.0), np.expm1(1.0)]], library_size=[1e4], exact=True)
    found = integrated_gradients(network, batch, None, lambda logits: logits[:, 0] - logits[:, 1], 3)
    # weights of the margin: 1 - 0 and 2 + 3; differences from the gene mean: 3 - 1 and 1 - 2
    np.testing.assert_allclose(found.genes, [[2.0, -5.0]], rtol=1e-5)
    assert float(found.gain) == pytest.approx(-3.0, rel=1e-5)


def test_against_the_unknown_it_is_what_the_definition_says(network, cells, ontology):
    score = neutrophil_score(ontology)
    found = integrated_gradients(network, cells, None, score, 64)
    mean = (network.encoder.gene_mean * cells.present[0]).expand(9, N_GENES)
    np.testing.assert_allclose(found.genes, by_brute_force(network, score, mean, to_dense(cells)), atol=5e-4)


def test_against_other_cells_it_is_what_the_definition_says(network, cells, others, ontology):
    score = neutrophil_score(ontology)
    found = integrated_gradients(network, cells, others, score, 32)
    expected = by_brute_force(network, score, to_dense(others), to_dense(cells))
    np.testing.assert_allclose(found.genes, expected, atol=5e-4)


@pytest.mark.parametrize(("against", "n_steps"), [("unknown", 64), ("cells", 8)])
def test_attributions_of_each_cell_sum_to_what_its_score_gained(network, cells, others, ontology, against, n_steps):
    score, baseline = neutrophil_score(ontology), others if against == "cells" else None
    found = integrated_gradients(network, cells, baseline, score, n_steps)
    unknown = (network.encoder.gene_mean * cells.present[0])[None]
    with torch.no_grad():
        of_unknown = network.encoder(unknown, cells.present, torch.zeros(1, dtype=torch.int64))
        before = network(others).logits if baseline is not None else network.cell_type_head(of_unknown)
        gain = score(network(cells).logits) - score(before)
    np.testing.assert_allclose(found.gain, gain, atol=1e-5)
    np.testing.assert_allclose(found.genes.sum(dim=1), gain, atol=2e-3)
    assert float(gain.abs().max()) > 0.05


def test_genes_that_were_not_measured_have_exactly_nothing(network, cells, others, ontology):
    for baseline in (None, others):
        genes = integrated_gradients(network, cells, baseline, neutrophil_score(ontology), 16).genes
        assert (genes[:, 2] == 0).all()
        assert (genes[:, [0, 1, 3, 4, 5]].abs().sum(dim=0) > 0).all()


def test_the_score_of_a_state_is_given_its_type(ontology):
    tree, temperatures = LabelTree(ontology), torch.tensor([1.0, 1.5, 2.0])
    neutrophil, state = ontology.index_by_id["NEUT"], ontology.index_by_id["N_ANG"]
    logits = torch.randn(4, len(ontology.leaves), generator=torch.Generator().manual_seed(0))
    below = torch.from_numpy(ontology.leaves_below[neutrophil])
    within = torch.log_softmax(logits[:, below] / 2.0, dim=1)
    place = np.flatnonzero(ontology.leaves[below.numpy()] == state)[0]
    found = log_probability(tree, temperatures, state, neutrophil)(logits)
    torch.testing.assert_close(found, within[:, place])


@pytest.mark.parametrize("turn", [1e-9, 0.003, 1.0, 50.0])
def test_points_lie_on_the_path_and_integrate_a_square_exactly_enough(turn):
    points, weights = path_points(16, torch.tensor([turn], dtype=torch.float64))
    assert bool(((points > 0) & (points < 1)).all())
    assert float(weights.sum()) == pytest.approx(1.0, rel=1e-6)
    assert float((weights * points**2).sum()) == pytest.approx(1 / 3, rel=1e-6)


def test_nothing_of_the_network_is_changed_or_tracked(network, cells, ontology):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = integrated_gradients(network, cells, None, neutrophil_score(ontology), 4)
    assert not found.genes.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
