"""The label-sorted set that loaders are measured on: sizes, obs, and counts block by block from a seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from schema.labels import CellOntology

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

BLOCK_ROWS = 512
"""Rows drawn at once; the counts of a block depend on the seed and its number alone."""
LARGE_SHARE = 5e-4
"""Share of counts that are made 256 times larger, beyond what a byte holds."""


@dataclass(frozen=True, kw_only=True)
class SetConfig:
    """Sizes of the set; the same values give the same arrays.

    Attributes
    ----------
    n_cells, n_genes
        Rows and columns.
    n_entries
        Genes that a cell shows, on average.
    n_labels, n_donors
        Cell types, and donors; every donor has cells of every type.
    seed
        Seed of all randomness.
    """

    n_cells: int = 60_000
    n_genes: int = 20_000
    n_entries: int = 2_000
    n_labels: int = 40
    n_donors: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a set in which a donor could miss a label."""
        if self.n_cells < 4 * self.n_labels * self.n_donors:
            raise ValueError(f"Expected >= 4 cells per label and donor but got {self.n_cells} cells.")


class LabelSortedSet:
    """Cells of `n_labels` types, sorted by type, with donors in random order inside a type."""

    def __init__(self, config: SetConfig) -> None:
        self.config = config
        self._rng = np.random.default_rng([config.seed, 0])
        self.sizes = _label_sizes(config, self._rng)
        self.donor = _donors(self.sizes, config.n_donors, self._rng)
        self.depth = self._rng.lognormal(-0.045, 0.3, config.n_cells).astype(np.float32)

    @property
    def label(self) -> Ints:
        """Number of each cell's label, int64 `[n_cells]`, ascending."""
        return np.repeat(np.arange(self.config.n_labels), self.sizes)

    @cached_property
    def rates(self) -> Floats:
        """Rate at which a cell of average depth shows a gene, float32 `[n_labels, n_genes]`."""
        rng = np.random.default_rng([self.config.seed, 1])
        common = rng.lognormal(0.0, 1.5, self.config.n_genes)
        of_label = common * rng.lognormal(0.0, 0.5, (self.config.n_labels, self.config.n_genes))
        scaled = [_scaled(rates, self.config.n_entries) for rates in of_label]
        return np.stack(scaled).astype(np.float32)

    def obs(self) -> pd.DataFrame:
        """Return `sample_id`, `donor_id` and `cell_type`; a donor has two samples."""
        rng = np.random.default_rng([self.config.seed, 2])
        donors = np.array([f"donor_{number:02d}" for number in range(self.config.n_donors)])[self.donor]
        specimens = np.array(["a", "b"])[rng.integers(0, 2, self.config.n_cells)]
        samples = np.char.add(np.char.add(donors, "_"), specimens)
        labels = pd.Categorical.from_codes(self.label, pd.Index(label_names(self.config.n_labels)))
        index = pd.Index([f"cell_{number:07d}" for number in range(self.config.n_cells)])
        return pd.DataFrame(
            {"sample_id": pd.Categorical(samples), "donor_id": pd.Categorical(donors), "cell_type": labels}, index=index
        )

    def blocks(self) -> Iterator[sparse.csr_matrix]:
        """Yield the counts, float32, `BLOCK_ROWS` rows at a time."""
        label = self.label
        for number, start in enumerate(range(0, self.config.n_cells, BLOCK_ROWS)):
            rows = slice(start, start + BLOCK_ROWS)
            rng = np.random.default_rng([self.config.seed, 3, number])
            yield _counts(self.rates[label[rows]] * self.depth[rows, None], rng)


def label_names(n_labels: int) -> list[str]:
    """Return the names of the first leaves of the label tree.

    Raises
    ------
    ValueError
        If the tree has fewer.
    """
    ontology = CellOntology.load()
    names = [ontology.nodes[leaf].name for leaf in ontology.leaves]
    if n_labels > len(names):
        raise ValueError(f"Expected <= {len(names)} labels but got {n_labels}.")
    return names[:n_labels]


def gene_names(n_genes: int) -> list[str]:
    """Return symbols that read as mouse: the markers of the label tree, then made-up ones."""
    markers = dict.fromkeys(marker for node in CellOntology.load().nodes for marker in node.markers_mouse)
    made_up = [f"Gene{number:05d}" for number in range(max(0, n_genes - len(markers)))]
    return [*markers, *made_up][:n_genes]


def _label_sizes(config: SetConfig, rng: np.random.Generator) -> Ints:
    """Draw cells per label, unequal, each at least two per donor."""
    least = 2 * config.n_donors
    share = rng.lognormal(0.0, 0.7, config.n_labels)
    sizes: Ints = least + np.floor(share / share.sum() * (config.n_cells - least * config.n_labels)).astype(np.int64)
    sizes[-1] += config.n_cells - sizes.sum()
    return sizes


def _donors(sizes: Ints, n_donors: int, rng: np.random.Generator) -> Ints:
    """Deal each label's rows to all donors, in random order."""
    dealt: Ints = np.concatenate([rng.permutation(np.arange(size) % n_donors) for size in sizes])
    return dealt


def _scaled(rates: npt.NDArray[np.float64], n_entries: int) -> npt.NDArray[np.float64]:
    """Scale the rates of one label so that a cell shows `n_entries` genes on average."""
    low, high = 0.0, 1e6 / rates.mean()
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if -np.expm1(-middle * rates).sum() > n_entries else (middle, high)
    return rates * low


def _counts(rates: Floats, rng: np.random.Generator) -> sparse.csr_matrix:
    """Draw UMI counts: mostly 1 to 5, a few beyond a byte."""
    shown = rng.standard_exponential(rates.shape, dtype=np.float32) < rates
    rows, columns = np.nonzero(shown)
    counts = rng.geometric(0.5, len(columns))
    large = rng.random(len(columns), dtype=np.float32) < LARGE_SHARE
    counts[large] *= 256
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(rates)))))
    return sparse.csr_matrix((counts.astype(np.float32), columns.astype(np.int32), indptr), shape=rates.shape)
