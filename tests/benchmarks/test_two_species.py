import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmarks.two_species import score, write_shared


def write(path, names):
    counts = sparse.csr_matrix(np.ones((2, len(names)), dtype=np.float32))
    ad.AnnData(counts, var=pd.DataFrame(index=names)).write_h5ad(path)
    return path


def test_copies_hold_the_genes_that_both_files_have(tmp_path):
    mouse = write(tmp_path / "m.h5ad", ["Cxcr2", "Ly6g", "Car4", "Epcam"])
    human = write(tmp_path / "h.h5ad", ["FCGR3B", "CA4", "CXCR2"])
    files = write_shared(mouse, human)
    assert {name: ad.read_h5ad(path).var_names.tolist() for name, path in files.items()} == {
        "mshared": ["Cxcr2", "Car4"],
        "hshared": ["CA4", "CXCR2"],
    }


def test_each_setting_is_scored_on_lineages_labels_types_and_neutrophils(ontology):
    at = ontology.index_by_id
    cells = pd.DataFrame(
        {
            "cell_id": ["a", "b", "c", "d"],
            "group": ["p1", "p1", "p2", "p2"],
            "stratum": "all",
            "seed": 0,
            "truth": [at[i] for i in ("NEUT", "NEUT", "B", "L1_MYE")],
            "truth_type": [at["NEUT"], at["NEUT"], at["B"], -1],
            "truth_lineage": [at[i] for i in ("L1_MYE", "L1_MYE", "L1_LYM", "L1_MYE")],
            "type_call": [at[i] for i in ("NEUT", "B", "B", "MONO")],
            "lineage_call": [at[i] for i in ("L1_MYE", "L1_LYM", "L1_LYM", "L1_MYE")],
            "credited_call": [at[i] for i in ("NEUT", "B", "B", "L1_MYE")],
        }
    )
    (row,) = score(cells.assign(setting="mice"), ontology)
    assert row[0] == "mice"
    assert float(row[1].split()[0]) == pytest.approx((4 / 5 + 2 / 3) / 2, abs=1e-3)
    assert float(row[2].split()[0]) == pytest.approx((2 / 3 + 2 / 3 + 1) / 3, abs=1e-3)
    assert float(row[3].split()[0]) == pytest.approx(2 / 3, abs=1e-3)
    assert float(row[4].split()[0]) == pytest.approx(2 / 3, abs=1e-3)
    assert row[5] == "0.733-0.733"
