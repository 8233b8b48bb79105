"""Fixtures and marks that all tests share."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from schema.batch import LARGE, CellBatch
from schema.labels import CellOntology

ROOT = Path(__file__).resolve().parent.parent
N_THREADS = torch.get_num_threads()


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


@pytest.fixture(autouse=True)
def same_threads():
    """Compute with as many threads as at first: numba sets its own number for all, and sums can depend on it."""
    torch.set_num_threads(N_THREADS)


@pytest.fixture
def real_data():
    return real_data_folder()


@pytest.fixture(scope="session")
def ontology():
    return CellOntology.load()


@pytest.fixture
def make_batch():
    """Return a function that packs a dense count matrix as a CellBatch.

    `counts` `[n_cells, n_file_genes]` stand in the order of the file; `columns`, one list for each file, says where the
    vocabulary has them (-1 = nowhere), by default in the same order. `exact` leaves counts unpacked, as float32.
    """

    def make(
        counts,
        *,
        library_size=None,
        present=None,
        columns=None,
        file=None,
        cell_type=None,
        sample=None,
        row=None,
        exact=False,
    ):
        counts = np.asarray(counts, dtype=np.float32)
        n_cells, n_file_genes = counts.shape
        columns = np.asarray([np.arange(n_file_genes)] if columns is None else columns, dtype=np.int32)
        if present is None:
            present = [[gene in genes for gene in range(columns.max() + 1)] for genes in columns.tolist()]
        rows, genes = np.nonzero(counts)
        entries = counts[rows, genes]
        large = np.flatnonzero((entries >= LARGE) & (not exact))
        zeros = np.zeros(n_cells, dtype=np.int64)
        return CellBatch(
            indptr=torch.from_numpy(np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=n_cells))))),
            indices=torch.from_numpy(genes.astype(np.uint16)),
            counts=torch.from_numpy(entries if exact else np.minimum(entries, LARGE).astype(np.uint8)),
            large_at=torch.from_numpy(large),
            large_count=torch.from_numpy(entries[large]),
            library_size=torch.tensor(counts.sum(1) if library_size is None else library_size, dtype=torch.float32),
            columns=torch.from_numpy(columns),
            present=torch.tensor(np.atleast_2d(present)),
            file=torch.from_numpy(zeros) if file is None else torch.tensor(file),
            cell_type=torch.from_numpy(zeros - 1) if cell_type is None else torch.tensor(cell_type),
            sample=torch.from_numpy(zeros) if sample is None else torch.tensor(sample),
            row=torch.arange(n_cells) if row is None else torch.tensor(row),
        )

    return make
