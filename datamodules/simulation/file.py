"""Writing a simulated h5ad block by block, so that memory does not grow with cells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from schema.errors import OutputError

CHUNK = 2**18
"""Values per HDF5 chunk of X: 1 MiB of float32."""


class CountsFile:
    """An h5ad that grows: X by blocks of rows, then obs, var and uns once."""

    def __init__(self, file: h5py.File, n_genes: int, compression: Literal["gzip"] | None) -> None:
        self._file, self._n_genes, self._n_cells, self._n_values = file, n_genes, 0, 0
        self._matrix = file.create_group("X")
        for name, dtype in (("data", np.float32), ("indices", np.int32), ("indptr", np.int64)):
            self._matrix.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(CHUNK,), compression=compression)
        self._append("indptr", np.zeros(1, dtype=np.int64))

    def append(self, counts: csr_matrix) -> None:
        """Write a block of rows, float32 `[n_rows, n_genes]`."""
        self._append("data", counts.data)
        self._append("indices", counts.indices)
        self._append("indptr", self._n_values + counts.indptr[1:].astype(np.int64))
        self._n_cells += counts.shape[0]
        self._n_values += counts.nnz

    def finish(self, obs: pd.DataFrame, var: pd.DataFrame, uns: dict[str, Any]) -> None:
        """Write everything that is not X."""
        self._matrix.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
        self._matrix.attrs["shape"] = np.array([self._n_cells, self._n_genes], dtype=np.int64)
        self._file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        empty: dict[str, Any] = {name: {} for name in ("layers", "obsm", "varm", "obsp", "varp")}
        for name, element in ({"obs": obs, "var": var, "uns": uns} | empty).items():
            ad.io.write_elem(self._file, name, element)

    def _append(self, name: str, values: Any) -> None:
        dataset = self._matrix[name]
        start = dataset.shape[0]
        dataset.resize((start + len(values),))
        dataset[start:] = values


@contextmanager
def new_counts_file(path: Path, n_genes: int, compression: Literal["gzip"] | None) -> Iterator[CountsFile]:
    """Open a new h5ad under a temporary name beside its place; it takes its name only when all went well.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with h5py.File(partial, "w") as file:
            yield CountsFile(file, n_genes, compression)
        partial.replace(path)
    except OSError as error:
        raise OutputError(
            "the output folder must be writable",
            got=type(error).__name__,
            where=path.name,
            fix="Free space or choose another.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
