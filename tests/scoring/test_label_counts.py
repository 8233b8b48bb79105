import numpy as np
import pytest

from schema.calls import AMBIENT, OUT_OF_DISTRIBUTION, CallRules
from scoring.cells import call_cells
from scoring.label_counts import LabelCounts


@pytest.fixture
def counts(ontology):
    """A state, a lineage and a strange cell in the first sample, ambient RNA and no counts in the second."""
    place = {ontology.nodes[leaf].id: column for column, leaf in enumerate(ontology.leaves)}
    cells = np.zeros((5, len(place)), dtype=np.float32)
    cells[0, place["N_MAT"]] = 1.0
    cells[1, [place["T_CD4"], place["T_CD8"]]] = 0.5
    cells[2, place["B"]] = 1.0
    cells[3, place["AMBIENT"]] = 1.0
    novelty = np.array([0.0, 0.0, 5.0, 0.0, np.nan], dtype=np.float32)
    calls = call_cells(cells, novelty, np.ones(len(place)), ontology, CallRules(back_off=0.6, novelty=2.0))
    found = LabelCounts(3, ontology)
    for rows in (slice(0, 2), slice(2, 5)):
        described = np.array([True, True, True, True, False])[rows]
        found.update(np.array([0, 0, 0, 1, 1])[rows], type(calls)(*(part[rows] for part in calls)), described)
    return found


def test_cells_by_how_far_their_label_goes(counts):
    assert counts.rows() == [
        ("labelled down to subset or state", 1, 20.0),
        ("labelled down to lineage", 1, 20.0),
        ("not labelled: low counts", 1, 20.0),
        ("labelled: ambient", 1, 20.0),
        ("not labelled: out of distribution", 1, 20.0),
    ]


def test_percent_of_a_sample_by_reason(counts):
    assert counts.percent(OUT_OF_DISTRIBUTION).tolist() == pytest.approx([100 / 3, 0, np.nan], nan_ok=True)
    assert counts.percent(AMBIENT).tolist() == pytest.approx([0, 100, np.nan], nan_ok=True)
