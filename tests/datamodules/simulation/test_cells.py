import numpy as np
import pytest

from datamodules.simulation.cells import draw_cells
from datamodules.simulation.design import TissueDesign
from datamodules.simulation.tissue import build_tissue

N_CELLS = 4_000


@pytest.fixture(scope="module")
def tissue(ontology):
    return build_tissue(np.random.default_rng(0), TissueDesign.load(), ontology, "mouse", 700)


@pytest.fixture(scope="module")
def draw(tissue):
    design = TissueDesign.load()
    types = {t.id: t for t in design.types}

    def draw(cell_type, overlap=0.9, stage=2):
        subsets = design.subsets_of(cell_type)
        shares = np.full(len(subsets), 1 / len(subsets)) if subsets else np.empty(0)
        options = {"stage": stage, "state_overlap": overlap}
        cells = draw_cells(np.random.default_rng(1), tissue, types[cell_type], shares, N_CELLS, **options)
        return np.array([s.id for s in subsets])[cells.subset] if subsets else cells.subset, cells.weights

    return draw


@pytest.mark.parametrize("cell_type", ["NEUT", "ENDO_V", "MAL", "B"])
def test_a_cell_spends_all_its_mrna_and_no_less_than_none(draw, cell_type):
    _, weights = draw(cell_type)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)


def test_a_type_without_subsets_has_none(draw):
    subset, _ = draw("B")
    np.testing.assert_array_equal(subset, -1)


def test_states_blend_into_their_neighbors_as_far_as_the_overlap_allows(draw, tissue):
    own, neighbor = tissue.index["N_PRO"], tissue.index["N_IMM"]
    state, weights = draw("NEUT", overlap=0.0)
    assert weights[state == "N_PRO", neighbor].max() == 0
    state, weights = draw("NEUT", overlap=0.8)
    astray = weights[state == "N_PRO", neighbor] / weights[state == "N_PRO"][:, [own, neighbor]].sum(axis=1)
    assert 0.7 < astray.max() <= 0.8
    assert astray.mean() == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(
    ("first", "second", "programmes"),
    [("N_MAT", "N_QUI", ("degranulation", "aging")), ("N_INF", "N_ANG", ("net", "glycolysis"))],
)
def test_an_interaction_of_two_programmes_tells_a_pair_apart_and_neither_alone_does(
    draw, tissue, first, second, programmes
):
    state, weights = draw("NEUT")
    on = weights[:, [tissue.index[p] for p in programmes]] > 0.03
    np.testing.assert_array_equal(on[state == first, 0], on[state == first, 1])
    np.testing.assert_array_equal(on[state == second, 0], ~on[state == second, 1])
    for programme in (0, 1):
        assert on[state == first, programme].mean() == pytest.approx(0.5, abs=0.08)
        assert on[state == second, programme].mean() == pytest.approx(0.5, abs=0.08)


def test_half_of_an_interacting_pair_is_told_apart_by_nothing_else(draw, tissue):
    state, weights = draw("NEUT")
    pair = weights[:, [tissue.index["N_INF"], tissue.index["N_ANG"]]]
    equal = np.isclose(pair[:, 0], pair[:, 1])
    for name in ("N_INF", "N_ANG"):
        assert equal[state == name].mean() == pytest.approx(0.5, abs=0.08)


def test_programme_activity_rises_with_stage(draw, tissue):
    early, late = (draw("MAL", stage=stage)[1][:, tissue.index["hypoxia"]] for stage in (0, 4))
    assert late.mean() == pytest.approx(10 * early.mean(), rel=0.1)  # 0.03 against 0.003
