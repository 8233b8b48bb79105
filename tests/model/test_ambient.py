import numpy as np
import pytest
import torch

from model.ambient import LEAST_CELLS, ambient_profiles, make_ambient, mix_ambient
from schema.batch import TARGET_SUM


def counts_of(cells):
    return (cells.expression.double().expm1() * cells.library_size[:, None] / TARGET_SUM).numpy()


@pytest.fixture
def two_samples(make_batch):
    """One sample of 40 cells and one of 33, and three cells of a third; each with counts of genes of its own."""
    sample = np.repeat([7, 2, 5], [40, 33, 3])
    rng = np.random.default_rng(0)
    order = rng.permutation(len(sample))
    counts = np.zeros((len(sample), 5), dtype=np.float32)
    counts[sample == 7] = [1, 3, 0, 0, 0]
    counts[sample == 2] = [0, 0, 400, 100, 0]
    counts[sample == 5] = [0, 0, 0, 0, 20]
    return make_batch(counts[order], sample=sample[order], library_size=1.0 + counts[order].sum(axis=1))


def test_a_sample_with_enough_cells_has_a_profile_of_its_own(two_samples):
    rows = torch.stack([(two_samples.sample == s).nonzero()[0, 0] for s in (7, 2, 5)])
    profile = ambient_profiles(two_samples, rows)
    whole = np.array([40, 120, 33 * 400, 33 * 100, 60]) / (40 * 5 + 33 * 501 + 3 * 21)
    expected = [[1 / 5, 3 / 5, 0, 0, 0], [0, 0, 400 / 501, 100 / 501, 0], whole]
    np.testing.assert_allclose(profile, expected, rtol=1e-5)


def test_genes_of_a_profile_are_those_of_the_file(make_batch):
    columns = [[0, -1, 1], [1, 0, -1]]
    present = [[True, True], [True, True]]
    counts = np.tile([[5.0, 1.0, 4.0]], (LEAST_CELLS, 1))
    batch = make_batch(counts, columns=columns, present=present, file=[1] * LEAST_CELLS)
    np.testing.assert_allclose(ambient_profiles(batch, torch.tensor([0]))[0], [0.1, 0.5], rtol=1e-6)
    hidden = batch._replace(present=torch.tensor([[True, True], [False, True]]))
    np.testing.assert_allclose(ambient_profiles(hidden, torch.tensor([0]))[0], [0.0, 0.5], rtol=1e-6)


def test_mixing_adds_whole_counts_and_keeps_labels(make_cells):
    torch.manual_seed(0)
    counts = np.tile([[100.0, 0.0, 0.0]], (400, 1))
    cells = make_cells(counts, ["MAL"] * 400, library_size=[200.0] * 400)
    rows, profile = torch.arange(300), torch.tensor([[0.0, 0.5, 0.25]]).expand(300, 3)
    mixed = mix_ambient(cells, rows, profile, 0.2)
    got = counts_of(mixed)
    np.testing.assert_allclose(got, got.round(), atol=1e-3)
    np.testing.assert_allclose(got[:, 0], 100, rtol=1e-5)
    assert not got[300:, 1:].any()
    added = mixed.library_size[:300].numpy() - 200  # drawn within the vocabulary, expected outside of it
    expected = [200 * share / (1 - share) for share in (0.1, 0.2)]
    assert float(np.median(added)) == pytest.approx(expected[0], rel=0.15)
    assert added.max() < 1.5 * expected[1]
    assert added.min() >= 0
    assert got[:300, 1].sum() == pytest.approx(2 * got[:300, 2].sum(), rel=0.1)
    assert torch.equal(mixed.cell_type, cells.cell_type)


def test_made_ambient_droplets_have_profile_depth_and_label(make_cells, ontology):
    torch.manual_seed(0)
    label = ontology.index_by_id["AMBIENT"]
    cells = make_cells(np.ones((500, 3)) * 50, ["MAL"] * 500)
    rows, may = torch.arange(400), torch.arange(400) < 390
    profile = torch.tensor([[0.75, 0.0, 0.25]]).expand(400, 3)
    made = make_ambient(cells, rows, profile, label, may, fewest=20.0, most=200.0)
    got = counts_of(made)
    assert (made.cell_type == label).tolist() == [True] * 390 + [False] * 110
    np.testing.assert_allclose(got[:390], got[:390].round(), atol=1e-3)
    np.testing.assert_allclose(got[390:], 50, rtol=1e-5)
    assert not got[:390, 1].any()
    assert got[:390, 0].sum() == pytest.approx(3 * got[:390, 2].sum(), rel=0.05)
    assert float(made.library_size[:390].median()) == pytest.approx(np.sqrt(20 * 200), rel=0.15)
    assert 5 < float(made.library_size.min()) < 25
