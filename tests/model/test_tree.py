import numpy as np
import torch

from model.tree import LabelTree


def test_at_temperature_one_the_tree_is_the_plain_softmax(ontology):
    logits = torch.randn(6, len(ontology.leaves), generator=torch.Generator().manual_seed(0))
    tree = LabelTree(ontology)
    assert torch.allclose(tree.leaf_probabilities(logits, torch.ones(3)), logits.softmax(1), atol=1e-6)


def test_parents_are_the_sum_of_their_leaves_at_any_temperature(ontology):
    logits = torch.randn(6, len(ontology.leaves), generator=torch.Generator().manual_seed(0)) * 5
    tree = LabelTree(ontology)
    temperatures = torch.tensor([0.5, 2.0, 3.0])
    leaf = tree.leaf_probabilities(logits, temperatures).double().numpy()
    node = tree.node_log_probabilities(logits, temperatures).exp().double().numpy()
    np.testing.assert_allclose(node, leaf @ ontology.leaves_below.T, atol=1e-6)
    np.testing.assert_allclose(leaf.sum(1), 1.0, atol=1e-6)


def test_a_temperature_changes_its_own_level_only(ontology):
    logits = torch.randn(6, len(ontology.leaves), generator=torch.Generator().manual_seed(0)) * 5
    tree = LabelTree(ontology)
    top = torch.from_numpy(ontology.levels == 1)
    plain = tree.node_log_probabilities(logits, torch.ones(3))[:, top]
    assert torch.allclose(plain, tree.node_log_probabilities(logits, torch.tensor([1.0, 4.0, 4.0]))[:, top], atol=1e-5)
    cooled = tree.node_log_probabilities(logits, torch.tensor([4.0, 1.0, 1.0]))[:, top].exp()
    assert float(cooled.max(1).values.mean()) < float(plain.exp().max(1).values.mean())


def test_a_path_runs_from_a_node_to_its_lineage(ontology):
    tree = LabelTree(ontology)
    at = ontology.index_by_id
    path = torch.nonzero(tree.path[at["N_ANG"]]).flatten().tolist()
    assert path == sorted([at["L1_MYE"], at["NEUT"], at["N_ANG"]])


def test_the_lineage_of_a_node_has_one_ancestor_for_each_level(ontology):
    tree, at = LabelTree(ontology), ontology.index_by_id
    assert tree.lineage[at["N_ANG"]].tolist() == [at["L1_MYE"], at["NEUT"], at["N_ANG"]]
    assert tree.lineage[at["NEUT"]].tolist() == [at["L1_MYE"], at["NEUT"], -1]
    assert tree.lineage[at["L1_MYE"]].tolist() == [at["L1_MYE"], -1, -1]
    for node, lineage in enumerate(tree.lineage.tolist()):
        assert sorted(n for n in lineage if n >= 0) == torch.nonzero(tree.path[node]).flatten().tolist()


def test_node_scores_are_those_of_each_node_alone_however_improbable(ontology):
    logits = torch.randn(6, len(ontology.leaves), generator=torch.Generator().manual_seed(0)) * 5
    logits[1] *= 20  # hundreds apart
    scores = LabelTree(ontology).node_scores(logits)
    expected = [torch.logsumexp(logits[:, below].double(), dim=1) for below in torch.from_numpy(ontology.leaves_below)]
    assert torch.allclose(scores.double(), torch.stack(expected, dim=1), rtol=1e-6, atol=1e-5)
