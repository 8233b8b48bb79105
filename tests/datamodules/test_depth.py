import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from datamodules.depth import spread_library_sizes
from datamodules.store import open_store


def write(path, sizes, form=sparse.csr_matrix):
    counts = np.zeros((len(sizes), 3), dtype=np.float32)
    counts[:, 1] = sizes
    names = pd.DataFrame(index=["Aaa", "Bbb", "Ccc"])
    ad.AnnData(form(counts), var=names).write_h5ad(path)
    return path


@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csc_matrix, np.asarray])
def test_a_small_file_is_seen_whole(tmp_path, form):
    sizes = np.arange(100)
    with open_store(write(tmp_path / "a.h5ad", sizes, form)) as store:
        assert spread_library_sizes(store).tolist() == sizes.tolist()


def test_a_large_file_is_seen_from_its_first_to_its_last_row(tmp_path):
    with open_store(write(tmp_path / "a.h5ad", np.arange(10_000))) as store:
        sizes = spread_library_sizes(store)
    assert len(sizes) == 2048
    assert (sizes.min(), sizes.max()) == (0, 9999)
    assert np.median(sizes) == pytest.approx(5000, rel=0.02)


def test_a_file_whose_empty_barcodes_come_last_shows_them(tmp_path):
    sizes = np.where(np.arange(10_000) < 1000, 800, 2)
    with open_store(write(tmp_path / "a.h5ad", sizes)) as store:
        assert (spread_library_sizes(store) < 50).mean() == pytest.approx(0.9, abs=0.02)
