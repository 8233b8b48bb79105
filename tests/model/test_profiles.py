"""Misfit of counts against profiles that are written by hand."""

import math

import numpy as np
import pytest
import torch

from model.novelty_fit import CENTRE_CELLS, fit_profiles
from model.profiles import N_DEPTHS, Profiles, type_counts
from schema.labels import UNLABELLED


@pytest.fixture
def profiles():
    """Two seen types of three genes, (1/2, 1/4, 1/4) and (1/10, 1/10, 8/10), and one that was never seen."""
    made = Profiles(3, 3)
    made.log_profile.copy_(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1 / 3] * 3]).log().T)
    made.seen.copy_(torch.tensor([True, True, False]))
    return made


def test_the_divergence_is_that_of_kullback_and_leibler(profiles, make_batch):
    divergence, log_counts = profiles.divergences(make_batch(np.array([[2, 1, 1], [0, 0, 10], [0, 0, 0]])))
    shares = np.array([[0.5, 0.25, 0.25], [0, 0, 1]])
    for row, share in enumerate(shares):
        for column, profile in enumerate(([0.5, 0.25, 0.25], [0.1, 0.1, 0.8])):
            expected = sum(p * math.log(p / q) for p, q in zip(share, profile, strict=True) if p > 0)
            assert float(divergence[row, column]) == pytest.approx(expected, abs=1e-5)
    assert log_counts.tolist() == pytest.approx([math.log(4), math.log(10), 0.0])
    assert bool(torch.isfinite(divergence).all())


def test_genes_that_a_file_did_not_measure_do_not_count(profiles, make_batch):
    batch = make_batch(np.array([[2, 2, 0]]))
    present = torch.ones_like(batch.present)
    present[:, 2] = False
    divergence, _ = profiles.divergences(batch._replace(present=present))
    expected = 0.5 * math.log(0.5 / (0.5 / 0.75)) + 0.5 * math.log(0.5 / (0.25 / 0.75))
    assert float(divergence[0, 0]) == pytest.approx(expected, abs=1e-5)


def test_the_nearest_seen_type_is_taken_and_one_can_be_left_out(profiles):
    divergence = torch.tensor([[0.3, 0.2, 0.0]])
    assert float(profiles.least(divergence)) == pytest.approx(0.2)
    assert float(profiles.least(divergence, torch.tensor([False, True, False]))) == pytest.approx(0.3)
    assert float(profiles.least(divergence, torch.tensor([True, True, False]))) == 0.0


def test_the_misfit_is_taken_among_cells_of_the_same_depth(profiles):
    generator = torch.Generator().manual_seed(0)
    log_counts = torch.linspace(4.0, 10.0, 4000)
    usual, spread = 3.0 - 0.2 * log_counts, 0.1
    least = usual + spread * torch.randn(4000, generator=generator)
    divergence = torch.stack([least, least + 1, least - 1], dim=1)
    profiles.fit_depths(divergence, log_counts)
    assert bool((profiles.depth.diff() > 0).all())
    at = torch.tensor([5.0, 9.0])
    strange = (3.0 - 0.2 * at + 0.5)[:, None].repeat(1, 3)
    assert profiles(strange, at).tolist() == pytest.approx([5.0, 5.0], rel=0.15)
    assert profiles(divergence, log_counts).std().item() == pytest.approx(1.0, abs=0.1)
    assert len(profiles.depth) == N_DEPTHS


def test_profiles_are_the_shares_of_counts_of_a_types_cells(ontology, make_batch):
    at = ontology.index_by_id
    labels = ["N_MAT", "N_ANG", "NEUT", "N_MAT", "NEUT", "B", "L1_MYE", None]
    label = [UNLABELLED if name is None else at[name] for name in labels]
    counts = np.array([[3, 0, 1]] * 5 + [[0, 5, 0], [9, 9, 9], [9, 9, 9]])
    profiles = Profiles(3, len(ontology.nodes_at(2)))
    fit_profiles(
        profiles, [make_batch(counts[:4], cell_type=label[:4]), make_batch(counts[4:], cell_type=label[4:])], ontology
    )
    place = {ontology.nodes[node].id: column for column, node in enumerate(ontology.nodes_at(2))}
    shares = profiles.log_profile.exp()
    assert shares[:, place["NEUT"]].tolist() == pytest.approx([15.5 / 21.5, 0.5 / 21.5, 5.5 / 21.5])
    assert CENTRE_CELLS == 5
    assert [name for name, column in place.items() if profiles.seen[column]] == ["NEUT"]  # B has one cell


def test_cells_labelled_above_types_have_no_part(make_batch):
    batch = make_batch(np.array([[1, 2, 3], [4, 5, 6]]), cell_type=[0, 1])
    counts, cells = type_counts(batch, torch.tensor([-1, 1, -1]), 2)
    assert counts.tolist() == [[0, 0, 0], [4, 5, 6]]
    assert cells.tolist() == [0, 1]
