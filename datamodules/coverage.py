"""How the genes of a file meet the genes a network reads, through orthologs where the species differ."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from datamodules.store import CellStore
from datamodules.vocabulary import species_of
from schema.errors import InputError
from schema.genes import GeneMatch, GeneVocabulary, match_genes
from schema.orthologs import load_orthologs

logger = logging.getLogger(__name__)


class Coverage(NamedTuple):
    """How a file meets a vocabulary.

    Attributes
    ----------
    match
        Position of each of the file's genes in the vocabulary.
    species
        Species of the file.
    by_orthologs
        Whether it is not that of the vocabulary.
    words
        The same for people: what to how much.
    """

    match: GeneMatch
    species: str
    by_orthologs: bool
    words: Mapping[str, str]

    @property
    def percent(self) -> float:
        """Percent of the vocabulary that the file measured."""
        return 100.0 * self.match.n_found / len(self.match.present)


def cover(store: CellStore, vocabulary: GeneVocabulary, *, orthologs: Path | None, min_share: float) -> Coverage:
    """Match the genes of a file to a vocabulary, and log how many were found.

    Parameters
    ----------
    store, vocabulary
        The file and the genes a network reads.
    orthologs
        A user's table for a file of the other species; None = by symbol with curated exceptions.
    min_share
        Least share of the vocabulary that must be found, 0 to 1.

    Raises
    ------
    InputError
        If too few genes are found.
    """
    species = species_of(store)
    symbols, ids, through = store.gene_symbols, store.gene_ids, "-"
    if species != vocabulary.species:
        pairs = load_orthologs(orthologs)
        symbols = pairs.translate(symbols, species, vocabulary.species, known=vocabulary.index_by_symbol)
        ids, through = ("",) * len(symbols), pairs.origin
    match = match_genes(vocabulary, symbols, ids)
    share = match.n_found / vocabulary.n_genes
    found = f"{match.n_found:,} of {vocabulary.n_genes:,} ({share:.1%})"
    logger.info("%s: %s; %s of the bundle's genes found by %s", store.name, species, found, match.by)
    if through != "-":
        logger.info("%s: %s read as %s, orthologs by %s", store.name, species, vocabulary.species, through)
    if share < min_share or match.n_found == 0:
        raise InputError(
            "the file must have measured enough of the bundle's genes",
            got=f"{found}, floor {min_share:.0%}",
            where=f"{store.name}, var",
            fix="Check gene names and species; --min_genes_found lowers the floor.",
        )
    words = {
        "species of the file": species,
        "species of the bundle": vocabulary.species,
        "orthologs": through,
        "bundle genes found": found,
        "matched by": match.by,
        "counts taken from": store.counts_location,
    }
    return Coverage(match, species, through != "-", words)
