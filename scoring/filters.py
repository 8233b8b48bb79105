"""What a filter on genes per barcode would have lost, by type: counted as the cells pass, in flat memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.labels import TYPE_LEVEL, CellOntology
from schema.predictions import FILTER_COLUMNS, FILTER_GENES, check_columns
from scoring.wording import percent_text


class FilterAccumulator:
    """Called barcodes of each sample and type, and those that each filter would have removed.

    Parameters
    ----------
    n_samples
        Samples of the run.
    ontology
        The label tree; types are its nodes at the level of types.
    """

    def __init__(self, n_samples: int, ontology: CellOntology) -> None:
        self._types = ontology.nodes_at(TYPE_LEVEL)
        self._names = [ontology.nodes[node].name for node in self._types]
        self._counts = np.zeros((n_samples, len(self._types), 1 + len(FILTER_GENES)), dtype=np.int64)

    def update(
        self,
        sample: npt.NDArray[np.int64],
        n_genes: npt.NDArray[np.integer],
        cell_type: npt.NDArray[np.int16],
    ) -> None:
        """Add a block of cells.

        Parameters
        ----------
        sample
            int64 `[n_cells]`: index of each cell's sample.
        n_genes
            int `[n_cells]`: genes of the file with at least one count.
        cell_type
            int16 `[n_cells]`: called node at the level of types; cells without a call (-1) are passed over.
        """
        called = cell_type >= 0
        place = np.searchsorted(self._types, cell_type[called])
        cells = np.ones(int(called.sum()), dtype=np.int64)
        lost = [(n_genes[called] < least).astype(np.int64) for least in FILTER_GENES]
        np.add.at(self._counts, (sample[called], place), np.stack([cells, *lost], axis=1))

    def table(self, sample_ids: Sequence[str]) -> pd.DataFrame:
        """Return filters.csv as a table: one row per sample and type that was called (`FILTER_COLUMNS`)."""
        sample, place = np.nonzero(self._counts[:, :, 0])
        table = pd.DataFrame(
            {
                "sample_id": [sample_ids[i] for i in sample.tolist()],
                "cell_type": [self._names[i] for i in place.tolist()],
                **{column.name: self._counts[sample, place, i] for i, column in enumerate(FILTER_COLUMNS[2:])},
            }
        )
        check_columns(table, FILTER_COLUMNS)
        return table.astype({column.name: column.dtype for column in FILTER_COLUMNS})


def filters_by_type(filters: pd.DataFrame) -> pd.DataFrame:
    """Return the table over all samples, commonest type first, with a column `percent_lost_<genes>` for each filter."""
    numbers = [column.name for column in FILTER_COLUMNS[2:]]
    by_type = filters.groupby("cell_type", as_index=False, observed=True)[numbers].sum()
    by_type = by_type.sort_values(["n_cells", "cell_type"], ascending=[False, True], kind="stable", ignore_index=True)
    for least in FILTER_GENES:
        by_type[f"percent_lost_{least}"] = 100 * by_type[f"n_lost_{least}"] / by_type["n_cells"]
    return by_type


def filter_sentences(filters: pd.DataFrame, ontology: CellOntology) -> list[str]:
    """Return one sentence per filter on neutrophils and on all other cells that the burden counts.

    Parameters
    ----------
    filters
        As filters.csv.
    ontology
        Says which type is neutrophil, and which the burden does not count.
    """
    neutrophil = ontology.nodes[ontology.index_by_id[ontology.roles.neutrophil]].name
    is_neutrophil = filters["cell_type"] == neutrophil
    other = filters[filters["cell_type"].isin(_counted(ontology) - {neutrophil})]
    sentences = []
    for least in FILTER_GENES:
        ours = _lost_percent(filters[is_neutrophil], least)
        theirs = _lost_percent(other, least)
        sentences.append(
            f"A filter of {least} genes would have removed {percent_text(ours)} % of the neutrophils and "
            f"{percent_text(theirs)} % of all other cells."
        )
    return sentences if is_neutrophil.any() else []


def _lost_percent(rows: pd.DataFrame, least: int) -> float:
    n_cells = int(rows["n_cells"].sum())
    return 100 * int(rows[f"n_lost_{least}"].sum()) / n_cells if n_cells else float("nan")


def _counted(ontology: CellOntology) -> set[str]:
    """Return the names of the types that the burden counts."""
    outside = ontology.below(*ontology.roles.outside_denominator)
    types = ontology.nodes_at(TYPE_LEVEL)
    return {ontology.nodes[node].name for node in types if not (ontology.leaves_below[node] & outside).any()}
