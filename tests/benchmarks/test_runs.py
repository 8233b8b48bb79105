import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from benchmarks.runs import floor_seeds, network_probabilities


def test_probabilities_of_leaves_become_those_of_all_nodes(ontology, nodes, tmp_path):
    cells = ad.AnnData(sparse.csr_matrix((1, 1)), obs=pd.DataFrame(index=["c"]))
    cells.obsm["neutrostage_probabilities"] = np.array([[0.25, 0.25, 0.5]], dtype=np.float32)
    cells.uns["neutrostage"] = {"probability_columns": np.array(["ZN4", "ZN5", "B"], dtype=object)}
    cells.write_h5ad(tmp_path / "annotated.h5ad")
    of_nodes = network_probabilities(tmp_path, ontology)
    assert of_nodes[0, nodes("ZN4", "N_ANG", "NEUT", "L1_LYM")].tolist() == [0.25, 0.5, 0.5, 0.5]


def test_only_floors_that_draw_something_run_with_every_seed():
    assert list(floor_seeds("logistic", range(3))) == [0]
    assert list(floor_seeds("pca_logistic", range(3))) == [0, 1, 2]
