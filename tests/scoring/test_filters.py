import numpy as np
import pytest

from scoring.filters import FilterAccumulator, filter_sentences, filters_by_type


@pytest.fixture
def filters(ontology):
    """Two samples: neutrophils of 150, 300, 600 genes and 450; malignant 499 and 900; ambient 20; one not called."""
    at = ontology.index_by_id
    kinds = ["NEUT", "NEUT", "NEUT", "MAL", "AMBIENT", "NEUT", "MAL"]
    cell_type = np.array([at[name] for name in kinds] + [-1], dtype=np.int16)
    sample = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    n_genes = np.array([150, 300, 600, 499, 20, 450, 900, 5])
    accumulator = FilterAccumulator(2, ontology)
    for cells in (slice(0, 3), slice(3, 8)):
        accumulator.update(sample[cells], n_genes[cells], cell_type[cells])
    return accumulator.table(["a", "b"])


def test_each_filter_is_counted_by_sample_and_type(filters):
    rows = {
        (row.sample_id, row.cell_type): (row.n_cells, row.n_lost_200, row.n_lost_500) for row in filters.itertuples()
    }
    assert rows == {
        ("a", "malignant epithelial cell"): (1, 0, 1),
        ("a", "neutrophil"): (3, 1, 2),
        ("a", "ambient RNA droplet"): (1, 1, 1),
        ("b", "malignant epithelial cell"): (1, 0, 0),
        ("b", "neutrophil"): (1, 0, 1),
    }


def test_a_barcode_at_the_number_of_genes_passes(ontology):
    accumulator = FilterAccumulator(1, ontology)
    node = np.full(2, ontology.index_by_id["NEUT"], dtype=np.int16)
    accumulator.update(np.zeros(2, dtype=np.int64), np.array([200, 500]), node)
    assert accumulator.table(["a"]).iloc[0, 2:].tolist() == [2, 0, 1]


def test_samples_are_summed_commonest_type_first(filters):
    by_type = filters_by_type(filters)
    assert by_type["cell_type"].tolist() == ["neutrophil", "malignant epithelial cell", "ambient RNA droplet"]
    assert by_type["n_cells"].tolist() == [4, 2, 1]
    assert by_type["percent_lost_500"].tolist() == [75.0, 50.0, 100.0]


def test_one_sentence_sets_neutrophils_beside_other_cells_and_ambient_droplets_are_no_cells(filters, ontology):
    assert filter_sentences(filters, ontology) == [
        "A filter of 200 genes would have removed 25.0 % of the neutrophils and 0.00 % of all other cells.",
        "A filter of 500 genes would have removed 75.0 % of the neutrophils and 50.0 % of all other cells.",
    ]


def test_without_neutrophils_nothing_is_said(filters, ontology):
    assert filter_sentences(filters[filters["cell_type"] != "neutrophil"], ontology) == []
    assert filter_sentences(filters[:0], ontology) == []
