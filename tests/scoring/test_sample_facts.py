import numpy as np
import pytest

from scoring.droplets import AMBIENT, CELL, LOW_COUNTS
from scoring.sample_facts import SampleFactsAccumulator


def leaf(ontology, name):
    return ontology.leaves.tolist().index(ontology.index_by_id[name])


def certain(ontology, *names):
    probabilities = np.zeros((len(names), len(ontology.leaves)), dtype=np.float32)
    for row, name in enumerate(names):
        probabilities[row, leaf(ontology, name)] = 1
    return probabilities


def accumulate(n_samples, *blocks, n_leaves=2):
    accumulator = SampleFactsAccumulator(n_samples, n_leaves)
    for sample, library_size, n_genes, probabilities in blocks:
        accumulator.update(np.array(sample), np.array(library_size), np.array(n_genes), np.array(probabilities))
    return accumulator.facts()


def test_depth_of_each_sample():
    halves = np.full((5, 2), 0.5)
    facts = accumulate(3, ([0, 2, 0, 2, 0], [499, 1000, 500, 8000, 900], [10, 20, 30, 40, 50], halves))
    assert facts.n_cells.tolist() == [3, 0, 2]
    np.testing.assert_allclose(facts.low_count_percent, [100 / 3, np.nan, 0])
    assert facts.min_genes.tolist() == [10, 0, 20]
    np.testing.assert_allclose(facts.expected_cells, [[1.5, 1.5], [0, 0], [1, 1]])


def test_median_is_right_to_the_width_of_a_bin():
    sizes = np.random.default_rng(0).lognormal(8, 1, 3001)
    facts = accumulate(1, (np.zeros(3001, int), sizes, np.ones(3001, int), np.ones((3001, 2))))
    assert facts.median_library_size[0] == pytest.approx(np.median(sizes), rel=0.03)  # bins are 5.9 % wide


def test_library_sizes_beyond_the_bins_are_kept():
    facts = accumulate(2, ([0, 1], [0, 1e9], [0, 5000], np.ones((2, 2))))
    np.testing.assert_allclose(facts.median_library_size, [10.29, 971_628], rtol=1e-3)
    assert facts.min_genes.tolist() == [0, 2000]


def test_percentiles_of_genes_are_counted_from_below():
    n_genes = np.arange(1000)[::-1]
    facts = accumulate(1, (np.zeros(1000, int), n_genes, n_genes, np.ones((1000, 2))))
    assert facts.min_genes.tolist() == [5]
    assert facts.edge_genes.tolist() == [50]


def test_many_genes_are_right_to_the_width_of_a_bin():
    n_genes = np.array([499, 500, 507, 1234, 1999, 2000, 2600])
    facts = accumulate(7, (np.arange(7), n_genes, n_genes, np.ones((7, 2))))
    assert facts.min_genes.tolist()[:2] == [499, 500]
    assert facts.min_genes.tolist()[5:] == [2000, 2000]
    assert (facts.min_genes <= n_genes).all()
    assert (facts.min_genes[:6] > n_genes[:6] / 1.015).all()


def test_each_of_very_many_samples_has_its_own_percentile():
    n_genes = np.arange(3_000) % 400
    facts = accumulate(3_000, (np.arange(3_000), n_genes, n_genes, np.ones((3_000, 2))))
    np.testing.assert_array_equal(facts.min_genes, n_genes)


def test_blocks_add_up():
    rng = np.random.default_rng(1)
    sample, size = rng.integers(0, 3, 500), rng.integers(10, 5000, 500)
    genes, probabilities = rng.integers(0, 2500, 500), rng.dirichlet(np.ones(4), 500)
    whole = accumulate(3, (sample, size, genes, probabilities), n_leaves=4)
    cuts = [slice(0, 1), slice(1, 333), slice(333, 500)]
    parts = accumulate(3, *((sample[c], size[c], genes[c], probabilities[c]) for c in cuts), n_leaves=4)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_fractions_sum_leaves_below_level_two(ontology):
    cells = certain(ontology, "N_MAT", "N_ANG", "CDC1", "MAL")
    facts = accumulate(1, ([0] * 4, [900] * 4, [300] * 4, cells), n_leaves=len(ontology.leaves))
    by_id = dict(zip([ontology.nodes[i].id for i in ontology.nodes_at(2)], facts.fractions(ontology)[0], strict=True))
    assert {name: share for name, share in by_id.items() if share} == {"NEUT": 0.5, "DC": 0.25, "MAL": 0.25}


def test_states_are_shares_of_neutrophils_and_blank_below_thirty(ontology):
    many = certain(ontology, *["N_MAT"] * 24, *["N_ANG"] * 6, *["MAL"] * 10)
    few = certain(ontology, *["N_MAT"] * 29, "MAL")
    cells = np.concatenate([many, few])
    n_cells = len(cells)
    facts = accumulate(2, ([0] * 40 + [1] * 30, [900] * n_cells, [300] * n_cells, cells), n_leaves=len(ontology.leaves))
    states = [node.id for node in ontology.nodes if node.parent == "NEUT"]
    shares = facts.states(ontology)
    assert {s: v for s, v in zip(states, shares[0].round(6), strict=True) if v} == {"N_MAT": 0.8, "N_ANG": 0.2}
    assert np.isnan(shares[1]).all()


def test_outside_the_denominator_are_erythroid_platelets_ambient_and_doublets(ontology):
    cells = certain(ontology, "ERY", "PLT", "AMBIENT", "DBL_NEUT_MAL", "MAL", "ADI", "N_MAT", "B")
    facts = accumulate(1, ([0] * 8, [900] * 8, [300] * 8, cells), n_leaves=len(ontology.leaves))
    assert facts.outside_denominator_percent(ontology).tolist() == [50.0]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="Expected shapes"):
        accumulate(1, ([0, 0], [900], [300, 300], np.ones((2, 2))))


def facts_of_kinds(*, unfiltered):
    accumulator = SampleFactsAccumulator(1, 2, unfiltered=unfiltered)
    kind = np.array([LOW_COUNTS] * 6 + [AMBIENT] * 3 + [CELL] * 2, dtype=np.int8)
    size = np.array([2.0] * 6 + [100.0] * 3 + [2000.0] * 2)
    probabilities = np.array([[0, 0]] * 6 + [[0.1, 0.9]] * 3 + [[1, 0]] * 2, dtype=np.float32)
    genes = np.array([2] * 6 + [80] * 3 + [900] * 2)
    accumulator.update(np.zeros(11, dtype=np.int64), size, genes, probabilities, kind)
    return accumulator.facts()


def test_low_counts_are_counted_and_in_no_other_figure():
    facts = facts_of_kinds(unfiltered=False)
    assert (facts.n_cells[0], facts.n_low_counts[0], facts.n_ambient[0], facts.n_described[0]) == (11, 6, 3, 5)
    assert facts.min_genes[0] == 80
    np.testing.assert_allclose(facts.low_count_percent, [60.0])
    np.testing.assert_allclose(facts.expected_cells, [[2.3, 2.7]], rtol=1e-6)
    assert facts.median_library_size[0] == pytest.approx(100, rel=0.03)


def test_of_an_unfiltered_file_rows_called_ambient_show_the_depth_of_the_file_and_not_of_its_cells():
    facts = facts_of_kinds(unfiltered=True)
    assert (facts.n_cells[0], facts.n_low_counts[0], facts.n_ambient[0], facts.n_described[0]) == (11, 6, 3, 2)
    assert facts.min_genes[0] == 80
    np.testing.assert_allclose(facts.low_count_percent, [60.0])
    np.testing.assert_allclose(facts.expected_cells, [[2, 0]])
    assert facts.median_library_size[0] == pytest.approx(2000, rel=0.03)
