"""Cells that the augmentation is judged on: validation mice of a known and of an unseen study, as is and harder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import numpy.typing as npt
from scipy import sparse

STUDIES = ("S1", "S2")
"""The simulator's studies: the network is trained on mice of the first."""
N_TRAINING_MICE, N_MICE = 3, 5
"""Mice per stage and study: the first train (in the first study), the others validate."""
THIN_TO, AMBIENT, GENES_LEFT = 300, 0.15, 0.5
"""What makes cells harder: UMI that richer droplets are thinned to, share of added ambient RNA, share of genes left."""


def donors(study: str, *, training: bool) -> tuple[str, ...]:
    """Return the mice of a study that train or validate, by name."""
    numbers = range(1, N_TRAINING_MICE + 1) if training else range(N_TRAINING_MICE + 1, N_MICE + 1)
    return tuple(f"donor-{study}-M{stage}-{number:02d}" for stage in range(5) for number in numbers)


def thinned(counts: sparse.csr_matrix, sample: npt.NDArray[np.int64], rng: np.random.Generator) -> sparse.csr_matrix:  # noqa: ARG001
    """Return the counts with droplets of more than `THIN_TO` UMI thinned to that expected depth."""
    depth = np.asarray(counts.sum(axis=1)).ravel()
    kept = np.minimum(1.0, THIN_TO / np.maximum(depth, 1))
    drawn = rng.binomial(counts.data.astype(np.int64), np.repeat(kept, np.diff(counts.indptr)))
    result = sparse.csr_matrix((drawn.astype(np.float32), counts.indices, counts.indptr), shape=counts.shape)
    result.eliminate_zeros()
    return result


def with_ambient(
    counts: sparse.csr_matrix, sample: npt.NDArray[np.int64], rng: np.random.Generator
) -> sparse.csr_matrix:
    """Return the counts with ambient RNA of each droplet's sample added, so much that it is `AMBIENT` of the result."""
    members = sparse.csr_matrix((np.ones(len(sample)), (sample, np.arange(len(sample)))))
    profile = np.asarray((members @ counts).todense())
    profile /= profile.sum(axis=1, keepdims=True)
    added = np.asarray(counts.sum(axis=1)).ravel() * AMBIENT / (1 - AMBIENT)
    parts = [
        sparse.csr_matrix(rng.poisson(n * profile[s])[None].astype(np.float32))
        for n, s in zip(added, sample, strict=True)
    ]
    return sparse.csr_matrix(counts + sparse.vstack(parts, format="csr"))


VARIANTS: dict[
    str, Callable[[sparse.csr_matrix, npt.NDArray[np.int64], np.random.Generator], sparse.csr_matrix] | None
] = {
    "as is": None,
    f"thinned to {THIN_TO} UMI": thinned,
    "half of the genes": None,
    f"{AMBIENT:.0%} ambient RNA": with_ambient,
}
"""Ways to make cells harder, each a function of counts, sample and a source of randomness; see `write_sets`."""


def write_sets(cells: Path, folder: Path) -> dict[tuple[str, str], Path]:
    """Write the validation mice of both studies in all variants; return the files by study and variant."""
    whole = ad.read_h5ad(cells)
    files: dict[tuple[str, str], Path] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for study in STUDIES:
        part = whole[whole.obs["donor_id"].isin(donors(study, training=False)).to_numpy()]
        sample = part.obs["sample_id"].astype("category").cat.remove_unused_categories().cat.codes
        for number, (name, change) in enumerate(VARIANTS.items()):
            rng = np.random.default_rng([number, STUDIES.index(study)])
            counts, genes = sparse.csr_matrix(part.X), np.arange(part.n_vars)
            if name == "half of the genes":
                genes = np.sort(rng.permutation(genes)[: int(GENES_LEFT * part.n_vars)])
            changed = counts if change is None else change(counts, sample.to_numpy(dtype=np.int64), rng)
            files[study, name] = folder / f"{study}_{number}.h5ad"
            ad.AnnData(X=sparse.csr_matrix(changed[:, genes]), obs=part.obs, var=part.var.iloc[genes]).write_h5ad(
                files[study, name]
            )
    return files
