"""The ablation of the augmentation: harder cells, scores of calls, and its page."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmarks.augmentation import PIECES, hiding_droplets, settings
from benchmarks.augmentation_page import page
from benchmarks.augmentation_scores import f1, macro_f1, scores
from benchmarks.augmentation_sets import STUDIES, VARIANTS, donors, thinned, with_ambient
from datamodules.cell_labels import load_label_map, resolve_labels
from model.augment import AugmentationConfig
from schema.labels import CellOntology

SCORES = ("types", "states", "neutrophil", "ambient", "neutrophil x malignant", "other doublet", "ece")


def test_mice_that_validate_do_not_train():
    train, judge = donors("S1", training=True), donors("S1", training=False)
    assert len(train) == 15
    assert len(judge) == 10
    assert not set(train) & set(judge)
    assert "donor-S1-M4-05" in judge


def test_cells_are_thinned_to_the_depth_asked():
    counts = sparse.csr_matrix(np.full((50, 100), 30.0, dtype=np.float32))
    poor = sparse.csr_matrix(np.full((1, 100), 2.0, dtype=np.float32))
    got = thinned(sparse.vstack([counts, poor], format="csr"), np.zeros(51), np.random.default_rng(0))
    depth = np.asarray(got.sum(axis=1)).ravel()
    assert depth[:50].mean() == pytest.approx(300, abs=10)
    assert depth[50] == 200
    assert (got.data == got.data.round()).all()


def test_ambient_rna_is_that_of_the_sample_and_as_much_as_asked():
    counts = sparse.csr_matrix(np.repeat([[850.0, 0, 0], [0, 850, 850]], 40, axis=0).astype(np.float32))
    got = with_ambient(counts, np.repeat([0, 1], 40), np.random.default_rng(0)).toarray()
    added = got - counts.toarray()
    assert added[:40, 0].mean() == pytest.approx(150, rel=0.05)
    assert not added[:40, 1:].any()
    assert added[40:, 1:].sum(axis=1).mean() == pytest.approx(300, rel=0.05)
    assert not added[40:, 0].any()


def test_f1_by_hand():
    truth, called = np.array([1, 1, 1, 2, 2, 3]), np.array([1, 1, 2, 2, 1, 4])
    assert f1(truth, called, 1) == pytest.approx(2 * 2 / 6)
    assert f1(truth, called, 3) == 0
    assert np.isnan(f1(truth, called, 4))
    assert macro_f1(truth, called, np.array([1, 2, 3, 4])) == pytest.approx((4 / 6 + 2 / 4 + 0) / 3)


def test_a_cell_is_called_a_type_and_within_it_a_leaf():
    """Two states share what makes their type the most probable, though a leaf of another type is above each."""
    ontology = CellOntology.load()
    leaf = {ontology.nodes[node].id: column for column, node in enumerate(ontology.leaves)}
    leaves = np.zeros((4, len(leaf)))
    leaves[0, [leaf["N_ANG"], leaf["N_INF"], leaf["MAL"]]] = 0.35, 0.25, 0.4
    leaves[1, leaf["MAL"]] = 1
    leaves[2, [leaf["DBL_OTHER"], leaf["DBL_NEUT_MAL"]]] = 0.4, 0.6
    leaves[3, leaf["N_INF"]] = 1
    truth = np.array([ontology.index_by_id[name] for name in ("N_ANG", "MAL", "DBL_NEUT_MAL", "MAL")])
    got = scores(leaves, truth, np.array([200, 3000, 3000, 700], dtype=np.float32), ontology)
    assert got["types"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert got["states"] == 1
    assert got["neutrophil"] == pytest.approx(2 / 3)
    assert (got["neutrophil 150"], got["n 150"], got["n 500"]) == (1, 1, 0)
    assert np.isnan(got["neutrophil 500"])
    assert got["neutrophil x malignant"] == 1
    assert got["accuracy"] == 0.75
    assert got["ece"] == pytest.approx((0.4 + 1) / 4)


def test_every_piece_is_tried_alone_and_with_all_others():
    found = settings()
    shares = [name for piece in PIECES.values() for name in piece]
    on = {name: {share for share in shares if getattr(config, share)} for name, config in found.items()}
    assert on["none"] == set()
    assert all(on[name] == set(piece) for name, piece in PIECES.items())
    assert on["all"] == set(shares)
    assert on["all but mixing"] == on["all but mixing, no droplet labelled"] == set(shares) - {"mixing_share"}


def test_labels_of_droplets_are_hidden_by_name(tmp_path):
    hidden = load_label_map(hiding_droplets(tmp_path / "map.yaml"))
    labels = pd.Categorical(["ambient RNA droplet", "other doublet", "neutrophil x malignant doublet", "B cell"])
    ontology = CellOntology.load()
    found = resolve_labels(labels, ontology, hidden, "here")
    assert found.tolist() == [-1, -1, -1, ontology.index_by_id["B"]]


@pytest.fixture
def results():
    names = ("none", "thinning")
    rows = [
        {"setting": name, "seed": seed, "study": study, "variant": variant}
        | dict.fromkeys(SCORES, 0.5 + 0.1 * seed + (name == "thinning") * 0.2)
        | {f"neutrophil {low}": 0.9 for low in (150, 250, 500)}
        | {"neutrophil 1000": float("nan")}
        | {f"n {low}": 7 for low in (150, 250, 500, 1000)}
        for name in names
        for seed in (0, 1)
        for study in STUDIES
        for variant in VARIANTS
    ]
    about = {"command": "c", "date": "2026-11-30", "commit": "abc", "hardware": "h", "n_epochs": 8, "n_hidden": 256}
    about |= {"batch_size": 128, "quick": False, "cohort": {"n_cells": 500}, "seeds": [0, 1], "rows": rows}
    about["settings"] = {"none": {"thin_share": 0.0}, "thinning": {"thin_share": 0.05, "contact_share": 0.5}}
    return about | {"step_seconds": {"none": [1.0, 2.0, 1.0], "thinning": [1.1, 2.0, 1.2]}}


def test_the_page_shows_means_and_ranges(results):
    text = page(results)
    assert "| thinning | `thin_share` 0.05 | 1.10 |" in text
    assert "| none | 0.550 (0.500-0.600) |" in text
    assert "| thinning | 0.750 (0.700-0.800) |" in text
    assert "150-250 UMI (n = 7)" in text
    assert "{" not in text
    assert "quick" not in text
    assert "no figure here can be quoted" in page(results | {"quick": True})


def test_the_defaults_are_all_pieces_together():
    assert settings()["all"] == AugmentationConfig(unlabelled_droplets=True)
