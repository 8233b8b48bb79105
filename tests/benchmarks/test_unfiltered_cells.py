import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmarks.unfiltered import recall_rows, thinned_rows
from benchmarks.unfiltered_cells import THINNED, write_thinned, write_unfiltered


@pytest.fixture
def cells():
    """Forty cells of two samples; those of the first hold the first gene only."""
    counts = np.zeros((40, 3), dtype=np.float32)
    counts[:20, 0], counts[20:, 1] = 1000, 2000
    obs = pd.DataFrame(
        {"sample_id": ["a"] * 20 + ["b"] * 20, "true_cell_type_id": ["N_MAT"] * 20 + ["MAL"] * 20},
        index=[f"cell-{i}" for i in range(40)],
    )
    return ad.AnnData(sparse.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=["Aaa", "Bbb", "Ccc"]))


def test_cells_stay_and_droplets_hold_the_rna_of_their_sample(cells, tmp_path):
    found = ad.read_h5ad(write_unfiltered(cells, tmp_path / "raw.h5ad", 400, 20))
    assert found.n_obs == 460
    assert (found[cells.obs_names].X != cells.X).nnz == 0
    droplets = found[[name for name in found.obs_names if "droplet" in name]]
    size = np.asarray(droplets.X.sum(axis=1)).ravel()
    assert ((size < 50).sum(), (size >= 50).sum()) == (400, 20)
    of_a = (droplets.obs["sample_id"] == "a").to_numpy()
    assert droplets.X[of_a][:, 1:].sum() == 0
    assert droplets.X[~of_a][:, [0, 2]].sum() == 0


def test_cells_are_thinned_to_about_so_many_umi(cells, tmp_path):
    found = ad.read_h5ad(write_thinned(cells, tmp_path / "thin.h5ad"))
    size = pd.Series(np.asarray(found.X.sum(axis=1)).ravel()).groupby(found.obs["sample_id"].to_numpy()).mean()
    for umi in THINNED:
        assert size[str(umi)] == pytest.approx(umi, rel=0.2)


def test_neutrophils_are_told_by_umi(ontology):
    truth = pd.Series(["NEUT", "N_ANG", "N_MAT", "MAL"])
    found = pd.DataFrame(
        {
            "library_size": [150.0, 249.0, 250.0, 200.0],
            "n_genes": [100, 100, 500, 100],
            "predicted_cell_type": ["neutrophil", "monocyte", "neutrophil", "neutrophil"],
        }
    )
    rows = recall_rows(truth, found, ontology)
    assert rows[0] == ["150-250", "2", "0.500", "1.000"]
    assert rows[1] == ["250-500", "1", "1.000", "0.000"]


def test_thinned_cells_are_told_by_umi(ontology):
    n = len(THINNED)
    found = pd.DataFrame(
        {
            "sample_id": [str(umi) for umi in THINNED] * 2,
            "predicted_cell_type": ["neutrophil"] * n + ["low counts"] * n,
            "neutrophil_probability": [0.8] * n + [0.1] * n,
        }
    )
    rows = thinned_rows(pd.Series(["NEUT"] * n + ["MAL"] * n), found, ontology)
    assert rows[0] == ["20", "1.000", "0.800", "0.000"]
