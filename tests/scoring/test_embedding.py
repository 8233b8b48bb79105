import numpy as np
import pytest

from scoring.embedding import DrawnCells, embed


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


def drawn(n_cells, cuts=(), seed=0):
    """Return what is drawn of a stream whose latents and probabilities spell the row."""
    sample = DrawnCells(seed)
    for rows in np.split(np.arange(n_cells), cuts):
        sample.update(rows, rows[:, None].astype(np.float32), rows / 1e6, (rows % 7).astype(np.int16))
    return sample


def test_few_cells_are_all_drawn():
    sample = drawn(3, [1])
    assert sample.rows.tolist() == [0, 1, 2]
    assert sample.latent.tolist() == [[0], [1], [2]]


def test_cells_are_drawn_at_random_and_in_order():
    rows = drawn(200_000, [70_000]).rows
    assert len(np.unique(rows)) == 5000
    assert (np.diff(rows) > 0).all()
    assert rows.mean() == pytest.approx(100_000, rel=0.03)
    assert (rows != drawn(200_000, seed=1).rows).any()


def test_what_is_drawn_belongs_together_and_does_not_depend_on_the_blocks():
    sample, other = drawn(30_000, [1, 9, 5003, 20_000]), drawn(30_000)
    np.testing.assert_array_equal(sample.rows, other.rows)
    np.testing.assert_array_equal(sample.latent[:, 0], sample.rows)
    np.testing.assert_allclose(sample.neutrophil, sample.rows / 1e6)
    np.testing.assert_array_equal(sample.cell_type, sample.rows % 7)
