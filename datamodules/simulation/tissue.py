"""Expression of the simulated tissue: which genes there are, and how types and programmes spend their mRNA on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from datamodules.simulation.design import SubsetDesign, TissueDesign, TypeDesign
from schema.labels import CellOntology

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

GENE_SPREAD = 1.7
"""Standard deviation of log expression between the genes of a background."""
REAL_GENE_LEVEL = -1.5
"""Mean log expression of marker and programme genes in a background: low, to be telling where they are on."""
TYPE_SPREAD = 0.6
"""Standard deviation of log fold changes in the genes in which the background of a type differs from its parent's."""
TYPE_GENES = 0.05
"""Share of genes in which it differs."""
WEIGHT_SPREAD = 0.5
"""Standard deviation of log expression between the genes of one programme."""


@dataclass(frozen=True)
class Tissue:
    """Topics of expression: a cell's expected counts are its library size times a mixture of them.

    Attributes
    ----------
    genes
        Symbols `[n_genes]`, unique.
    names
        Topics `[n_topics]`: ids of types and subsets, names of programmes.
    topics
        float32 `[n_topics, n_genes]`: share of mRNA per gene; rows sum to 1.
    design
        What they were drawn from.
    """

    genes: tuple[str, ...]
    names: tuple[str, ...]
    topics: Floats
    design: TissueDesign

    @cached_property
    def index(self) -> dict[str, int]:
        """Topic name to row."""
        return {name: row for row, name in enumerate(self.names)}


@dataclass(frozen=True)
class GeneSets:
    """Real symbols of one species: markers by node id and genes by programme."""

    markers: dict[str, tuple[str, ...]]
    programmes: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, design: TissueDesign, ontology: CellOntology, species: str) -> GeneSets:
        """Collect the symbols of "mouse" or "human"."""
        markers = {n.id: n.markers_human if species == "human" else n.markers_mouse for n in ontology.nodes}
        return cls(markers, {name: genes[species] for name, genes in design.programmes.items()})

    @property
    def symbols(self) -> tuple[str, ...]:
        """All of them, once each, in alphabetical order."""
        return tuple(sorted({g for genes in (*self.markers.values(), *self.programmes.values()) for g in genes}))

    def of_type(self, cell_type: TypeDesign, parent: str | None) -> list[str]:
        """Genes that are up in a type: its markers, its parent's, its programme's."""
        programme = self.programmes[cell_type.programme] if cell_type.programme else ()
        return [*self.markers[cell_type.id], *(self.markers[parent] if parent else ()), *programme]

    def of_subset(self, subset: SubsetDesign) -> list[str]:
        """Genes that are up in a subset: its markers and those of its programmes."""
        return [*self.markers[subset.id], *(gene for name in subset.programmes for gene in self.programmes[name])]


def gene_names(real: tuple[str, ...], species: str, n_genes: int) -> tuple[str, ...]:
    """Return the real symbols followed by synthetic ones in the species' letter case, `[n_genes]` in all.

    Raises
    ------
    ValueError
        If `n_genes` has no room for the real ones.
    """
    if len(real) > n_genes:
        raise ValueError(f"Expected room for {len(real)} real genes but got n_genes {n_genes}.")
    stem = "SIMULATED" if species == "human" else "Simulated"
    return (*real, *(f"{stem}{number:05d}" for number in range(1, n_genes - len(real) + 1)))


def build_tissue(
    rng: np.random.Generator, design: TissueDesign, ontology: CellOntology, species: str, n_genes: int
) -> Tissue:
    """Draw the profiles of all types, subsets and programmes.

    Parameters
    ----------
    rng
        Source of randomness.
    design, ontology
        What there is, and its markers.
    species
        "mouse" or "human".
    n_genes
        Genes in total, real and synthetic.
    """
    sets = GeneSets.of(design, ontology, species)
    genes = gene_names(sets.symbols, species, n_genes)
    column = {gene: index for index, gene in enumerate(genes)}
    level = np.where(np.arange(n_genes) < len(sets.symbols), REAL_GENE_LEVEL, 0.0)
    backgrounds = _draw_backgrounds(rng, design, level)
    profiles: dict[str, Doubles] = {}
    for cell_type in design.types:
        parent = ontology.nodes[ontology.index_by_id[cell_type.id]].parent
        markers = _draw_gene_set(rng, sets.of_type(cell_type, parent), column)
        share = cell_type.marker_share
        profiles[cell_type.id] = (1 - share) * backgrounds[cell_type.id] + share * markers
    for subset in design.subsets:
        profiles[subset.id] = _draw_gene_set(rng, sets.of_subset(subset), column)
    for name, members in sets.programmes.items():
        profiles[name] = _draw_gene_set(rng, members, column)
    return Tissue(genes, tuple(profiles), np.stack(list(profiles.values())).astype(np.float32), design)


def shift_topics(rng: np.random.Generator, topics: Floats, spread: float) -> Floats:
    """Return topics under one log-normal factor per gene, alike for all topics; rows sum to 1."""
    return _normalised(topics * np.exp(rng.normal(0, spread, topics.shape[1])).astype(np.float32))


def jitter_topics(rng: np.random.Generator, topics: Floats, spread: float) -> Floats:
    """Return topics under one log-normal factor per topic and gene; rows sum to 1."""
    return _normalised(topics * np.exp(np.float32(spread) * rng.standard_normal(topics.shape, dtype=np.float32)))


def _normalised(topics: Floats) -> Floats:
    return np.asarray(topics / topics.sum(axis=1, keepdims=True), dtype=np.float32)


def _draw_backgrounds(rng: np.random.Generator, design: TissueDesign, level: Doubles) -> dict[str, Doubles]:
    root = level + rng.normal(0, GENE_SPREAD, len(level))
    logs: dict[str, Doubles] = {}
    for cell_type in design.types:
        differs = rng.random(len(level)) < TYPE_GENES
        change = rng.normal(0, TYPE_SPREAD, len(level))
        logs[cell_type.id] = (root if cell_type.like is None else logs[cell_type.like]) + differs * change
    return {name: np.exp(values) / np.exp(values).sum() for name, values in logs.items()}


def _draw_gene_set(rng: np.random.Generator, genes: Iterable[str], column: dict[str, int]) -> Doubles:
    members = [column[gene] for gene in dict.fromkeys(genes)]
    profile = np.zeros(len(column))
    profile[members] = np.exp(rng.normal(0, WEIGHT_SPREAD, len(members)))
    return np.asarray(profile / profile.sum())
