import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from benchmarks.floors import FLOORS, main
from benchmarks.joint import log_scaled, shown_genes, training_cells


def toy_cells(n_cells=60, n_genes=8, seed=0):
    """Class a counts in even genes, class b in odd genes."""
    rng = np.random.default_rng(seed)
    is_b = np.arange(n_cells) % 2
    rate = np.where((np.arange(n_genes) % 2)[None, :] == is_b[:, None], 8.0, 0.2)
    obs = pd.DataFrame(
        {"cell_type": np.where(is_b, "B", "NK"), "donor_id": "d1"}, index=[f"c{i}" for i in range(n_cells)]
    )
    counts = sparse.csr_matrix(rng.poisson(rate).astype(np.float32))
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]))


@pytest.mark.parametrize(
    ("method", "accuracy"), [("majority", 0.5), ("logistic", 1.0), ("pca_logistic", 1.0), ("mlp", 1.0)]
)
def test_floors_learn_what_they_can(method, accuracy):
    train, test = toy_cells(seed=0), toy_cells(seed=1)
    genes = shown_genes([train], 3)
    floor = FLOORS[method](log_scaled(train, genes), train.obs["cell_type"].to_numpy(dtype=str), 0)
    probabilities = floor.probabilities(log_scaled(test, genes))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    called = floor.classes[probabilities.argmax(axis=1)]
    assert (called == test.obs["cell_type"].to_numpy()).mean() == accuracy


def test_cells_are_scaled_by_all_genes_of_their_file_and_missing_genes_are_zero():
    cells = ad.AnnData(sparse.csr_matrix(np.array([[1.0, 3.0], [0.0, 4.0]])), var=pd.DataFrame(index=["a", "b"]))
    np.testing.assert_allclose(log_scaled(cells, ["b", "c"]).toarray(), np.log1p([[7500, 0], [10000, 0]]), rtol=1e-6)


def test_genes_are_kept_by_the_cells_that_show_them_over_all_files():
    first = ad.AnnData(sparse.csr_matrix(np.array([[1, 0], [1, 0]])), var=pd.DataFrame(index=["a", "b"]))
    second = ad.AnnData(sparse.csr_matrix(np.array([[1, 1]])), var=pd.DataFrame(index=["b", "a"]))
    assert shown_genes([first, second], 2) == ["a"]
    assert shown_genes([first, second], 1) == ["a", "b"]


def test_test_donors_and_unlabelled_cells_train_no_floor(tmp_path):
    cells = toy_cells(n_cells=6)
    cells.obs["donor_id"] = ["d1", "d1", "d1", "d2", "d2", "d2"]
    cells.obs["cell_type"] = ["B", "unlabelled", "NK", "B", "B", "NK"]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    (part,) = training_cells([tmp_path / "cells.h5ad"], ["d2"])
    assert list(part.obs_names) == ["c0", "c2"]


@pytest.mark.parametrize("method", ["majority", "logistic", "pca_logistic", "mlp"])
def test_one_command_fits_and_another_predicts(method, tmp_path):
    toy_cells(seed=0).write_h5ad(tmp_path / "train.h5ad")
    toy_cells(n_cells=10, seed=1).write_h5ad(tmp_path / "test.h5ad")
    model = ["--model", str(tmp_path / "model.npz")]
    main(["fit", "--method", method, "--train", str(tmp_path / "train.h5ad"), *model])
    main(["predict", "--test", str(tmp_path / "test.h5ad"), *model, "--output", str(tmp_path / "out.npz")])
    with np.load(tmp_path / "out.npz") as stored:
        assert stored["classes"].tolist() == ["B", "NK"]
        assert (stored["probabilities"].argmax(axis=1) == ([0] * 10 if method == "majority" else [1, 0] * 5)).all()


def three_classes(seed):
    """Cells float32 CSR `[90, 12]` and their labels; class i counts in genes 4 i to 4 i + 3."""
    rng, labels = np.random.default_rng(seed), np.array(["a", "b", "c"] * 30)
    own = np.repeat(np.eye(3), 4, axis=1)[np.tile([0, 1, 2], 30)]
    return sparse.csr_matrix(rng.poisson(0.5 + own).astype(np.float32)), labels


def test_the_layers_of_a_floor_say_what_scikit_learn_says():
    (x, labels), (test, _) = three_classes(0), three_classes(1)
    model = LogisticRegression(C=1.0, max_iter=1000, random_state=0)
    logistic = FLOORS["logistic"](x, labels, 0)
    expected = model.fit(x, labels).predict_proba(test)
    np.testing.assert_allclose(logistic.probabilities(test), expected, rtol=1e-5)
    pca = make_pipeline(PCA(n_components=11, svd_solver="randomized", random_state=0), model)
    expected = pca.fit(x.toarray(), labels).predict_proba(test.toarray())
    np.testing.assert_allclose(FLOORS["pca_logistic"](x, labels, 0).probabilities(test), expected, rtol=1e-4)


def test_a_model_of_a_floor_is_read_without_pickle(tmp_path):
    toy_cells().write_h5ad(tmp_path / "train.h5ad")
    train = ["--train", str(tmp_path / "train.h5ad"), "--model", str(tmp_path / "floor.model")]
    main(["fit", "--method", "pca_logistic", *train])
    with np.load(tmp_path / "floor.model", allow_pickle=False) as stored:
        assert {name: stored[name].shape for name in stored.files} == {
            "genes": (8,),
            "classes": (2,),
            "0": (2, 8),
            "1": (2,),
        }
