"""The truth of a simulated file by sample, by hand."""

import numpy as np
import pandas as pd

from scoring.truth import true_burden


def test_the_true_burden_counts_cells_of_the_denominator(ontology):
    names = ["N_MAT", "MONO", "ERY", "MAL", "N_ANG", "AMBIENT", "T_CD4", "ERY"]
    node = np.array([ontology.index_by_id[name] for name in names], dtype=np.int16)
    sample = np.array([0, 0, 0, 0, 2, 2, 1, 3], dtype=np.int16)
    stage = pd.Categorical(["late", "late", "late", "late", "early", "early", "late", None])
    lost = sample == 1
    found = true_burden(sample, node, stage, lost, sample_ids=["a", "b", "c", "d"], ontology=ontology)
    assert found["sample_id"].tolist() == ["a", "c", "d"]
    np.testing.assert_allclose(found["burden_percent"], [100 / 3, 100.0, np.nan])
    assert found["tumor_stage"].tolist() == ["late", "early", ""]
