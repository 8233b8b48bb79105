"""Small files of cells whose counts encode their row and column."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

N_CELLS, N_GENES = 7, 5


@pytest.fixture
def coded():
    """float32 [7, 5]: 10 * (row + 1) + column where present; row 3 is an empty cell, column 2 an absent gene."""
    rows, columns = np.mgrid[:N_CELLS, :N_GENES]
    counts = (10 * (rows + 1) + columns) * ((rows + columns) % 2 == 0)
    counts[3], counts[:, 2] = 0, 0
    return counts.astype(np.float32)


@pytest.fixture
def make_adata(coded):
    """Return a function that wraps a matrix as AnnData with names and a few columns."""

    def make(X=None, **parts):
        X = sp.csr_matrix(coded) if X is None else X
        obs = pd.DataFrame(
            {
                "sample_id": pd.Categorical(["s1", "s1", "s2", "s2", "s2", "s3", None][: X.shape[0]]),
                "donor": ["m1", "m1", "m2", "m2", "m2", "m2", "m1"][: X.shape[0]],
                "weight": [1.0, 2.5, np.nan, 4.0, 5.0, 6.0, 7.0][: X.shape[0]],
            },
            index=[f"cell{row}" for row in range(X.shape[0])],
        )
        symbols = ["Cxcr2", "S100a8", "Cd3e", "Epcam", "Pecam1"]
        var = pd.DataFrame({"gene_id": [f"ENSMUSG0000000000{column}.1" for column in range(N_GENES)]}, index=symbols)
        return ad.AnnData(X, obs=obs, var=var, **parts)

    return make


@pytest.fixture
def write_zarr():
    """Return a function that writes AnnData as zarr of format 2 or 3."""

    def write(adata, path, zarr_format):
        with warnings.catch_warnings(), ad.settings.override(zarr_write_format=zarr_format):
            warnings.simplefilter("ignore")  # anndata announces its next default
            adata.write_zarr(path)

    return write


def dense(block, n_genes):
    """Return a CsrBlock as a dense array, by scipy."""
    return sp.csr_matrix((block.counts, block.indices, block.indptr), shape=(len(block.indptr) - 1, n_genes)).toarray()


@pytest.fixture(name="dense")
def _dense():
    return dense


@pytest.fixture
def write_cohort():
    """Return a function that writes cells of interleaved samples as .h5ad and returns the counts, dense.

    About half the entries are zero; the others tell row and column. Some counts are above 15, some above 254; rows 3
    and 40 are empty. Samples a, b, c alternate, `cell_type` is missing in row 7.
    """

    def write(path, n_cells=300, n_genes=12, seed=0, layout=sp.csr_matrix):
        rng = np.random.default_rng(seed)
        rows, columns = np.mgrid[:n_cells, :n_genes]
        counts = np.where(rng.random((n_cells, n_genes)) < 0.5, 0, (rows * n_genes + columns) % 14 + 1)
        counts[rng.random(counts.shape) < 0.1] = 16 + np.arange(n_genes).max()
        counts[rng.random(counts.shape) < 0.03] = 255
        counts[1::50, -1] = 1000 + np.arange(1, n_cells, 50)
        counts[[row for row in (3, 40) if row < n_cells]] = 0
        names = np.array(["a", "b", "c"])
        kinds = [None if row == 7 else ("Mast cell", "T cell")[row % 2] for row in range(n_cells)]
        obs = pd.DataFrame(
            {"sample_id": pd.Categorical(names[np.arange(n_cells) % 3]), "cell_type": pd.Categorical(kinds)},
            index=[f"cell{row}" for row in range(n_cells)],
        )
        var = pd.DataFrame({"gene_id": ""}, index=[f"Gene{seed}x{column}" for column in range(n_genes)])
        ad.AnnData(layout(counts.astype(np.float32)), obs=obs, var=var).write_h5ad(path)
        return counts

    return write
