"""The loaders of others, each on a backed AnnData as its documentation shows, giving counts and labels of cells."""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import torch
from anndata.experimental import AnnLoader
from torch.utils.data import DataLoader

from benchmarks.loader_process import Loaded, Opened

LABEL = "cell_type"
BLOCK_ROWS = 64
"""Consecutive rows that scDataset keeps together."""


def open_scdataset(path: Path, batch_size: int, seed: int, *, fetch_factor: int, num_workers: int) -> Opened:
    """Open scDataset with blocks of `BLOCK_ROWS` rows; batches are tensors of CSR, and label codes.

    Parameters
    ----------
    path, batch_size, seed
        What to read.
    fetch_factor
        Batches that are read and shuffled together.
    num_workers
        Processes that read; they pass on tensors, through shared memory.
    """
    from scdataset import BlockShuffling, scDataset

    adata, codes, names = _backed(path)

    def fetch(cells: ad.AnnData, rows: np.ndarray) -> tuple[Any, np.ndarray]:
        return cells.X[rows], codes[rows]

    def batch(fetched: tuple[Any, np.ndarray], rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        counts, labels = fetched[0][rows], fetched[1][rows]
        return tuple(map(torch.from_numpy, (counts.indptr, counts.indices, counts.data, labels)))

    dataset = scDataset(
        adata,
        BlockShuffling(block_size=BLOCK_ROWS),
        batch_size=batch_size,
        fetch_factor=fetch_factor,
        fetch_callback=fetch,
        batch_callback=batch,
        seed=seed,
    )
    ahead = fetch_factor + 1 if num_workers else None
    loader: DataLoader[Any] = DataLoader(dataset, batch_size=None, num_workers=num_workers, prefetch_factor=ahead)

    def epoch() -> Generator[Loaded, None, None]:
        for _, indices, _, labels in loader:
            yield Loaded(len(indices), labels.numpy().copy())

    return Opened(epoch, names)


def open_annloader(path: Path, batch_size: int, seed: int, *, dense: bool, num_workers: int) -> Opened:
    """Open anndata's AnnLoader; batches are dense tensors, its default, or CSR without its conversion."""
    np.random.seed(seed)  # noqa: NPY002 - the only seed AnnLoader takes
    adata, _, names = _backed(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated in favour of annbatch
        loader = AnnLoader(
            adata, batch_size=batch_size, shuffle=True, use_default_converter=dense, num_workers=num_workers
        )

    def epoch() -> Generator[Loaded, None, None]:
        for batch in loader:
            counts, labels = batch.X, batch.obs[LABEL]
            yield Loaded(-1 if dense else counts.nnz, labels.cat.codes.to_numpy())

    return Opened(epoch, names)


def open_sparse_dataset(path: Path, batch_size: int, seed: int) -> Opened:
    """Open the backed matrix of anndata; a batch is random rows, read in ascending order."""
    adata, codes, names = _backed(path)
    counts = adata.X
    rng = np.random.default_rng(seed)

    def epoch() -> Generator[Loaded, None, None]:
        order = rng.permutation(len(codes))
        for start in range(0, len(order), batch_size):
            rows = np.sort(order[start : start + batch_size])
            yield Loaded(counts[rows].nnz, codes[rows])

    return Opened(epoch, names)


def _backed(path: Path) -> tuple[ad.AnnData, np.ndarray, list[str]]:
    """Return a backed AnnData, the label code of each cell and the name of each code."""
    adata = ad.read_h5ad(path, backed="r")
    labels = adata.obs[LABEL].cat
    return adata, labels.codes.to_numpy(), list(labels.categories)
