import numpy as np
import pytest

from datamodules.simulation.design import TissueDesign
from datamodules.simulation.droplets import Droplets, add_ambient, draw_droplets, expected_counts
from datamodules.simulation.tissue import build_tissue


@pytest.fixture(scope="module")
def tissue(ontology):
    return build_tissue(np.random.default_rng(0), TissueDesign.load(), ontology, "mouse", 700)


@pytest.fixture(scope="module")
def draw(tissue):
    def draw(stage, depth=1.0, n_droplets=6_000, seed=1):
        options = {"composition_stage": stage, "state_stage": stage, "state_overlap": 0.9, "depth": depth}
        return draw_droplets(np.random.default_rng(seed), tissue, n_droplets, **options)

    return draw


def first_parts(droplets, *kinds):
    return droplets.first_part[:-1][np.isin(droplets.kind, kinds)]


def states(droplets):
    return [kind for kind in np.unique(droplets.kind) if kind.startswith("N_")]


def test_doublets_hold_two_parts_and_all_else_one(draw):
    droplets = draw(4)
    is_doublet = np.char.startswith(droplets.kind, "DBL_")
    np.testing.assert_array_equal(np.diff(droplets.first_part), 1 + is_doublet)
    assert droplets.first_part[-1] == len(droplets.library_size) == len(droplets.weights)
    assert is_doublet.mean() == pytest.approx(0.04, abs=0.008)
    assert (droplets.kind == "AMBIENT").mean() == pytest.approx(0.03, abs=0.007)


def test_neutrophils_on_malignant_cells_are_enriched_in_late_stages(draw):
    shares = []
    for stage in (0, 2, 4):
        kind = draw(stage).kind
        shares.append((kind == "DBL_NEUT_MAL").sum() / np.char.startswith(kind, "DBL_").sum())
    assert shares[0] == 0  # no malignant cell in normal tissue
    assert shares[1] < 0.15
    assert 0.35 < shares[2] < 0.6


def test_a_neutrophil_malignant_doublet_holds_one_of_each(draw, tissue):
    droplets = draw(4)
    first = first_parts(droplets, "DBL_NEUT_MAL")
    both = droplets.weights[first] + droplets.weights[first + 1]
    assert both[:, tissue.index["NEUT"]].min() > 0.1
    assert both[:, tissue.index["MAL"]].min() > 0.1


@pytest.mark.parametrize("depth", [1.0, 0.75])
def test_neutrophils_are_poor_in_umi_and_other_cells_are_not(draw, depth):
    droplets = draw(4, depth=depth)
    neutrophils = droplets.library_size[first_parts(droplets, *states(droplets))]
    assert neutrophils.min() >= 200
    assert neutrophils.max() <= 800
    malignant = droplets.library_size[first_parts(droplets, "MAL")]
    assert 1_000 <= malignant.min() < malignant.max() <= 6_000
    assert np.median(malignant) == pytest.approx(4_200 * depth, rel=0.07)


def test_ambient_share_is_2_to_20_percent_and_differs_between_samples(draw):
    means = []
    for seed in range(8):
        droplets = draw(2, seed=seed, n_droplets=500)
        own = droplets.ambient_fraction[droplets.weights.sum(axis=1) > 0]
        assert own.min() >= np.float32(0.02)
        assert own.max() <= np.float32(0.2)
        means.append(own.mean())
    assert max(means) > 1.5 * min(means)


def test_an_ambient_droplet_holds_nothing_else(draw):
    droplets = draw(2)
    ambient = first_parts(droplets, "AMBIENT")
    assert len(ambient) > 100
    np.testing.assert_array_equal(droplets.ambient_fraction[ambient], 1)
    np.testing.assert_array_equal(droplets.weights[ambient], 0)
    assert 100 <= droplets.library_size[ambient].min() < droplets.library_size[ambient].max() <= 400


def test_ambient_of_a_doublet_is_weighted_by_the_umi_of_its_parts():
    size, ambient = np.float32([1_000, 500, 1_500]), np.float32([0.05, 0.1, 0.2])
    droplets = Droplets(
        np.array(["B", "DBL_OTHER"]), np.array([0, 1, 3]), size, ambient, np.ones((3, 1), dtype=np.float32)
    )
    np.testing.assert_allclose(droplets.ambient_of_droplets, [0.05, (50 + 300) / 2_000], rtol=1e-6)


def test_expected_counts_sum_to_the_library_size_and_mix_in_the_mean_profile(draw, tissue):
    droplets = draw(3, n_droplets=400)
    topics = add_ambient(droplets, tissue.topics)
    means = expected_counts(droplets, slice(0, len(droplets.library_size)), topics)
    np.testing.assert_allclose(means.sum(axis=1), droplets.library_size, rtol=1e-3)
    own = (droplets.library_size * (1 - droplets.ambient_fraction))[:, None] * (droplets.weights @ tissue.topics)
    mean_profile = own.sum(axis=0) / own.sum()
    np.testing.assert_allclose(topics[-1], mean_profile, rtol=1e-3, atol=1e-8)
    expected = own + (droplets.library_size * droplets.ambient_fraction)[:, None] * mean_profile
    np.testing.assert_allclose(means, expected, rtol=1e-2, atol=1e-4)
