"""Novelty on latents drawn from known Gaussians, where distance and energy can be computed by hand."""

import numpy as np
import pytest
import torch

from model.novelty import Novelty
from model.novelty_fit import EncodedCells, carry_novelty, choose_limit, fit_novelty

N_LATENT = 3


def drawn(ontology, names, n_cells, seed):
    """Return cells of some types around well separated centres, sure of their leaf."""
    generator = torch.Generator().manual_seed(seed)
    place = {ontology.nodes[leaf].id: column for column, leaf in enumerate(ontology.leaves)}
    label = torch.tensor([ontology.index_by_id[name] for name in names]).repeat_interleave(n_cells)
    centre = torch.eye(len(names), N_LATENT).repeat_interleave(n_cells, dim=0) * 20
    spread = torch.tensor([1.0, 2.0, 0.5])
    latent = centre + torch.randn(len(label), N_LATENT, generator=generator) * spread
    logits = torch.zeros(len(label), len(ontology.leaves))
    for row, name in enumerate(np.repeat(names, n_cells)):
        logits[row, place[name]] = 12.0
    divergence = torch.full((len(label), len(ontology.nodes_at(2))), 2.0)
    of_type = {int(node): place for place, node in enumerate(ontology.nodes_at(2))}
    for row, node in enumerate(ontology.ancestor_at(2)[label.numpy()].tolist()):
        divergence[row, of_type[node]] = 0.5 + 0.1 * torch.randn(1, generator=generator).item()
    log_counts = 5 + 4 * torch.rand(len(label), generator=generator)
    return EncodedCells(latent, logits, divergence, log_counts, label)


def new_novelty(ontology):
    """Return a score that knows the profiles of all types, each as far from a cell of it as `drawn` says."""
    sizes = {"n_latent": N_LATENT, "n_genes": 2, "n_types": len(ontology.nodes_at(2))}
    novelty = Novelty(n_nodes=len(ontology.nodes), **sizes)
    novelty.profiles.seen[:] = True
    return novelty


def scored(novelty, cells):
    return novelty(cells.latent, cells.logits, novelty.profiles(cells.divergence, cells.log_counts))


@pytest.fixture
def fitted(ontology):
    novelty = new_novelty(ontology)
    names = ["MAC", "B", "PLT"]
    fit_novelty(novelty, drawn(ontology, names, 2000, 0), drawn(ontology, names, 500, 1))
    return novelty


def test_centres_and_covariance_are_those_the_cells_were_drawn_from(ontology, fitted):
    at = ontology.index_by_id
    assert torch.allclose(fitted.centre[at["B"]], torch.tensor([0.0, 20.0, 0.0]), atol=0.15)
    assert sorted(torch.nonzero(fitted.seen)[:, 0].tolist()) == sorted([at["MAC"], at["B"], at["PLT"]])
    cell = torch.tensor([[0.0, 24.0, 0.0], [0.0, 20.0, 2.0]])
    distance = fitted.parts(cell, torch.zeros(2, len(ontology.leaves)))[:, 1]
    assert distance.tolist() == pytest.approx([2.0, 4.0], rel=0.05)


def test_energy_is_minus_the_log_of_the_sum(ontology, fitted):
    logits = torch.zeros(1, len(ontology.leaves))
    energy = fitted.parts(torch.zeros(1, N_LATENT), logits)[0, 0]
    assert float(energy) == pytest.approx(-np.log(len(ontology.leaves)))


def test_known_cells_score_about_zero_and_strange_ones_high(ontology, fitted):
    known = drawn(ontology, ["MAC", "B", "PLT"], 500, 1)
    scores = scored(fitted, known)
    assert float(scores.mean()) == pytest.approx(0.0, abs=0.05)
    strange = fitted(torch.full((1, N_LATENT), -9.0), torch.zeros(1, len(ontology.leaves)), torch.zeros(1))
    assert float(strange) > float(scores.max()) + 3


def test_nodes_with_few_cells_have_no_centre(ontology):
    novelty = new_novelty(ontology)
    few, many = drawn(ontology, ["NK"], 4, 0), drawn(ontology, ["B"], 50, 0)
    training = EncodedCells(*(torch.cat(pair) for pair in zip(few, many, strict=True)))
    fit_novelty(novelty, training, many)
    assert torch.nonzero(novelty.seen)[:, 0].tolist() == [ontology.index_by_id["B"]]


def test_a_type_left_out_is_found_beyond_the_limit(ontology, fitted):
    held_out = drawn(ontology, ["MAC", "B", "PLT"], 200, 2)
    limit, rows = choose_limit(fitted, held_out, ontology, 0.05)
    scores = scored(fitted, held_out)
    assert float((scores > limit).float().mean()) <= 0.05
    assert [row["left_out"] for row in rows] == ["MAC", "B", "PLT"]
    assert [row["n_cells"] for row in rows] == [200, 200, 200]
    assert [row["found"] for row in rows] == [1.0, 1.0, 1.0]
    assert [row["auroc"] for row in rows] == [1.0, 1.0, 1.0]


def test_a_neutrophil_state_is_left_out_with_its_whole_type(ontology):
    novelty = new_novelty(ontology)
    names = ["N_MAT", "N_ISG", "B"]
    fit_novelty(novelty, drawn(ontology, names, 300, 0), drawn(ontology, names, 100, 1))
    _, rows = choose_limit(novelty, drawn(ontology, names, 100, 2), ontology, 0.05)
    assert [(row["left_out"], row["n_cells"], row["found"]) for row in rows] == [("NEUT", 200, 1.0), ("B", 100, 1.0)]


def test_without_held_out_cells_nothing_is_out_of_distribution(ontology, fitted):
    nothing = EncodedCells(*(part[:0] for part in drawn(ontology, ["B"], 1, 0)))
    assert choose_limit(fitted, nothing, ontology, 0.05) == (float("inf"), [])


def test_the_score_of_a_like_network_is_carried_over(ontology, fitted):
    training = drawn(ontology, ["MAC", "B", "PLT"], 2000, 0)
    same, other = new_novelty(ontology), new_novelty(ontology)
    carry_novelty(same, training, fitted, training)
    cells = drawn(ontology, ["MAC", "B", "PLT"], 50, 3)
    assert torch.allclose(scored(same, cells), scored(fitted, cells), atol=1e-4)
    turned = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 2.0], [2.0, 0.0, 0.0]])
    seen = training._replace(latent=training.latent @ turned)
    carry_novelty(other, seen, fitted, training)
    again = scored(other, cells._replace(latent=cells.latent @ turned))
    assert torch.allclose(again, scored(fitted, cells), atol=1e-3)


def test_held_out_cells_stand_as_far_from_training_cells_as_before(ontology, fitted):
    training = drawn(ontology, ["MAC", "B", "PLT"], 2000, 0)
    fitted.mean += torch.tensor([0.0, 3.0])
    found = new_novelty(ontology)
    carry_novelty(found, training, fitted, training)
    assert torch.allclose(found.mean, fitted.mean, atol=1e-4)
    assert torch.allclose(found.spread, fitted.spread, rtol=1e-4)
