"""Fixtures and marks that all tests share."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from schema.batch import CellBatch
from schema.labels import CellOntology

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items):
    """Skip gpu and real tests where their machine or data is missing, saying so."""
    data = real_data_folder()
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        if "real" in item.keywords and not data.is_dir():
            item.add_marker(pytest.mark.skip(reason="NEUTROSTAGE_REAL_DATA is not set and ../shared/data is missing"))


def real_data_folder():
    return Path(os.environ.get("NEUTROSTAGE_REAL_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture
def real_data():
    return real_data_folder()


@pytest.fixture(scope="session")
def ontology():
    return CellOntology.load()


@pytest.fixture
def make_batch():
    """Return a function that packs a dense count matrix as a CellBatch."""

    def make(counts, *, library_size=None, present=None, cell_type=None, sample=None):
        counts = np.asarray(counts, dtype=np.float32)
        n_cells, n_genes = counts.shape
        rows, columns = np.nonzero(counts)
        indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=n_cells))))
        zeros = np.zeros(n_cells, dtype=np.int64)
        return CellBatch(
            indptr=torch.from_numpy(indptr),
            indices=torch.from_numpy(columns.astype(np.int32)),
            counts=torch.from_numpy(counts[rows, columns]),
            library_size=torch.tensor(counts.sum(1) if library_size is None else library_size, dtype=torch.float32),
            present=torch.ones(1, n_genes, dtype=torch.bool) if present is None else torch.tensor([present]),
            file=torch.from_numpy(zeros),
            cell_type=torch.from_numpy(zeros - 1) if cell_type is None else torch.tensor(cell_type),
            sample=torch.from_numpy(zeros) if sample is None else torch.tensor(sample),
            row=torch.arange(n_cells),
        )

    return make
