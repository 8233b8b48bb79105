"""May the burden of a sample be read at all? Rules, each with its reason, from facts to a verdict in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from schema.predictions import ASSESSABLE, LOW_CONFIDENCE, NOT_ASSESSABLE
from schema.preparation import CD45_SORTED, CELL, NUCLEUS, UNSORTED
from scoring.wording import percent_text

MIN_DENOMINATOR = 50
"""Cells: below it one neutrophil more or less is 2 percentage points."""

CONFIDENT_DENOMINATOR = 500
"""Cells: NBS-1.0 calls fewer low confidence."""

CONFIDENT_NEUTROPHILS = 20
"""Expected neutrophils: NBS-1.0 calls fewer low confidence (their sampling error alone is above 20 %)."""

MIN_GENES_FOUND_PERCENT = 20.0
"""Vocabulary genes measured: below it a network trained on the whole vocabulary sees mostly unknowns."""

CONFIDENT_GENES_FOUND_PERCENT = 50.0
"""Vocabulary genes measured: below it accuracy was never measured on the held-out donors."""

CONFIDENT_REFERENCE_DONORS = 3
"""Held-out donors of the bundle: fewer say little about how error rates vary between donors."""

LOW_COUNT_FLOOR_PERCENT = 0.1
"""Percent of cells under 500 UMI: unfiltered droplet data have some, a cut above 500 UMI leaves none. Not higher:
350 cells of a normal gland hold but a few neutrophils, and one low barcode proves that such barcodes were kept."""

HARD_CUT_GENES = 150
"""Genes at the 0.5th percentile: 200, the common filter, or less where genes were left out of the file after it (175
were seen of the genes of a vocabulary in a file cut at 200). Neutrophils have a few hundred genes, so such a cut takes
many."""

HARD_CUT_EDGE = 1.15
"""Ratio of the 5th to the 0.5th percentile of genes per cell. Cells pile up just above a cut (1.09 in a file cut at 200
genes) and thin out towards an edge that was not cut (1.27 and more)."""

HARD_CUT_MIN_CELLS = 200
"""Cells: with fewer, the two percentiles are near neighbours and their ratio says little."""

MOST_STRANGE_PERCENT, CONFIDENT_STRANGE_PERCENT = 50.0, 20.0
"""Cells that resemble none of the training: at most 5 % of known cells are so called (`calibration.most_flagged`). From
four times as many on the sample is unlike the training, and where half are, composition says nothing."""

PRESENT_DESPITE_FILTER_PERCENT = 5.0
"""Lower end of the interval: from here on neutrophils were captured beyond doubt, and the burden is a lower bound.
Below it, loss and absence look alike, and neither 0 nor a small number would be true. The interval and not the count
decides, because it knows how few the cells are: 18 neutrophils among 70 cells are plainly there."""


@dataclass(frozen=True, kw_only=True)
class SampleEvidence:
    """What is known of a sample when its burden is judged.

    Attributes
    ----------
    n_cells
        Rows of the sample.
    n_denominator, n_neutrophils
        Expected cells that the burden counts, and neutrophils among them.
    burden_low
        Lower end of the burden's interval, percent; NaN without cells.
    low_count_percent
        Percent of the called cells with fewer than 500 UMI.
    min_genes, edge_genes
        0.5th and 5th percentile of genes detected per called cell.
    genes_found_percent
        Percent of the vocabulary that the file measured.
    training_has_neutrophils
        Whether any cell that the bundle was trained on is labelled a neutrophil.
    n_reference_donors
        Held-out donors that the interval draws from.
    by_orthologs
        Whether the file's species is not the bundle's.
    unfiltered, knows_ambient
        Whether the file holds all droplets, and whether the bundle was trained on droplets of ambient RNA.
    strange_percent
        Percent of the cells that are out of distribution; NaN where the bundle cannot say.
    gate, suspension
        How the sample was prepared, in the words of `schema.preparation`.
    burden_percent
        The estimate.
    half_width
        Half of the interval's width, percent.
    other_estimates
        Name of each other estimator, and what it says, percent.
    limit_percent
        Limit of detection; NaN where none is known.
    """

    n_cells: int
    n_denominator: float
    n_neutrophils: float
    burden_low: float
    low_count_percent: float
    min_genes: int
    edge_genes: int
    genes_found_percent: float
    training_has_neutrophils: bool
    n_reference_donors: int
    by_orthologs: bool
    unfiltered: bool = False
    knows_ambient: bool = True
    strange_percent: float = math.nan
    gate: str = UNSORTED
    suspension: str = CELL
    burden_percent: float = math.nan
    half_width: float = math.nan
    other_estimates: Mapping[str, float] = field(default_factory=dict)
    limit_percent: float = math.nan

    @property
    def is_below_limit(self) -> bool:
        """Whether the estimate is below the limit of detection."""
        return self.burden_percent < self.limit_percent


@dataclass(frozen=True)
class Assessment:
    """Verdict on a sample: one of the three words of `schema.predictions`, and why, in plain words."""

    assessability: str
    flags: tuple[str, ...]


def assess(evidence: SampleEvidence) -> Assessment:
    """Return whether the burden of a sample may be read, and why not.

    Absence because of capture is never reported as 0: where low-UMI barcodes were filtered out before we saw the file
    and neutrophils are not plainly there, the verdict is `not_assessable`.
    """
    filtered = find_filter(evidence)
    reasons = _reasons_against(evidence, filtered)
    if reasons:
        return Assessment(NOT_ASSESSABLE, reasons)
    doubts = _doubts(evidence, filtered)
    return Assessment(LOW_CONFIDENCE if doubts else ASSESSABLE, (*doubts, *_notes(evidence)))


def find_filter(evidence: SampleEvidence) -> str | None:
    """Return the trace of an upstream filter on low-UMI barcodes in plain words; None where such barcodes were kept."""
    if evidence.low_count_percent < LOW_COUNT_FLOOR_PERCENT:
        return "hardly any barcode with fewer than 500 UMI was kept"
    piled_up = evidence.edge_genes <= HARD_CUT_EDGE * evidence.min_genes
    if evidence.n_cells >= HARD_CUT_MIN_CELLS and evidence.min_genes >= HARD_CUT_GENES and piled_up:
        return f"barcodes with fewer than about {evidence.min_genes} genes were cut off"
    return None


def _reasons_against(evidence: SampleEvidence, filtered: str | None) -> tuple[str, ...]:
    reasons = []
    if not evidence.training_has_neutrophils:
        reasons.append("the bundle was trained without labelled neutrophils")
    if evidence.unfiltered and not evidence.knows_ambient:
        reasons.append(
            "the file is unfiltered and the bundle knows no ambient droplets: empty ones would count as cells"
        )
    if evidence.suspension == NUCLEUS:
        reasons.append("nuclei: neutrophils are lost when nuclei are isolated")
    if evidence.gate not in (UNSORTED, CD45_SORTED):
        reasons.append(f"sorted by {evidence.gate}: what is left of the tissue does not tell its neutrophils")
    if evidence.strange_percent >= MOST_STRANGE_PERCENT:
        reasons.append(f"{evidence.strange_percent:.0f} % of the cells resemble none of the training")
    if not evidence.n_denominator >= MIN_DENOMINATOR:
        reasons.append(f"only {evidence.n_denominator:.0f} countable cells, at least {MIN_DENOMINATOR} needed")
    if evidence.genes_found_percent < MIN_GENES_FOUND_PERCENT:
        reasons.append(f"only {evidence.genes_found_percent:.0f} % of the bundle's genes were measured")
    if filtered is not None and evidence.by_orthologs:
        reasons.append(f"{filtered} and the error rates of another species cannot show that neutrophils were captured")
    elif filtered is not None and not evidence.burden_low >= PRESENT_DESPITE_FILTER_PERCENT:
        reasons.append(f"{filtered} and neutrophils are not plainly there: loss in capture and absence look alike")
    return tuple(reasons)


def _doubts(evidence: SampleEvidence, filtered: str | None) -> tuple[str, ...]:
    doubts = []
    if filtered is not None:
        doubts.append(f"lower bound: {filtered}")
    if evidence.n_denominator < CONFIDENT_DENOMINATOR:
        doubts.append(f"{evidence.n_denominator:.0f} countable cells, fewer than {CONFIDENT_DENOMINATOR}")
    if evidence.n_neutrophils < CONFIDENT_NEUTROPHILS:
        doubts.append(f"{evidence.n_neutrophils:.1f} expected neutrophils, fewer than {CONFIDENT_NEUTROPHILS}")
    if evidence.genes_found_percent < CONFIDENT_GENES_FOUND_PERCENT:
        doubts.append(f"{evidence.genes_found_percent:.0f} % of the bundle's genes were measured")
    if evidence.strange_percent >= CONFIDENT_STRANGE_PERCENT:
        doubts.append(f"{evidence.strange_percent:.0f} % of the cells resemble none of the training")
    if evidence.n_reference_donors == 0:
        doubts.append("no held-out donor in the bundle: the interval covers the sampling of cells only")
    elif evidence.n_reference_donors < CONFIDENT_REFERENCE_DONORS:
        doubts.append(f"the interval rests on {evidence.n_reference_donors} held-out donor(s) only")
    if evidence.by_orthologs:
        doubts.append("predicted through orthologs: error rates were measured in another species")
    return tuple(doubts)


def _notes(evidence: SampleEvidence) -> tuple[str, ...]:
    """Return what does not lower the verdict: below the limit of detection, and estimators that disagree."""
    notes = []
    if evidence.is_below_limit:
        notes.append(f"below the limit of detection of {percent_text(evidence.limit_percent)} %")
    apart = {
        name: value
        for name, value in evidence.other_estimates.items()
        if abs(value - evidence.burden_percent) > evidence.half_width
    }
    if apart:
        said = ", ".join(f"{name} {percent_text(value)} %" for name, value in apart.items())
        notes.append(f"estimators disagree by more than the interval: {said}")
    return tuple(notes)
