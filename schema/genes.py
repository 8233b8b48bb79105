"""The gene vocabulary: which genes the network reads, in which order, and how a file's genes meet it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

_ENSEMBL = re.compile(r"^(ENS[A-Z]*G\d{11})(\.\d+)?$")
_GENOME_PREFIX = re.compile(r"^(GRCh3[78]|GRCm3[89]|hg19|hg38|mm10|mm39)_+")
_COLUMNS, _COLUMNS_OF_OTHER = ("symbol", "gene_id"), ("symbol_of_other", "gene_id_of_other")


@dataclass(frozen=True)
class GeneVocabulary:
    """Genes in the order of the network's input, of one species or of two that meet through orthologs.

    Attributes
    ----------
    symbols
        Gene symbols, `[n_genes]`, unique; of two species "" where this one has no such gene.
    ids
        Ensembl ids without version, `[n_genes]`; "" where unknown.
    species
        "mouse" or "human".
    other
        The same genes, row by row, as the other species names them; None where there is only one. A row with both names
        is a pair of one-to-one orthologs.
    """

    symbols: tuple[str, ...]
    ids: tuple[str, ...]
    species: str
    other: GeneVocabulary | None = None

    def __post_init__(self) -> None:
        """Refuse a vocabulary that is not one gene per row."""
        named = [symbol for symbol in self.symbols if symbol]
        if len(self.symbols) != len(self.ids) or len(set(named)) != len(named):
            raise ValueError(f"Expected unique symbols, one id each, but got {len(self.symbols)} and {len(self.ids)}.")
        if self.other is None:
            return
        if self.other.species == self.species or self.other.n_genes != self.n_genes:
            raise ValueError(f"Expected the same genes of another species but got {self.other.species}.")
        if not all(map(any, zip(self.symbols, self.other.symbols, strict=True))):
            raise ValueError("Expected every gene to have a name in one of the species.")

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.symbols)

    @property
    def n_named(self) -> int:
        """Number of genes that `species` has."""
        return sum(map(bool, self.symbols))

    @property
    def all_species(self) -> str:
        """Species for people: "mouse", "human" or "mouse and human"."""
        return self.species if self.other is None else f"{self.species} and {self.other.species}"

    @property
    def n_shared(self) -> int:
        """Number of genes that have a name in both species."""
        pairs = zip(self.symbols, self.other.symbols, strict=True) if self.other else ()
        return sum(1 for here, there in pairs if here and there)

    def seen_by(self, species: str) -> GeneVocabulary | None:
        """Return the genes as a species names them; None where the vocabulary is not of that species."""
        return next((names for names in (self, self.other) if names and names.species == species), None)

    @cached_property
    def index_by_symbol(self) -> dict[str, int]:
        """Symbol to position."""
        return {symbol: index for index, symbol in enumerate(self.symbols) if symbol}

    @cached_property
    def index_by_id(self) -> dict[str, int]:
        """Ensembl id to position, where known."""
        return {gene_id: index for index, gene_id in enumerate(self.ids) if gene_id}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of symbols, ids and species in order."""
        return hashlib.sha256(self.to_tsv().encode()).hexdigest()

    def to_tsv(self) -> str:
        """Return the vocabulary as the text of a `genes.tsv`: symbol and id, of two species of either."""
        species = [names for names in (self, self.other) if names]
        columns = [column for names in species for column in (names.symbols, names.ids)]
        head = "\t".join([*_COLUMNS, *(_COLUMNS_OF_OTHER if self.other else ())])
        rows = ["\t".join(row) for row in zip(*columns, strict=True)]
        return f"# species: {', '.join(names.species for names in species)}\n{head}\n" + "\n".join(rows) + "\n"

    @classmethod
    def from_tsv(cls, path: Path) -> GeneVocabulary:
        """Read a `genes.tsv`.

        Raises
        ------
        ValueError
            If the text is not of that form.
        """
        lines = path.read_text(encoding="utf-8").splitlines()
        species = lines[0].removeprefix("# species: ").split(", ") if lines else []
        expected = [*_COLUMNS, *(_COLUMNS_OF_OTHER if len(species) > 1 else ())]
        if len(lines) < 3 or not lines[0].startswith("# species: ") or lines[1].split("\t") != expected:
            raise ValueError("Expected a species line, a header and genes.")
        rows = [line.split("\t") for line in lines[2:]]
        if any(len(row) != len(expected) for row in rows):
            raise ValueError(f"Expected {len(expected)} columns in every row.")
        columns = list(zip(*rows, strict=True))
        other = cls(columns[2], columns[3], species[1]) if len(species) > 1 else None
        return cls(columns[0], columns[1], species[0], other)


@dataclass(frozen=True)
class GeneMatch:
    """How the genes of a file meet a vocabulary.

    Attributes
    ----------
    column
        int64 `[n_file_genes]`: position in the vocabulary, -1 = not in it. Several file genes may share a position;
        their counts are to be summed.
    present
        bool `[n_genes]`: vocabulary genes that the file measured.
    by
        "Ensembl id" or "symbol", whichever matched more.
    """

    column: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]
    by: str

    @property
    def n_found(self) -> int:
        """Number of vocabulary genes found in the file."""
        return int(self.present.sum())


def clean_gene_names(names: Sequence[str]) -> list[str]:
    """Return gene names without genome prefix, surrounding space or Ensembl version.

    Examples
    --------
    >>> clean_gene_names(["GRCh38_CXCR2", "ENSG00000180871.12", " Cxcr2"])
    ['CXCR2', 'ENSG00000180871', 'Cxcr2']
    """
    cleaned = []
    for name in names:
        bare = _GENOME_PREFIX.sub("", str(name).strip())
        ensembl = _ENSEMBL.match(bare)
        cleaned.append(ensembl.group(1) if ensembl else bare)
    return cleaned


def is_ensembl_id(name: str) -> bool:
    """Return whether a name is an Ensembl gene id, with or without version."""
    return _ENSEMBL.match(name) is not None


def find_species(names: Sequence[str]) -> str | None:
    """Return "mouse" or "human" from Ensembl ids or from the case of symbols; None where the genes do not say."""
    mouse, human = count_by_species(names)
    if max(mouse, human) < 0.6 * max(1, mouse + human):
        return None
    return None if mouse == human else ("mouse" if mouse > human else "human")


def count_by_species(names: Sequence[str]) -> tuple[int, int]:
    """Return how many genes look like those of mouse and of human.

    Human symbols are upper case throughout; mouse symbols have a capital first letter and lower case after it.
    """
    cleaned = clean_gene_names(names)
    ensembl = [name for name in cleaned if is_ensembl_id(name)]
    if len(ensembl) >= max(1, len(cleaned) // 2):
        mouse = sum(name.startswith("ENSMUSG") for name in ensembl)
        human = sum(name.startswith("ENSG") for name in ensembl)
    else:
        lettered = [name for name in cleaned if len(re.findall("[A-Za-z]", name)) >= 3]
        human = sum(name.upper() == name for name in lettered)
        mouse = sum(name[0].isupper() and name[1:].lower() == name[1:] for name in lettered)
    return mouse, human


def match_genes(vocabulary: GeneVocabulary, symbols: Sequence[str], ids: Sequence[str]) -> GeneMatch:
    """Match the genes of a file to a vocabulary of the same species, by Ensembl id or by symbol.

    Parameters
    ----------
    vocabulary
        Genes the network reads.
    symbols, ids
        Names of the file's genes, `[n_file_genes]` each; "" where unknown. Either may hold Ensembl ids.

    Returns
    -------
    GeneMatch
        By whichever kind of name finds more of the vocabulary.
    """
    by_symbol = _look_up(vocabulary, clean_gene_names(symbols), vocabulary.index_by_symbol)
    by_id = _look_up(vocabulary, clean_gene_names(ids), vocabulary.index_by_id)
    ids_as_symbols = _look_up(vocabulary, clean_gene_names(symbols), vocabulary.index_by_id)
    best = max((by_symbol, by_id, ids_as_symbols), key=lambda match: int(match[1].sum()))
    return GeneMatch(best[0], best[1], "symbol" if best is by_symbol else "Ensembl id")


def _look_up(
    vocabulary: GeneVocabulary, names: Sequence[str], index: dict[str, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    column = np.array([index.get(name, -1) if name else -1 for name in names], dtype=np.int64)
    present = np.zeros(vocabulary.n_genes, dtype=bool)
    present[column[column >= 0]] = True
    return column, present
