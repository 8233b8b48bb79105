import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from datamodules.simulation.file import new_counts_file
from schema.errors import OutputError

COUNTS = np.array([[11, 0, 13], [0, 0, 0], [31, 32, 0], [0, 42, 43]], dtype=np.float32)
OBS = pd.DataFrame({"simulated": True}, index=["a", "b", "c", "d"])
VAR = pd.DataFrame({"gene_id": ["", "", ""]}, index=["x", "y", "z"])


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_blocks_of_rows_read_back_as_one_matrix(tmp_path, compression):
    path = tmp_path / "cells.h5ad"
    with new_counts_file(path, 3, compression) as file:
        file.append(sp.csr_matrix(COUNTS[:1]))
        file.append(sp.csr_matrix(COUNTS[1:]))
        file.finish(OBS, VAR, {"simulated": {"simulated": True}})
    adata = ad.read_h5ad(path)
    np.testing.assert_array_equal(adata.X.toarray(), COUNTS)
    assert adata.X.dtype == np.float32
    assert adata.obs_names.tolist() == ["a", "b", "c", "d"]
    assert adata.var_names.tolist() == ["x", "y", "z"]
    assert adata.uns["simulated"]["simulated"]


def write_and_break_off(path):
    with new_counts_file(path, 3, None) as file:
        file.append(sp.csr_matrix(COUNTS))
        raise KeyboardInterrupt


def test_a_run_that_breaks_off_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_and_break_off(tmp_path / "cells.h5ad")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OutputError, match="output folder must be writable") as caught:
        write_and_break_off(tmp_path / "missing" / "cells.h5ad")
    assert caught.value.where == "cells.h5ad"
