import numpy as np
import pytest

from scoring.embedding import choose_cells, embed


def two_groups(n, seed=0):
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 2
    return rng.normal(size=(n, 12)) + 12 * group[:, None], group


@pytest.mark.slow
def test_umap_keeps_groups_apart_and_repeats_itself():
    latent, group = two_groups(90)
    picture = embed(latent)
    assert picture.shape == (90, 2)
    assert picture.dtype == np.float64
    first, second = picture[group == 0], picture[group == 1]
    spread = np.linalg.norm(first - first.mean(0), axis=1).max()
    assert np.linalg.norm(first.mean(0) - second.mean(0)) > spread
    np.testing.assert_array_equal(picture, embed(latent))


@pytest.mark.slow
def test_equal_cells_still_have_a_place():
    assert np.isfinite(embed(np.ones((60, 5)))).all()


def test_few_cells_are_drawn_by_pca():
    latent, _ = two_groups(49)
    centered = latent - latent.mean(0)
    axes = np.linalg.eigh(centered.T @ centered)[1][:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(embed(latent)), np.abs(centered @ axes), atol=1e-9)


def test_pca_is_not_mirrored_by_the_order_of_cells():
    latent, _ = two_groups(20)
    np.testing.assert_allclose(embed(latent[::-1])[::-1], embed(latent), atol=1e-9)


@pytest.mark.parametrize("shape", [(0, 4), (1, 4), (2, 4), (3, 1), (3, 0)])
def test_hardly_any_cells(shape):
    assert embed(np.ones(shape)).shape == (shape[0], 2)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="at most 5000"):
        embed(np.zeros((5001, 2)))
    with pytest.raises(ValueError, match="finite"):
        embed(np.full((3, 2), np.nan))


def test_cells_are_chosen_at_random_and_in_order():
    assert choose_cells(3).tolist() == [0, 1, 2]
    rows = choose_cells(1_000_000)
    assert len(np.unique(rows)) == 5000
    assert (np.diff(rows) > 0).all()
    assert rows.mean() == pytest.approx(500_000, rel=0.03)
    np.testing.assert_array_equal(rows, choose_cells(1_000_000))
    assert (rows != choose_cells(1_000_000, seed=1)).any()
