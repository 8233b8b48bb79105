"""annbatch, with its own store; runs in an environment of its own: `python -m benchmarks.loader_annbatch` writes it."""

# mypy: disable-error-code="import-not-found,import-untyped"
from __future__ import annotations

import argparse
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import zarr
from annbatch import DatasetCollection, Loader

from benchmarks.loader_process import Loaded, Opened

LABEL = "cell_type"

zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"})


def write_store(source: Path, target: Path, seed: int) -> None:
    """Write a shuffled collection from an h5ad, with annbatch's defaults."""
    DatasetCollection(target).add_adatas([source], rng=np.random.default_rng(seed))


def open_annbatch(path: Path, batch_size: int, seed: int, *, chunk_size: int, preload_nchunks: int) -> Opened:
    """Open a collection; batches are scipy CSR, and a frame with the labels.

    Parameters
    ----------
    path, batch_size, seed
        What to read.
    chunk_size, preload_nchunks
        Consecutive rows read at once, and how many of these are shuffled together.
    """
    with ad.settings.override(remove_unused_categories=False):
        loader = Loader(
            batch_size=batch_size,
            chunk_size=chunk_size,
            preload_nchunks=preload_nchunks,
            shuffle=True,
            preload_to_gpu=False,
            rng=np.random.default_rng(seed),
        )
        loader.use_collection(DatasetCollection(path, mode="r"), load_adata=_counts_and_labels)
    collected = DatasetCollection(path, mode="r").obs(columns=[LABEL])

    def epoch() -> Generator[Loaded, None, None]:
        for batch in loader:
            yield Loaded(batch["X"].nnz, batch["obs"][LABEL].cat.codes.to_numpy())

    return Opened(epoch, list(collected[LABEL].cat.categories))


def _counts_and_labels(group: Any) -> ad.AnnData:
    """Leave out the columns that are not needed, as annbatch advises."""
    return ad.AnnData(X=ad.io.sparse_dataset(group["X"]), obs=ad.io.read_elem(group["obs"])[[LABEL]])


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a store."""
    parser = argparse.ArgumentParser(description="Write annbatch's store from an h5ad.")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    write_store(options.source, options.target, options.seed)


if __name__ == "__main__":
    main()
