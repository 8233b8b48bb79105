import numpy as np
import pytest
import torch

from model.heads import CellTypeHead
from model.losses import hierarchical_cross_entropy
from model.prior import leaf_cells, leaf_prior, log_adjustment
from model.tree import LabelTree
from schema.labels import CellOntology


@pytest.fixture
def counted(ontology):
    """Return a function that gives label counts by node id, and one that reads a value by leaf id."""
    leaf_of = {ontology.nodes[node].id: leaf for leaf, node in enumerate(ontology.leaves)}

    def count(**cells):
        counts = torch.zeros(len(ontology.nodes), dtype=torch.int64)
        for node, n in cells.items():
            counts[ontology.index_by_id[node]] = n
        return counts

    return count, leaf_of


def states(ontology):
    return [n.id for n in ontology.nodes if n.parent == "NEUT"]


def test_labels_at_leaves_count_as_they_are(ontology, counted):
    count, leaf = counted
    cells = leaf_cells(count(N_ANG=30, N_INF=10, MAL=60), ontology)
    assert cells[[leaf["N_ANG"], leaf["N_INF"], leaf["MAL"]]].tolist() == [30, 10, 60]
    assert float(cells.sum()) == 100


def test_labels_above_follow_the_labelled_leaves_below(ontology, counted):
    count, leaf = counted
    cells = leaf_cells(count(N_ANG=30, N_INF=10, NEUT=80, MAL=5), ontology)
    assert cells[[leaf["N_ANG"], leaf["N_INF"], leaf["MAL"]]].tolist() == [90, 30, 5]
    assert float(cells.sum()) == 125


def test_labels_above_are_even_where_no_leaf_is_labelled(ontology, counted):
    count, leaf = counted
    cells = leaf_cells(count(NEUT=80, MAL=5), ontology)
    names = states(ontology)
    assert len(names) > 2
    assert cells[[leaf[name] for name in names]].tolist() == pytest.approx([80 / len(names)] * len(names))


def test_deeper_labels_are_shared_out_first(ontology, counted):
    count, leaf = counted
    mono = next(n.id for n in ontology.nodes if n.parent == "MONO") if "MONO" not in leaf else "MONO"
    cells = leaf_cells(count(**{"NEUT": 90, mono: 10, "L1_MYE": 100}), ontology)
    assert float(cells[leaf[mono]]) == pytest.approx(20)
    assert float(cells[[leaf[name] for name in states(ontology)]].sum()) == pytest.approx(180)


def test_the_prior_is_positive_and_sums_to_one(ontology, counted):
    count, leaf = counted
    prior = leaf_prior(count(MAL=99), ontology)
    assert float(prior.sum()) == pytest.approx(1)
    assert float(prior[leaf["MAL"]]) == pytest.approx(100 / (99 + len(prior)))
    assert float(prior[leaf["N_ANG"]]) == pytest.approx(1 / (99 + len(prior)))


def test_leaves_without_cells_stand_at_the_mean_of_the_others(ontology, counted):
    count, leaf = counted
    counts = count(MAL=900, N_ANG=90)
    adjusted, prior = log_adjustment(counts, ontology).exp(), leaf_prior(counts, ontology)
    assert float(adjusted[leaf["MAL"]]) == pytest.approx(float(prior[leaf["MAL"]]))
    assert float(adjusted[leaf["N_INF"]]) == pytest.approx(float(prior[[leaf["MAL"], leaf["N_ANG"]]].mean()))


def test_without_any_label_all_leaves_are_alike(ontology, counted):
    counts = counted[0]()
    assert torch.allclose(
        log_adjustment(counts, ontology).exp(), torch.full((len(ontology.leaves),), 1 / len(ontology.leaves))
    )


def trained(ontology, log_prior, strength, draw_cells, n_steps=200):
    """Train a head alone on a latent space, and return it."""
    torch.manual_seed(0)
    head, tree = CellTypeHead(2, len(ontology.leaves)), LabelTree(ontology)
    head.adjust(log_prior, strength)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(n_steps):
        latent, label = draw_cells()
        optimiser.zero_grad()
        hierarchical_cross_entropy(head(latent), label, tree, 0.0).backward()
        optimiser.step()
    return head


@pytest.fixture
def imbalanced(ontology):
    """Return label counts and a draw of cells: 95 % MAL and 5 % N_ANG, which the latent tells apart in part."""
    at = ontology.index_by_id
    counts = torch.zeros(len(ontology.nodes), dtype=torch.int64)
    counts[at["MAL"]], counts[at["N_ANG"]] = 950, 50
    generator = torch.Generator().manual_seed(1)

    def draw(n=256):
        is_rare = torch.rand(n, generator=generator) < 0.05
        latent = torch.randn(n, 2, generator=generator)
        latent[:, 0] += torch.where(is_rare, 1.5, 0.0)
        return latent, torch.where(is_rare, at["N_ANG"], at["MAL"])

    return counts, draw


def test_probabilities_keep_the_training_prior_at_any_strength(ontology, imbalanced, counted):
    counts, draw = imbalanced
    latent = draw(20_000)[0]
    rare = counted[1]["N_ANG"]
    for strength in (0.0, 1.0):
        head = trained(ontology, log_adjustment(counts, ontology), strength, draw)
        with torch.no_grad():
            share = float(head(latent).softmax(dim=1)[:, rare].mean())
        assert share == pytest.approx(0.05, abs=0.015), strength


def test_balanced_logits_find_more_of_the_rare_type(ontology, imbalanced, counted):
    counts, draw = imbalanced
    latent, label = draw(20_000)
    head = trained(ontology, log_adjustment(counts, ontology), 1.0, draw)
    is_rare, rare = label == ontology.index_by_id["N_ANG"], counted[1]["N_ANG"]
    with torch.no_grad():
        logits = head(latent)
    natural = float((logits.argmax(dim=1) == rare)[is_rare].float().mean())
    balanced = float((head.balanced(logits).argmax(dim=1) == rare)[is_rare].float().mean())
    assert natural < 0.3
    assert balanced > 0.6


def test_leaves_without_cells_are_pushed_down_and_never_called(ontology, imbalanced, counted):
    counts, draw = imbalanced
    latent = draw(2000)[0]
    head = trained(ontology, log_adjustment(counts, ontology), 1.0, draw)
    seen = [counted[1]["MAL"], counted[1]["N_ANG"]]
    with torch.no_grad():
        logits = head(latent * 2)
        balanced = head.balanced(logits)
    assert set(np.unique(balanced.argmax(dim=1).numpy())) == set(seen)
    assert float(balanced.softmax(dim=1)[:, seen].sum(dim=1).min()) > 0.9


def test_a_tree_with_an_only_child_shares_out_all_cells():
    """An inner node with one leaf below is not a leaf."""
    tree = CellOntology.load().to_dict()
    tree["nodes"].append({"id": "MAL_1", "name": "malignant one", "level": 3, "parent": "MAL"})
    ontology = CellOntology.from_dict(tree)
    counts = torch.zeros(len(ontology.nodes), dtype=torch.int64)
    counts[ontology.index_by_id["MAL"]] = 7
    leaf = [ontology.nodes[node].id for node in ontology.leaves].index("MAL_1")
    assert float(leaf_cells(counts, ontology)[leaf]) == 7
