import math

import torch

from model.losses import hierarchical_cross_entropy, hierarchical_losses
from model.tree import LabelTree


def test_a_leaf_label_without_ancestors_is_plain_cross_entropy(ontology):
    logits = torch.randn(5, len(ontology.leaves), generator=torch.Generator().manual_seed(0))
    leaf = torch.tensor([0, 3, 7, 7, 40])
    loss = hierarchical_cross_entropy(logits, torch.from_numpy(ontology.leaves)[leaf], LabelTree(ontology), 0.0)
    assert torch.allclose(loss, torch.nn.functional.cross_entropy(logits, leaf), atol=1e-6)


def test_a_parent_label_is_satisfied_by_any_of_its_leaves(ontology):
    leaf_index = {int(node): i for i, node in enumerate(ontology.leaves)}
    at = ontology.index_by_id
    logits = torch.zeros(1, len(ontology.leaves))
    logits[0, leaf_index[at["N_INF"]]] = 50.0
    tree = LabelTree(ontology)
    assert float(hierarchical_cross_entropy(logits, torch.tensor([at["NEUT"]]), tree, 0.0)) < 1e-6
    assert float(hierarchical_cross_entropy(logits, torch.tensor([at["MONO"]]), tree, 0.0)) > 40


def test_ancestors_add_their_share(ontology):
    logits = torch.zeros(1, len(ontology.leaves))
    at, n_leaves = ontology.index_by_id, len(ontology.leaves)
    below = ontology.leaves_below.sum(1)
    expected = math.log(n_leaves) + 0.5 * (
        math.log(n_leaves / below[at["NEUT"]]) + math.log(n_leaves / below[at["L1_MYE"]])
    )
    loss = hierarchical_cross_entropy(logits, torch.tensor([at["N_ANG"]]), LabelTree(ontology), 0.5)
    assert math.isclose(float(loss), expected, rel_tol=1e-5)


def test_unlabelled_cells_teach_nothing(ontology):
    logits = torch.randn(3, len(ontology.leaves), generator=torch.Generator().manual_seed(0))
    tree = LabelTree(ontology)
    with_unknown = hierarchical_cross_entropy(logits, torch.tensor([5, -1, -1]), tree, 0.3)
    alone = hierarchical_cross_entropy(logits[:1], torch.tensor([5]), tree, 0.3)
    assert torch.allclose(with_unknown, alone)
    logits.requires_grad_()
    nothing = hierarchical_cross_entropy(logits, torch.tensor([-1, -1, -1]), tree, 0.3)
    nothing.backward()
    assert float(nothing.detach()) == 0.0
    assert not logits.grad.any()


def test_the_loss_of_a_cell_sums_leaves_along_its_path(ontology):
    logits = torch.randn(len(ontology.nodes), len(ontology.leaves), generator=torch.Generator().manual_seed(0)) * 3
    losses = hierarchical_losses(logits, torch.arange(len(ontology.nodes)), LabelTree(ontology), 0.3)
    probability = logits.double().softmax(dim=1).numpy() @ ontology.leaves_below.T
    for node in range(len(ontology.nodes)):
        expected, above = -math.log(probability[node, node]), ontology.parents[node]
        while above >= 0:
            expected, above = expected - 0.3 * math.log(probability[node, above]), ontology.parents[above]
        assert math.isclose(float(losses[node]), expected, rel_tol=1e-4)


def test_a_leaf_that_is_nearly_impossible_has_a_finite_loss_and_gradient(ontology):
    logits = torch.zeros(1, len(ontology.leaves))
    logits[0, 3] = 500.0
    logits.requires_grad_()
    hierarchical_cross_entropy(logits, torch.from_numpy(ontology.leaves)[:1], LabelTree(ontology), 0.3).backward()
    assert bool(torch.isfinite(logits.grad).all())
    assert float(logits.grad[0, 0]) < -0.9
