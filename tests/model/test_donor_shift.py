import numpy as np
import pytest
import torch

from model.donor_shift import shift_donors


@pytest.fixture
def samples(make_cells):
    """Three malignant cells in each of two samples and one in a third, and three B cells in the first two."""
    labels = ["MAL"] * 7 + ["B"] * 6
    sample = [0, 0, 0, 1, 1, 1, 2, 0, 0, 0, 1, 1, 1]
    counts = np.random.default_rng(0).poisson(3.0, size=(13, 4)).astype(np.float32) + 1
    counts[3:6, 1] = 0

    def make(**known):
        cells = make_cells(counts, labels, sample=sample, **known)
        return cells, cells.cell_type.clone()

    return make


def test_a_cell_moves_by_the_difference_of_its_type(samples):
    cells, part_type = samples()
    x = cells.expression.clone()
    got = shift_donors(cells, torch.tensor([1, 8]), part_type).expression
    for row, here, there in ((1, slice(0, 3), slice(3, 6)), (8, slice(7, 10), slice(10, 13))):
        expected = (x[row] + x[there].mean(dim=0) - x[here].mean(dim=0)).clamp_min(0)
        torch.testing.assert_close(got[row], expected)
    others = [row for row in range(13) if row not in (1, 8)]
    assert torch.equal(got[others], x[others])
    assert float(got.min()) == 0


def test_a_cell_stays_where_the_batch_has_too_few(samples):
    cells, part_type = samples()
    x = cells.expression.clone()
    assert torch.equal(shift_donors(cells, torch.tensor([6]), part_type).expression, x)
    alone = part_type.clone()
    alone[3] = -1  # two are left in the other sample
    assert torch.equal(shift_donors(cells, torch.tensor([1]), alone).expression, x)


def test_cells_without_a_type_stay(samples):
    cells, part_type = samples()
    x = cells.expression.clone()
    nothing = torch.full_like(part_type, -1)
    assert torch.equal(shift_donors(cells, torch.arange(13), nothing).expression, x)


def test_genes_that_either_file_lacks_do_not_move(samples):
    present = [[True, True, True, False], [True, True, False, True]]
    file = [0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1]
    cells, part_type = samples(present=present, columns=[[0, 1, 2, -1], [0, 1, -1, 3]], file=file)
    x = cells.expression.clone()
    got = shift_donors(cells, torch.tensor([1]), part_type).expression
    assert torch.equal(got[1, 2:], x[1, 2:])
    assert bool((got[1, :2] != x[1, :2]).all())
