import numpy as np
import pytest
import torch

COUNTS = np.array([[3, 0, 400], [0, 0, 0], [1, 2, 0], [300, 900, 7], [5, 5, 5]])


@pytest.mark.parametrize("rows", [[0], [1], [0, 3], [1, 2, 4], [0, 1, 2, 3, 4], []])
@pytest.mark.parametrize("exact", [False, True])
def test_some_cells_of_a_batch_are_the_batch_of_those_cells(make_batch, rows, exact):
    sample = np.array([4, 3, 2, 1, 0])
    whole = make_batch(COUNTS, sample=sample, row=[10, 11, 12, 13, 14], exact=exact)
    found = whole.of_rows(torch.tensor(rows, dtype=torch.int64))
    expected = make_batch(COUNTS[rows], sample=sample[rows], row=[10 + row for row in rows], exact=exact)
    for name in ("indptr", "indices", "counts", "large_at", "large_count", "library_size", "sample", "row", "file"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name
    assert found.columns.tolist() == whole.columns.tolist()
    assert found.indices.dtype == whole.indices.dtype
