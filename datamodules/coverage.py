"""How the genes of a file meet the genes a network reads, through orthologs where the species differ."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from datamodules.store import CellStore
from datamodules.vocabulary import species_of
from schema.errors import InputError
from schema.genes import GeneMatch, GeneVocabulary, match_genes
from schema.orthologs import load_orthologs

logger = logging.getLogger(__name__)

FEW_GENES = 0.5
"""Share of the bundle's genes below which their number is a warning."""

_CELLS = 1_000
"""Cells whose names are looked at where those of genes say nothing."""

_DATE = re.compile(r"\d{1,2}-(Mar|Sep|Dec)|(Mar|Sep|Dec)-\d{1,2}|\d{4}[-/]\d{2}[-/]\d{2}( .*)?")
"""What spreadsheets make of March1, Sept1 and Dec1, and of their dates when they are written out."""


class Coverage(NamedTuple):
    """How a file meets a vocabulary.

    Attributes
    ----------
    match
        Position of each of the file's genes in the vocabulary.
    species
        Species of the file.
    by_orthologs
        Whether it is none of the vocabulary's.
    n_genes
        Genes of the vocabulary that the species can have: all, or of two species those of this one.
    words
        The same for people: what to how much.
    """

    match: GeneMatch
    species: str
    by_orthologs: bool
    n_genes: int
    words: Mapping[str, str]

    @property
    def percent(self) -> float:
        """Percent of those genes that the file measured."""
        return 100.0 * self.match.n_found / max(1, self.n_genes)


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
    try:
        species = species_of(store)
    except InputError:
        _refuse_transposed(store, vocabulary)
        raise
    symbols, ids, through = store.gene_symbols, store.gene_ids, "-"
    names = vocabulary.seen_by(species)
    if names is None:
        names, pairs = vocabulary, load_orthologs(orthologs)
        symbols = pairs.translate(symbols, species, vocabulary.species, known=vocabulary.index_by_symbol)
        ids, through = ("",) * len(symbols), pairs.origin
    match = match_genes(names, symbols, ids)
    share = match.n_found / max(1, names.n_named)
    found = f"{match.n_found:,} of {names.n_named:,} ({share:.1%})"
    trained, of_species = vocabulary.all_species, f"{species} " if vocabulary.other else ""
    logger.info("%s: %s file, bundle trained on %s", store.name, species, trained)
    logger.info("%s: %s of the bundle's %sgenes found by %s", store.name, found, of_species, match.by)
    if through != "-":
        logger.info("%s: %s read as %s, orthologs by %s", store.name, species, vocabulary.species, through)
    if share < min_share or match.n_found == 0:
        _refuse_transposed(store, vocabulary)
        raise InputError(
            "the file must have measured enough of the bundle's genes",
            got=f"{found}, floor {min_share:.0%}",
            where=f"{store.name}, var",
            fix="Check gene names and species; --min_genes_found lowers the floor.",
        )
    _warn(store, found, share)
    words = {
        "species of the file": species,
        "species of the bundle": trained,
        "orthologs": through,
        "bundle genes found": found,
        "matched by": match.by,
        "counts taken from": store.counts_location,
    }
    return Coverage(match, species, through != "-", names.n_named, words)


def _refuse_transposed(store: CellStore, vocabulary: GeneVocabulary) -> None:
    """Refuse a file whose cells are named like the genes of the bundle."""
    cells = store.cell_ids(0, min(store.n_cells, _CELLS))
    known = [match_genes(names, cells, [""] * len(cells)) for names in (vocabulary, vocabulary.other) if names]
    if max(match.n_found for match in known) * 2 > len(cells):
        raise InputError(
            "a file must be cells x genes",
            got=f"cells that are named like genes ({', '.join(cells[:3])})",
            where=f"{store.name}, obs",
            fix="Transpose it (adata.T).",
        )


def _warn(store: CellStore, found: str, share: float) -> None:
    """Log what makes the answer less sure: few genes, names that a spreadsheet has changed."""
    if share < FEW_GENES:
        logger.warning("%s: few of the bundle's genes were measured, %s: calls are less sure", store.name, found)
    if dates := [name for name in store.gene_symbols if _DATE.fullmatch(name.strip())]:
        text = "%s: %d genes are named like dates (%s): a spreadsheet changed them, and they are left out"
        logger.warning(text, store.name, len(dates), ", ".join(dates[:3]))
