import numpy as np
import pandas as pd
import pytest

from schema.calls import CallRules
from schema.predictions import sample_columns
from scoring.burden import BurdenReference
from scoring.validation import SampleTable
from tests.scoring.made_confusion import made_confusion


@pytest.fixture
def cells(ontology):
    """Return 400 cells of three samples, the last without any: sample, UMI, genes, probabilities, novelty."""
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.full(len(ontology.leaves), 0.2), 400).astype(np.float32)
    library_size = rng.integers(60, 3000, 400).astype(np.float32)
    library_size[:10] = 20
    probabilities[:10] = 0
    sample = np.sort(rng.integers(0, 2, 400))
    return sample, library_size, rng.integers(40, 900, 400).astype(np.int32), probabilities, np.zeros(400, np.float32)


def table_of(cells, ontology, step):
    rules = CallRules(back_off=0.6, novelty=3.0)
    prior = np.full(len(ontology.leaves), 1 / len(ontology.leaves))
    sums = SampleTable(3, ontology, rules, prior, seed=0)
    for first in range(0, 400, step):
        sums.update(*(part[first : first + step] for part in cells))
    return sums.table(["a", "b", "c"], BurdenReference(made_confusion(ontology, [], []), prior), knows_neutrophils=True)


def test_the_table_is_that_of_predict_without_stages(cells, ontology):
    table = table_of(cells, ontology, 400)
    assert list(table) == [column.name for column in sample_columns(ontology, None)]
    sample, _, _, probabilities, _ = cells
    for code, name in enumerate("ab"):
        mass = probabilities[sample == code].astype(np.float64).sum(axis=0)
        counted = mass[~ontology.below(*ontology.roles.outside_denominator)].sum()
        burden = 100 * mass[ontology.below("NEUT")].sum() / counted
        row = table.set_index("sample_id").loc[name]
        assert row["burden_percent"] == pytest.approx(burden, rel=1e-4)
    assert table["n_low_counts"].sum() == 10
    assert table["n_cells"].tolist() == [*np.bincount(sample), 0]


def test_it_does_not_depend_on_blocks(cells, ontology):
    pd.testing.assert_frame_equal(table_of(cells, ontology, 400), table_of(cells, ontology, 37), rtol=1e-9)
