"""How mouse and human genes meet: a user's table of orthologs, else symbol identity with curated exceptions."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from schema.errors import InputError
from schema.genes import clean_gene_names, is_ensembl_id

SPECIES = ("mouse", "human")
EXCEPTIONS_FILE = Path(__file__).with_name("ortholog_exceptions.tsv")
_COLUMNS = ("human_symbol", "mouse_symbol", "one_to_one")
_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class OrthologMap:
    """One-to-one counterparts of mouse and human genes, by symbol.

    Attributes
    ----------
    pairs
        (mouse symbol, human symbol); where a gene has had several symbols, the preferred one comes first.
    apart_mouse, apart_human
        Symbols that must not be translated although identity would.
    by_symbol
        Whether genes outside `pairs` meet their namesakes (`Cxcr2` = `CXCR2`).
    origin
        Where the pairs come from, for people.
    """

    pairs: tuple[tuple[str, str], ...]
    apart_mouse: frozenset[str] = frozenset()
    apart_human: frozenset[str] = frozenset()
    by_symbol: bool = False
    origin: str = ""

    @cached_property
    def human_names(self) -> Mapping[str, tuple[str, ...]]:
        """Mouse symbol to the human symbols of its counterpart, preferred first."""
        return _grouped(self.pairs)

    @cached_property
    def mouse_names(self) -> Mapping[str, tuple[str, ...]]:
        """Human symbol to the mouse symbols of its counterpart, preferred first."""
        return _grouped([(human, mouse) for mouse, human in self.pairs])

    @cached_property
    def mouse_to_human(self) -> Mapping[str, str]:
        """Mouse symbol to the preferred human symbol of its counterpart, for the genes in `pairs`."""
        return {mouse: names[0] for mouse, names in self.human_names.items()}

    def translate(
        self, symbols: Sequence[str], source: str, target: str, *, known: Collection[str] | None = None
    ) -> tuple[str, ...]:
        """Return the counterpart of each gene in the other species.

        Identity proposes names by rule, so a name returned need not exist: match the result against a vocabulary.

        Parameters
        ----------
        symbols
            Gene symbols of the source species, `[n_genes]`; a genome prefix is dropped, Ensembl ids have no answer.
        source, target
            "mouse" or "human".
        known
            Symbols that the caller has in the target species. Where a counterpart has had several symbols, the first
            of them that is known is taken.

        Returns
        -------
        tuple
            Symbols of the target species, `[n_genes]`; "" where there is no counterpart.

        Raises
        ------
        ValueError
            If a species is not one of the two.
        """
        if source not in SPECIES or target not in SPECIES:
            raise ValueError(f"Expected species of {SPECIES} but got {source!r} and {target!r}.")
        names = clean_gene_names(symbols)
        if source == target:
            return tuple(names)
        known = frozenset(known) if known is not None else None
        return tuple("" if is_ensembl_id(name) else self._counterpart(name, target, known) for name in names)

    def _counterpart(self, name: str, target: str, known: frozenset[str] | None) -> str:
        to_human = target == "human"
        forth, back = (self.human_names, self.mouse_names) if to_human else (self.mouse_names, self.human_names)
        here, there = (self.apart_mouse, self.apart_human) if to_human else (self.apart_human, self.apart_mouse)
        if named := forth.get(name):
            return next((candidate for candidate in named if known is None or candidate in known), named[0])
        twin = name.upper() if to_human else in_mouse_style(name)
        return "" if not self.by_symbol or name in here or twin in there or twin in back else twin


def in_mouse_style(symbol: str) -> str:
    """Return a human symbol as mouse writes it.

    Examples
    --------
    >>> in_mouse_style("CXCR2"), in_mouse_style("MT-ND1")
    ('Cxcr2', 'mt-Nd1')
    """
    bare = symbol.removeprefix("MT-")
    return f"mt-{bare.capitalize()}" if bare != symbol else bare.capitalize()


def load_orthologs(table: Path | None = None) -> OrthologMap:
    """Read a user's table of orthologs, or return the rule: symbol identity with curated exceptions.

    Parameters
    ----------
    table
        Tab-separated text, plain or gzip, with columns `human_symbol`, `mouse_symbol` and `one_to_one` (True or False);
        other columns are ignored. Only rows that are one-to-one are used, and nothing is joined by symbol.

    Raises
    ------
    InputError
        If the table cannot be read, lacks a column, or pairs a gene twice.
    """
    if table is None:
        return _read_exceptions()
    rows = _read_rows(table)
    if missing := [name for name in _COLUMNS if name not in (rows[0] if rows else {})]:
        raise _bad_table(table, f"no column {' or '.join(missing)}" if rows else "no rows")
    pairs = tuple((row["mouse_symbol"], row["human_symbol"]) for row in rows if _is_one_to_one(row, table))
    for side, species in enumerate(SPECIES):
        _refuse_repeats([pair[side] for pair in pairs], species, table)
    if not pairs:
        raise _bad_table(table, "no row that is one-to-one")
    return OrthologMap(pairs, origin=f"{len(pairs):,} one-to-one pairs of {table.name}")


def _read_exceptions() -> OrthologMap:
    lines = [line for line in EXCEPTIONS_FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines, delimiter="\t"))
    pairs = tuple((row["mouse_symbol"], row["human_symbol"]) for row in rows if row["relation"] == "joined")
    apart = [row for row in rows if row["relation"] == "apart"]
    return OrthologMap(
        pairs,
        apart_mouse=frozenset(row["mouse_symbol"] for row in apart) - {"-"},
        apart_human=frozenset(row["human_symbol"] for row in apart) - {"-"},
        by_symbol=True,
        origin=f"symbol identity with {len(rows)} curated exceptions",
    )


def _read_rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(table) if packed else table.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise _bad_table(table, f"more than {_MAX_BYTES:,} bytes")
        return list(
            csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter="\t", restval="", quoting=csv.QUOTE_NONE)
        )
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise _bad_table(table, f"{type(error).__name__} on reading") from error


def _is_one_to_one(row: Mapping[str, str], table: Path) -> bool:
    value = row["one_to_one"].strip().casefold()
    if value not in {"true", "false", "1", "0"}:
        raise _bad_table(table, f"one_to_one {row['one_to_one']!r} at {row['human_symbol']!r}")
    if value in {"true", "1"} and not (row["mouse_symbol"] and row["human_symbol"]):
        raise _bad_table(table, "a one-to-one row with a blank symbol")
    return value in {"true", "1"}


def _refuse_repeats(symbols: Sequence[str], species: str, table: Path) -> None:
    seen: set[str] = set()
    for symbol in symbols:
        if symbol in seen:
            raise _bad_table(table, f"the {species} gene {symbol!r} in two one-to-one rows")
        seen.add(symbol)


def _grouped(pairs: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}


def _bad_table(table: Path, got: str) -> InputError:
    return InputError(
        "an ortholog table lists human_symbol, mouse_symbol and one_to_one",
        got=got,
        where=table.name,
        fix="Give a tab-separated table of that form (plain or .gz), or none: then symbols decide.",
    )
