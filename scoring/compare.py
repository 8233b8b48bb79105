"""python -m scoring.compare samples.csv --by arm: holds samples against each other, donors as units, never cells."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console

from schema.command import parse_config, run_command
from schema.comparisons import BURDEN, COMPARISON, COMPOSITION, PICTURES, write_comparison
from schema.errors import UsageError
from schema.labels import CellOntology
from schema.outputs import claim_files, drafting
from schema.streams import show
from scoring.comparison import compare_samples, group_rows, masking_warning
from scoring.comparison_text import comparison_table, group_table
from scoring.grouping import GroupingConfig, group_samples, join_metadata, read_tables
from scoring.pictures import draw_pictures

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CompareConfig(GroupingConfig):
    """Compare samples: burden over stages or between arms and time points, and composition. Donors are the units."""

    samples: tuple[Path, ...] = field(metadata={"help": "samples.csv of one or several predictions", "several": True})
    """Tables of predict.py."""
    metadata: Path | None = None
    """CSV with a column sample_id and what is known of the samples: arm, stage, donor_id, study."""
    output: Path | None = None
    """Folder for comparison.csv and pictures; None writes the tables to the terminal only."""
    seed: int = 0
    """Seed of drawn permutations, >= 0."""
    overwrite: bool = False
    """Whether results of an earlier comparison in the folder are replaced."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.seed < 0:
            raise UsageError("the seed must be >= 0", got=f"{self.seed}", where="seed", fix="Raise it.")


def compare(config: CompareConfig) -> list[Path]:
    """Compare samples, write the tables to the terminal and, where a folder is given, files; return their paths.

    Raises
    ------
    NeutrostageError
        If tables or options allow no right comparison; nothing is written then.
    """
    if config.output is not None:
        claim_files(config.output, (*PICTURES, COMPARISON), overwrite=config.overwrite)
    samples = read_tables(config.samples)
    if config.metadata is not None:
        samples = join_metadata(samples, config.metadata)
    grouped, ontology = group_samples(samples, config), CellOntology.load()
    comparison = compare_samples(grouped, ontology, seed=config.seed)
    if warning := masking_warning(grouped.groups):
        logger.warning("%s", warning)
    console = Console(stderr=config.output is not None)
    groups = group_rows(grouped)
    for denominator, part in groups.groupby("denominator", sort=True):
        console.print(f"Of {denominator}:", markup=False, highlight=False)
        console.print(group_table(part, "donor" if grouped.has_donors else "sample"))
        tests = comparison[comparison["denominator"] == denominator]
        for table in filter(None, (comparison_table(tests, measure, ontology) for measure in (BURDEN, COMPOSITION))):
            console.print(table)
    if config.output is None:
        return []
    claim = partial(claim_files, config.output, (*PICTURES, COMPARISON), overwrite=config.overwrite)
    with drafting(config.output, claim) as draft:
        pictures = draw_pictures(grouped, ontology, draft.path)
        write_comparison(comparison, draft.path / COMPARISON)
        names = (*pictures, COMPARISON)
        draft.publish(names, replaced=(*PICTURES, COMPARISON))
    return [config.output / name for name in names]


def main() -> None:
    """Read the command line and compare; write the paths of the results to stdout."""
    show(compare(parse_config(CompareConfig, positional="samples")))


if __name__ == "__main__":
    sys.exit(run_command("compare", main))
