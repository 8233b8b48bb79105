"""How many one-to-one orthologs the symbol rule gets right, against a table: `python -m benchmarks.orthologs`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.measure import commit
from schema.labels import CellOntology
from schema.orthologs import OrthologMap, load_orthologs

TABLE = "orthologs_human_mouse_ensembl105_celltypist.tsv.gz"
IDENTITY = OrthologMap((), by_symbol=True, origin="symbol identity alone")


@dataclass(frozen=True)
class Agreement:
    """How a rule meets the pairs of a table, from one species to the other.

    Attributes
    ----------
    right, wrong, missing
        One-to-one pairs that the rule names; for which it names another gene of the table; for which it names none.
    n_named
        Genes of the table, one-to-one or not, for which it names a gene of the table.
    n_related
        Those of them that the table pairs with the gene named, though not one-to-one.
    """

    right: int
    wrong: int
    missing: int
    n_named: int
    n_related: int


def agreement(rule: OrthologMap, table: pd.DataFrame, source: str, target: str) -> Agreement:
    """Compare a rule with a table of `mouse_symbol`, `human_symbol` and bool `one_to_one`."""
    here, there = f"{source}_symbol", f"{target}_symbol"
    known = frozenset(table[there])
    genes = list(dict.fromkeys(table[here]))
    named = dict(zip(genes, rule.translate(genes, source, target, known=known), strict=True))
    pairs, others = table[table["one_to_one"]], table[~table["one_to_one"]]
    found = [(named[gene], counterpart) for gene, counterpart in zip(pairs[here], pairs[there], strict=True)]
    right = sum(answer == counterpart for answer, counterpart in found)
    missing = sum(answer not in known for answer, _ in found)
    return Agreement(
        right=right,
        wrong=len(found) - right - missing,
        missing=missing,
        n_named=sum(answer in known for answer in named.values()),
        n_related=sum(named[gene] == other for gene, other in zip(others[here], others[there], strict=True)),
    )


def markers_joined(orthologs: OrthologMap, mouse_markers: Collection[str], human_genes: Collection[str]) -> list[str]:
    """Return the mouse markers that find a human gene, in order."""
    markers = list(mouse_markers)
    answers = orthologs.translate(markers, "mouse", "human", known=human_genes)
    return [marker for marker, answer in zip(markers, answers, strict=True) if answer in human_genes]


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of orthologs; "NA" and the like are gene names here."""
    return pd.read_csv(path, sep="\t", keep_default_na=False)


def agreement_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return what identity alone and the project's rule reach, in both directions."""
    return [
        {"rule": rule.origin, "from": source, "to": target, **vars(agreement(rule, table, source, target))}
        for rule in (IDENTITY, load_orthologs())
        for source, target in (("mouse", "human"), ("human", "mouse"))
    ]


def agreement_lines(rows: Sequence[dict[str, Any]], n_pairs: int) -> list[str]:
    """Return the table of the page, in Markdown."""
    return [
        "| rule | direction | right | wrong | missing | right, % | one-to-one, % | ortholog at all, % |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {r['rule']} | {r['from']} to {r['to']} | {r['right']:,} | {r['wrong']:,} | {r['missing']:,} "
            f"| {100 * r['right'] / n_pairs:.1f} | {100 * r['right'] / r['n_named']:.1f} "
            f"| {100 * (r['right'] + r['n_related']) / r['n_named']:.1f} |"
            for r in rows
        ),
    ]


def marker_row(orthologs: OrthologMap, human_genes: Collection[str]) -> dict[str, Any]:
    """Return which mouse markers of the label tree find a human gene by the rule and by a table."""
    markers = list(dict.fromkeys(m for node in CellOntology.load().nodes for m in node.markers_mouse))
    by_table = markers_joined(orthologs, markers, human_genes)
    by_rule = markers_joined(load_orthologs(), markers, human_genes)
    return {
        "n_markers": len(markers),
        "n_by_rule": len(by_rule),
        "n_by_table": len(by_table),
        "rule_only": sorted(set(by_rule) - set(by_table)),
        "table_only": sorted(set(by_table) - set(by_rule)),
    }


def page(rows: Sequence[dict[str, Any]], markers: dict[str, Any], table: pd.DataFrame) -> str:
    """Return the result page in Markdown."""
    n_pairs = int(table["one_to_one"].sum())
    n_mouse, n_human = table["mouse_symbol"].nunique(), table["human_symbol"].nunique()
    figures = "\n".join(agreement_lines(rows, n_pairs))
    return f"""# Orthologs: what the symbol rule gets right

`python -m benchmarks.orthologs --data <real data> --output docs/results`, {datetime.now(UTC):%Y-%m-%d},
commit {commit()}.

Against the {n_pairs:,} one-to-one pairs of an Ensembl 105 table ({n_mouse:,} mouse and {n_human:,} human genes in
all). Right, wrong and missing are of those pairs. The last two columns are of all genes of the table for which the
rule names a gene of the table: the share whose one-to-one counterpart it is, and the share that are orthologs at all,
one-to-one or one of several copies.

{figures}

Missing are pairs without a common name: small RNAs, mouse clone names (`Gm...`, `...Rik`), zinc fingers
(`Zfp`/`ZNF`), olfactory receptors. The exceptions are few because they are curated for neutrophils and breast
tumours, not for the count: they add pairs such as `Car4`/`CA4` and `Trp63`/`TP63`, and keep apart namesakes such as
`Ceacam3`/`CEACAM3`.

## The genes that matter here

Of the {markers["n_markers"]} mouse markers of the label tree, the rule finds a human gene for {markers["n_by_rule"]}
and the table for {markers["n_by_table"]}. A gene tree calls a pair one-to-one only where nothing was copied or lost
near it, which leaves out several genes that the field pairs.

- by the rule and not by the table: {", ".join(markers["rule_only"]) or "none"}
- by the table and not by the rule: {", ".join(markers["table_only"]) or "none"}

A user's table is taken as it stands. Where it lacks neutrophil genes such as `Cxcr2` or `S100a9`, the rule may serve
a question about neutrophils better; [real.md](real.md) has both on real cells.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write orthologs.md and orthologs.json."""
    parser = argparse.ArgumentParser(description="Measure the symbol rule against a table of orthologs.")
    parser.add_argument("--data", type=Path, required=True, help="folder of real data")
    parser.add_argument("--output", type=Path, required=True, help="folder for the result page")
    options = parser.parse_args(arguments)
    path = options.data / "tables" / TABLE
    human = pd.read_csv(options.data / "tables" / "gene_ids_human_gencode.tsv.gz", sep="\t", keep_default_na=False)
    table = read_table(path)
    rows = agreement_rows(table)
    markers = marker_row(load_orthologs(path), frozenset(human["symbol"]) | frozenset(table["human_symbol"]))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "orthologs.md").write_text(page(rows, markers, table), encoding="utf-8")
    content = json.dumps({"agreement": rows, "markers": markers}, indent=1)
    (options.output / "orthologs.json").write_text(content + "\n", encoding="utf-8")
    print(options.output / "orthologs.md")


if __name__ == "__main__":
    main()
