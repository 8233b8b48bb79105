import numpy as np
import pytest
import torch

from model.confusion import N_THINNED, THIN_FLOOR, ConfusionCount, thinned_copies
from model.droplets import DropletLabels
from model.tree import LabelTree
from schema.depths import N_DEPTHS


@pytest.fixture
def counted(ontology):
    """Return a function that counts cells given as (label, donor, UMI, {leaf: probability})."""
    leaf = {ontology.nodes[node].id: column for column, node in enumerate(ontology.leaves)}
    below = LabelTree(ontology).below.float()

    def count(*rows, new=ConfusionCount.of_types):
        found = new(ontology)
        for label, donor, umi, of_leaf in rows:  # one batch for each cell
            probabilities = torch.zeros(1, len(leaf))
            for name, value in of_leaf.items():
                probabilities[0, leaf[name]] = value
            node = -1 if label is None else ontology.index_by_id[label]
            found.update(probabilities @ below.T, torch.tensor([node]), torch.tensor([donor]), torch.tensor([umi]))
        return found.found()

    return count


@pytest.fixture
def at(ontology):
    return [ontology.nodes[i].id for i in ontology.nodes_at(2)].index


def test_means_are_kept_by_donor_depth_and_type(counted, at):
    found = counted(
        ("N_MAT", 4, 250.0, {"N_ANG": 0.6, "MONO": 0.4}),
        ("NEUT", 4, 250.0, {"N_MAT": 1.0}),
        ("NEUT", 4, 900.0, {"MONO": 1.0}),
        ("MONO", 2, 250.0, {"N_MAT": 0.25, "MONO": 0.75}),
    )
    assert found.donor.tolist() == [2, 4]
    assert found.cells[1, :, at("NEUT")].tolist() == [0, 2, 0, 0, 0, 1, 0]
    assert found.said[1, 1, at("NEUT"), [at("NEUT"), at("MONO")]] == pytest.approx([0.8, 0.2])
    assert found.said[1, 5, at("NEUT"), at("MONO")] == 1.0
    assert found.said[0, 1, at("MONO"), at("NEUT")] == 0.25
    assert found.cells.sum() == 4


def test_states_are_read_among_neutrophils(counted, ontology):
    found = counted(
        ("N_MAT", 4, 250.0, {"N_ANG": 0.2, "N_MAT": 0.2, "MONO": 0.6}),
        ("N_MAT", 4, 250.0, {"MONO": 1.0}),
        ("NEUT", 4, 250.0, {"N_MAT": 1.0}),
        ("MONO", 2, 250.0, {"N_MAT": 0.25, "MONO": 0.75}),
        new=ConfusionCount.of_states,
    )
    names = [ontology.nodes[i].id for i in ontology.neutrophil_states]
    ang, mat = names.index("N_ANG"), names.index("N_MAT")
    assert found.donor.tolist() == [4]
    assert found.cells.sum() == found.cells[0, 1, mat] == 2
    # half of the first cell, and of the second, which is none for sure, a ninth as of any
    np.testing.assert_allclose(found.said[0, 1, mat, [ang, mat]], [(1 / 2 + 1 / 9) / 2] * 2, rtol=1e-6)
    np.testing.assert_allclose(found.said[0, 1, mat].sum(), 1, rtol=1e-6)


def test_labels_above_a_type_do_not_count(counted):
    found = counted(("L1_MYE", 0, 500.0, {"MONO": 1.0}), (None, 0, 500.0, {"MONO": 1.0}))
    assert found.n_donors == 0
    assert found.said.shape == (0, N_DEPTHS, 30, 30)


def test_cells_are_thinned_and_doublets_are_not(make_batch, ontology):
    counts = np.full((3, 50), 40.0)
    label = [ontology.index_by_id[name] for name in ("N_MAT", "DBL_OTHER", "MONO")]
    batch = make_batch(counts, cell_type=label)
    copies = list(thinned_copies(batch, DropletLabels(ontology)))
    assert len(copies) == N_THINNED
    for copy in copies:
        assert copy.cell_type.tolist() == [label[0], -1, label[2]]
        assert THIN_FLOOR <= copy.library_size.min() < 2000.0
        assert float(copy.library_size[1]) == 2000.0
    assert len({float(copy.library_size[0]) for copy in copies}) == N_THINNED
    again = list(thinned_copies(batch, DropletLabels(ontology)))
    assert torch.equal(again[-1].counts, copies[-1].counts)


def test_thinning_leaves_the_random_state_alone(make_batch, ontology):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    list(thinned_copies(make_batch(np.ones((2, 9)), cell_type=[3, 3]), DropletLabels(ontology)))
    assert torch.equal(torch.rand(1), expected)
