import numpy as np
import pytest

from scoring.doublet_ratio import chance_of_pair, doublet_ratio


@pytest.fixture
def expected_of(ontology):
    """Return a function that makes expected cells of leaves by id, float64 `[1, n_leaves]`."""

    def make(**cells):
        row = np.zeros((1, len(ontology.leaves)))
        place = {ontology.nodes[leaf].id: i for i, leaf in enumerate(ontology.leaves)}
        for name, n in cells.items():
            row[0, place[name]] = n
        return row

    return make


def test_chance_is_that_of_drawing_two_cells(ontology, expected_of):
    """Of pairs drawn from 100 cells, by enumeration; neutrophils of two states are one type."""
    types = ["N"] * 20 + ["M"] * 50 + ["T"] * 30
    pairs = [{a, b} for a in types for b in types if a != b]
    by_hand = sum(pair == {"N", "M"} for pair in pairs) / len(pairs)
    expected = expected_of(N_MAT=5, N_ANG=15, MAL=50, B=30, AMBIENT=400, DBL_OTHER=70)
    assert chance_of_pair(expected, ontology)[0] == pytest.approx(by_hand)


def test_found_over_expected_is_one_where_chance_made_the_doublets(ontology, expected_of):
    cells = {"N_MAT": 200, "MAL": 500, "B": 300}
    q = 2 * 0.2 * 0.5 / (1 - 0.04 - 0.25 - 0.09)
    found = doublet_ratio(expected_of(**cells, DBL_NEUT_MAL=60 * q, DBL_OTHER=60 * (1 - q)), ontology)
    assert found.log2_ratio[0] == pytest.approx(0)
    assert found.n_pair_by_chance[0] == pytest.approx(60 * q)
    assert found.low[0] < 0 < found.high[0]


def test_expected_doublets_do_not_rise_with_those_that_were_found(ontology, expected_of):
    cells = {"N_MAT": 200, "MAL": 500, "B": 300, "DBL_OTHER": 40}
    few, many = (doublet_ratio(expected_of(**cells, DBL_NEUT_MAL=n), ontology) for n in (10, 80))
    assert few.n_pair_by_chance[0] == many.n_pair_by_chance[0]
    assert many.log2_ratio[0] - few.log2_ratio[0] == pytest.approx(3)
    assert many.low[0] > 0


def test_too_few_doublets_have_no_ratio(ontology, expected_of):
    few = doublet_ratio(expected_of(N_MAT=200, MAL=500, DBL_NEUT_MAL=9, DBL_OTHER=10), ontology)
    none = doublet_ratio(expected_of(N_MAT=1, MAL=5, B=900, DBL_NEUT_MAL=0.2, DBL_OTHER=40), ontology)
    assert np.isnan([few.log2_ratio[0], few.low[0], few.high[0], none.log2_ratio[0]]).all()
    assert few.n_pair[0] == 9
