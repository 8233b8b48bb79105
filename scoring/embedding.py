"""Where the cells of the report's picture stand: two coordinates from their latents."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MAX_CELLS = 5000
"""Cells in the picture: more take minutes and show nothing more."""

MIN_CELLS_UMAP = 50
"""Cells: with fewer, neighbourhoods of 15 are most of the data and PCA is the honest picture."""

_N_NEIGHBORS = 15


class DrawnCells:
    """The cells of the picture: a simple random sample of at most 5000 cells of a stream, in their order.

    Every cell is given a random key, and those with the smallest are kept, so that memory is flat and nobody needs to
    know beforehand which cells will come (Vitter 1985, "Random sampling with a reservoir").

    Parameters
    ----------
    seed
        Same seed and same cells, same sample, however they are cut into blocks.

    Attributes
    ----------
    rows
        int64 `[n]`, rows of the file.
    latent
        float32 `[n, n_latent]`.
    neutrophil
        float64 `[n]`, probability of being a neutrophil.
    cell_type
        int16 `[n]`, node index of the called type.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._key = np.zeros(0)
        self.rows = np.zeros(0, dtype=np.int64)
        self.latent = np.zeros((0, 0), dtype=np.float32)
        self.neutrophil = np.zeros(0)
        self.cell_type = np.zeros(0, dtype=np.int16)

    def update(
        self,
        rows: npt.NDArray[np.int64],
        latent: npt.NDArray[np.float32],
        neutrophil: Floats,
        cell_type: npt.NDArray[np.int16],
    ) -> None:
        """Offer a block of cells; shapes as the attributes."""
        key = self._rng.random(len(rows))
        near = np.flatnonzero(key < self._key.max()) if len(self._key) == MAX_CELLS else np.arange(len(rows))
        keys = np.concatenate([self._key, key[near]])
        kept = np.sort(np.argsort(keys, kind="stable")[:MAX_CELLS])
        known = self.latent if len(self.latent) else latent[:0]
        self._key, self.rows = keys[kept], np.concatenate([self.rows, rows[near]])[kept]
        self.latent = np.concatenate([known, latent[near]])[kept]
        self.neutrophil = np.concatenate([self.neutrophil, neutrophil[near]])[kept]
        self.cell_type = np.concatenate([self.cell_type, cell_type[near]])[kept]


def embed(latent: npt.NDArray[np.floating], seed: int = 0) -> Floats:
    """Return picture coordinates of cells: UMAP (McInnes et al. 2018), or PCA below 50 cells.

    Parameters
    ----------
    latent
        float `[n_cells, n_latent]`, n_cells <= 5000.
    seed
        Same seed and latents, same picture on the same machine.

    Returns
    -------
    ndarray
        float64 `[n_cells, 2]`; axes have no unit, distances between far groups no meaning.

    Raises
    ------
    ValueError
        If there are too many cells or a value is not finite.
    """
    values = np.asarray(latent, dtype=np.float64)
    if values.ndim != 2 or len(values) > MAX_CELLS:
        raise ValueError(f"Expected at most {MAX_CELLS} x n_latent but got {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError("Expected finite latents.")
    return _umap(values, seed) if len(values) >= MIN_CELLS_UMAP else _pca(values)


def _umap(values: Floats, seed: int) -> Floats:
    from sklearn.neighbors import NearestNeighbors  # here, because only a report needs it and it takes half a second

    distances, neighbors = NearestNeighbors(n_neighbors=_N_NEIGHBORS, algorithm="brute").fit(values).kneighbors(values)
    with warnings.catch_warnings():
        # umap-learn warns of TensorFlow that it does not find, of graphs in pieces, and of given neighbours
        warnings.simplefilter("ignore")
        from umap import UMAP  # takes seconds to import: only where a picture is drawn

        # umap-learn's own neighbour search costs a minute of compilation, exact neighbours of 5000 cells half a second
        mapper = UMAP(
            n_neighbors=_N_NEIGHBORS,
            min_dist=0.3,
            n_epochs=200,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=(neighbors, distances),
            force_approximation_algorithm=True,
        )
        coordinates = mapper.fit_transform(values)
    return np.asarray(coordinates, dtype=np.float64)


def _pca(values: Floats) -> Floats:
    coordinates = np.zeros((len(values), 2))
    if values.size == 0:
        return coordinates
    left, strength, right = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    n_axes = min(2, len(strength))
    sign = np.sign(right[np.arange(len(right)), np.abs(right).argmax(axis=1)])  # else the picture may be mirrored
    coordinates[:, :n_axes] = (left * strength * np.where(sign == 0, 1, sign))[:, :n_axes]
    return coordinates
