"""Gene programmes inside the neutrophils of a sample: a pseudobulk in flat memory, and their ranks in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from scipy import sparse, stats

from schema.genes import GeneVocabulary
from scoring.by_sample import rows_by_sample

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PROGRAMMES_FILE = Path(__file__).with_name("programmes.yaml")

MIN_GENES_SHARE = 0.6
"""Share of a programme's genes that the file must have measured: with fewer it is another programme."""

MIN_NEUTROPHILS = 30
"""Called neutrophils of a pseudobulk: with a few hundred UMI each, fewer leave most genes of a programme at zero."""


@dataclass(frozen=True, kw_only=True)
class Programme:
    """Genes that rise together because they do one thing.

    Attributes
    ----------
    id
        Name in the column `score_<id>`.
    leaning
        Whether it speaks for (pro) or against (anti) the tumour.
    source
        Where the list was read; the file says more.
    mouse, human
        Gene symbols.
    """

    id: str
    leaning: Literal["pro", "anti"]
    source: str
    mouse: tuple[str, ...]
    human: tuple[str, ...]

    def symbols(self, species: str) -> tuple[str, ...]:
        """Return the genes as "mouse" or "human" names them."""
        return self.human if species == "human" else self.mouse


@cache
def load_programmes() -> tuple[Programme, ...]:
    """Return the programmes of the project, in the order of the file."""
    content = yaml.safe_load(PROGRAMMES_FILE.read_text(encoding="utf-8"))
    return tuple(
        Programme(**each | {name: tuple(each[name]) for name in ("mouse", "human")}) for each in content["programmes"]
    )


class Pseudobulk:
    """Summed raw counts of the called neutrophils of each sample, fed block by block, and what they score.

    Memory is 4 bytes per gene for each sample that has neutrophils and has not ended, whatever the number of cells.
    Sums of whole numbers are exact, so that they do not depend on how rows are cut into blocks.

    Parameters
    ----------
    n_samples
        Samples of the run.
    genes
        Programme to positions of its measured genes, from `genes_of_programmes`.
    present
        bool `[n_genes]`: genes of the vocabulary that the file measured; the others are not ranked.
    """

    def __init__(self, n_samples: int, genes: Mapping[str, Ints], present: npt.NDArray[np.bool_]) -> None:
        self.n_cells: Ints = np.zeros(n_samples, dtype=np.int64)
        self._genes, self._present = genes, present
        self._place = np.cumsum(present) - 1
        self._sums: dict[int, npt.NDArray[np.uint32]] = {}
        self._scores = np.full((n_samples, len(genes)), np.nan)

    def update(self, sample: Ints, counts: sparse.csr_matrix) -> None:
        """Add cells: sample of each, int64 `[n_cells]`, and raw counts `[n_cells, n_genes]` in the vocabulary's order.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        shape = (len(sample), len(self._present))
        if counts.shape != shape:
            raise ValueError(f"Expected counts of shape {shape} but got {counts.shape}.")
        for code, rows in rows_by_sample(sample, len(self.n_cells)):
            self.n_cells[code] += len(rows)
            found = np.asarray(counts[rows].sum(axis=0, dtype=np.float64)).ravel()
            sums = self._sums.setdefault(code, np.zeros(len(self._present), dtype=np.uint32))
            sums += np.rint(found).astype(np.uint32)

    def end(self, samples: Ints) -> None:
        """Score samples of which all cells have passed, int64 `[n]`, and let go of their counts."""
        for code in samples.tolist():
            sums = self._sums.pop(code, None)
            if sums is not None and self.n_cells[code] >= MIN_NEUTROPHILS:
                rank = (stats.rankdata(sums[self._present]) - 1) / max(1, int(self._present.sum()) - 1)
                of_genes = [rank[self._place[at]] for at in self._genes.values()]
                self._scores[code] = [ranks.mean() if len(ranks) else np.nan for ranks in of_genes]

    def scores(self) -> pd.DataFrame:
        """Return the score of each programme in each sample that has ended.

        The score is the mean rank of its genes among all measured genes, by counts in the pseudobulk, ties at their
        mean, from 0 (all lowest) over 0.5 (as any gene) to 1: a linear function of the Mann-Whitney statistic, which
        depth shifts less than it does a mean of expression.

        Returns
        -------
        DataFrame
            float64, one row per sample and one column per programme; NaN below `MIN_NEUTROPHILS` called neutrophils.
        """
        return pd.DataFrame(self._scores, columns=list(self._genes))


def genes_of_programmes(vocabulary: GeneVocabulary, species: str, present: npt.NDArray[np.bool_]) -> dict[str, Ints]:
    """Return where the measured genes of each programme stand in the vocabulary, int64 `[n]`.

    Parameters
    ----------
    vocabulary
        Genes of the bundle.
    species
        Species of the file; a vocabulary that does not have it is asked by its own names (the file came by orthologs).
    present
        bool `[n_genes]`: genes that the file measured.

    Returns
    -------
    dict
        Empty arrays where fewer than `MIN_GENES_SHARE` of a programme's genes were measured.
    """
    names = vocabulary.seen_by(species) or vocabulary
    found: dict[str, Ints] = {}
    for programme in load_programmes():
        symbols = programme.symbols(names.species)
        at = [names.index_by_symbol[symbol] for symbol in symbols if symbol in names.index_by_symbol]
        measured = np.array([place for place in at if present[place]], dtype=np.int64)
        found[programme.id] = measured if len(measured) >= MIN_GENES_SHARE * len(symbols) else measured[:0]
    return found


def polarity(scores: pd.DataFrame) -> Floats:
    """Return the mean score of pro-tumour programmes minus that of anti-tumour ones, float64 `[n_samples]`, -1 to 1.

    NaN where any of the programmes has no score: with others in the mean it would be another number.
    """
    sides = {side: [p.id for p in load_programmes() if p.leaning == side] for side in ("pro", "anti")}
    pro, anti = (scores[sides[side]].mean(axis=1, skipna=False) for side in ("pro", "anti"))
    return (pro - anti).to_numpy(dtype=np.float64)
