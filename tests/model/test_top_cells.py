import numpy as np
import torch

from model.top_cells import N_TOP, TopCells


def drawn(n=200, n_groups=5, seed=0):
    """Cells with whole keys, so that there are equal ones, and their expected order: by key, then by row."""
    rng = np.random.default_rng(seed)
    group, key = rng.integers(0, n_groups - 1, n), rng.integers(0, 20, n).astype(np.float32)
    return [torch.from_numpy(part) for part in (group, key, rng.permutation(n), rng.integers(0, 9, n))]


def filled(cells, cuts, n_groups=5):
    state = TopCells.empty(n_groups, 2)
    for part in torch.tensor_split(torch.arange(len(cells[0])), cuts):
        group, key, row, cell_type = (of[part] for of in cells)
        state = state.add(group, key, row, cell_type, torch.stack([key, -key], dim=1))
    return state


def test_the_largest_of_each_group_stay_of_equal_ones_the_first_rows():
    cells = drawn()
    found = filled(cells, [])
    group, key, row, cell_type = (part.numpy() for part in cells)
    for number in range(4):
        mine = np.flatnonzero(group == number)
        expected = mine[np.lexsort((row[mine], -key[mine]))][:N_TOP]
        assert found.row[number].tolist() == row[expected].tolist()
        assert found.cell_type[number].tolist() == cell_type[expected].tolist()
        assert found.key[number].tolist() == key[expected].tolist()
        assert found.parts[number, :, 1].tolist() == (-key[expected]).tolist()


def test_how_cells_are_cut_changes_nothing():
    cells, whole = drawn(), filled(drawn(), [])
    for cuts in ([1, 2, 3], list(range(1, 200)), [120]):
        for mine, expected in zip(filled(cells, cuts), whole, strict=True):
            assert torch.equal(mine, expected)


def test_fewer_cells_than_places_leave_places_empty():
    found = filled([torch.tensor(part) for part in ([1], [2.0], [7], [3])], [])
    assert found.key[1].tolist() == [2.0, -torch.inf, -torch.inf]
    assert found.row[1, 0] == 7
    assert bool(torch.isinf(found.key[[0, 2, 3, 4]]).all())
