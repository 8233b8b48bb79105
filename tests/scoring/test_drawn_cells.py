import numpy as np
import pytest

from scoring.cells import NO_CALL
from scoring.drawn_cells import ALL_SAMPLES, MOST_BY_SAMPLE, CellDraw, Group
from tests.scoring.made_calls import calls_of


def passed(draw, cell_type, state, sample, size):
    """Pass cells in blocks of a size; return the draw and the rows that it named as drawn at the time."""
    named = []
    for start in range(0, len(cell_type), size):
        block = slice(start, start + size)
        named.append(start + draw.update(start, calls_of(cell_type[block], state[block]), sample[block]))
    return draw, np.concatenate(named)


@pytest.fixture
def run(ontology):
    """Return calls of 4,000 cells: a third neutrophils of two states, a few mast cells, the rest macrophages."""
    rng = np.random.default_rng(0)
    at = ontology.index_by_id
    cell_type = rng.choice([at["NEUT"], at["MAC"], at["MAST"], NO_CALL], p=[0.33, 0.65, 0.01, 0.01], size=4000)
    state = np.where(cell_type == at["NEUT"], rng.choice([at["N_MAT"], at["N_ANG"]], size=4000), NO_CALL)
    return cell_type, state, rng.integers(3, size=4000)


def test_groups_hold_cells_of_their_own_and_no_more_than_they_may(ontology, run):
    draw, named = passed(CellDraw(ontology, 3, 30, 0), *run, 500)
    at, groups = ontology.index_by_id, draw.groups()
    assert list(groups) == sorted(groups)
    by_sample = [Group(at["NEUT"], sample) for sample in range(3)]
    of_all = [Group(at[name], ALL_SAMPLES) for name in ("NEUT", "MAC", "MAST", "N_MAT", "N_ANG")]
    assert set(groups) == {*by_sample, *of_all}
    for group, rows in groups.items():
        called = run[1] if group.node in (at["N_MAT"], at["N_ANG"]) else run[0]
        assert (called[rows] == group.node).all()
        assert (np.diff(rows) > 0).all()
        assert group.sample == ALL_SAMPLES or (run[2][rows] == group.sample).all()
        assert len(rows) == 30
    assert set(draw.rows()) == set(np.concatenate(list(groups.values())))
    assert set(draw.rows()) <= set(named)
    assert draw.n_called[at["MAST"]] == (run[0] == at["MAST"]).sum()


def test_the_same_cells_are_drawn_however_rows_are_cut(ontology, run):
    first, _ = passed(CellDraw(ontology, 3, 20, 0), *run, 4000)
    again, _ = passed(CellDraw(ontology, 3, 20, 0), *run, 37)
    other, _ = passed(CellDraw(ontology, 3, 20, 1), *run, 37)
    assert all((rows == again.groups()[group]).all() for group, rows in first.groups().items())
    assert any((rows != other.groups()[group]).any() for group, rows in first.groups().items())


def test_every_cell_is_drawn_alike_often(ontology):
    cell_type = np.full(40, ontology.index_by_id["MAC"])
    nothing, sample, often = np.full(40, NO_CALL), np.zeros(40, dtype=np.int64), np.zeros(40)
    for seed in range(600):
        draw, _ = passed(CellDraw(ontology, 1, 10, seed), cell_type, nothing, sample, 7)
        often[draw.rows()] += 1
    assert often.sum() == 6000
    assert abs(often - 150).max() < 5 * np.sqrt(600 * 0.25 * 0.75)


@pytest.mark.parametrize(("n_samples", "most"), [(3, 64), (100, 20), (204, 10), (205, 0), (5000, 0)])
def test_memory_has_a_bound_whatever_the_number_of_samples(ontology, n_samples, most):
    at, n = ontology.index_by_id, 100 * n_samples
    sample = np.arange(n) % n_samples
    draw, _ = passed(
        CellDraw(ontology, n_samples, 64, 0), np.full(n, at["NEUT"]), np.full(n, at["N_MAT"]), sample, 10**6
    )
    sizes = {len(rows) for group, rows in draw.groups().items() if group.sample != ALL_SAMPLES}
    assert sizes == ({most} if most else set())
    assert len(draw.rows()) <= MOST_BY_SAMPLE + 2 * 64


def test_nothing_is_drawn_when_none_is_wanted(ontology, run):
    draw, named = passed(CellDraw(ontology, 3, 0, 0), *run, 500)
    assert len(named) == len(draw.rows()) == len(draw.groups()) == 0
