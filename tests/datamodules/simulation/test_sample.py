from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from datamodules.simulation.cohort import SimulatedSample
from datamodules.simulation.config import SimulationConfig
from datamodules.simulation.sample import SampleSimulator, called_barcodes, sum_parts


def simulator(ontology, **options):
    settings = {"output": Path("unused"), "n_genes": 600, "n_cells": 3_000} | options
    return SampleSimulator(SimulationConfig(**settings), ontology)


def sample(stage, **options):
    return SimulatedSample(study=0, stage=stage, mouse=1, held_out=False, **options)


def shares(droplets, name):
    return (droplets.kind == name).mean()


def test_parts_of_a_droplet_are_summed():
    parts = sp.csr_matrix([[1.0, 0, 0], [0, 2, 0], [0, 3, 4], [5, 0, 0]])
    summed = sum_parts(parts, np.array([0, 1, 3, 4]))
    np.testing.assert_array_equal(summed.toarray(), [[1, 0, 0], [0, 5, 4], [5, 0, 0]])
    assert summed.has_canonical_format


def test_only_the_sample_that_lost_neutrophils_drops_barcodes():
    counts = sp.csr_matrix([[799.0, 0], [400, 400], [0, 5_000]])
    assert called_barcodes(sample(4), counts).tolist() == [True, True, True]
    assert called_barcodes(sample(4, neutrophils_lost=True), counts).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("moves", "composition_moves", "state_moves"),
    [("both", True, True), ("composition", True, False), ("state", False, True), ("none", False, False)],
)
def test_stage_moves_what_it_is_told_to(ontology, moves, composition_moves, state_moves):
    source = simulator(ontology, stage_through=moves)
    normal, late = (source.draw_droplets(sample(stage)) for stage in (0, 4))
    assert (shares(normal, "MAL") == 0) == composition_moves
    malignant_gain = shares(late, "MAL") - shares(normal, "MAL")
    assert (malignant_gain > 0.2) == composition_moves
    tips = [
        shares(d, "EC_TIP") / np.isin(d.kind, ["EC_TIP", "EC_CAP", "EC_VEN", "EC_ART"]).mean() for d in (normal, late)
    ]
    assert (tips[1] - tips[0] > 0.12) == state_moves


def test_counts_of_a_sample_do_not_depend_on_the_others(ontology):
    source = simulator(ontology, n_cells=100)
    late = sample(4)
    alone = sp.vstack(list(source.draw_counts(late, source.draw_droplets(late))))
    list(source.draw_counts(sample(0), source.draw_droplets(sample(0))))
    again = sp.vstack(list(source.draw_counts(late, source.draw_droplets(late))))
    assert (alone != again).nnz == 0


def test_mice_differ_and_studies_differ_more(ontology):
    source = simulator(ontology, n_cells=4_000, n_genes=1_000)
    profiles = []
    for study, mouse in ((0, 1), (0, 2), (1, 1)):
        each = SimulatedSample(study=study, stage=0, mouse=mouse, held_out=False)
        total = sum(np.asarray(c.sum(axis=0)).ravel() for c in source.draw_counts(each, source.draw_droplets(each)))
        profiles.append(np.log1p(1e6 * total / total.sum())[450:])
    mice, studies = (np.std(profiles[0] - profiles[other]) for other in (1, 2))
    assert 0.1 < mice < studies
