"""What a barcode is, before anything is said of its cell: too few counts to be called, ambient RNA alone, or a cell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from schema.labels import CellOntology
from scoring.wording import count_text

MIN_COUNTS = 50
"""UMI below which a barcode is not called. Neutrophils have 150 and more; see docs/decisions/0015-low-counts.md."""

UNFILTERED_PERCENT = 20.0
"""Percent of a file's barcodes below `MIN_COUNTS`, whatever floor a user has chosen, from which the file is unfiltered.
No cell caller keeps such barcodes in bulk; in matrices of all droplets they are nine of ten and more."""

LOW_COUNTS, AMBIENT, CELL = 0, 1, 2
"""Kinds of barcodes."""

Kinds = npt.NDArray[np.int8]


def low_counts(library_size: npt.NDArray[np.floating], min_counts: int) -> npt.NDArray[np.bool_]:
    """Return which barcodes hold too few counts to be called: fewer than `min_counts`, or none.

    Parameters
    ----------
    library_size
        float `[n_cells]`, UMI over all genes of the file.
    min_counts
        Least UMI of a barcode that is called, >= 0.

    Returns
    -------
    ndarray
        bool `[n_cells]`.
    """
    return library_size < max(min_counts, 1)


def looks_unfiltered(library_size: npt.NDArray[np.floating]) -> bool:
    """Return whether barcodes from all over a file, UMI float `[n]`, show that no cell caller has been at work."""
    low = low_counts(library_size, MIN_COUNTS)
    return bool(low.size and 100 * low.mean() >= UNFILTERED_PERCENT)


def droplet_kinds(low: npt.NDArray[np.bool_], cell_type: npt.NDArray[np.int16], ontology: CellOntology) -> Kinds:
    """Return what each barcode is, int8 `[n_cells]`: LOW_COUNTS, AMBIENT or CELL (doublets among them).

    Parameters
    ----------
    low
        bool `[n_cells]`, from `low_counts`.
    cell_type
        int16 `[n_cells]`, called node at the level of types.
    ontology
        Names the ambient type; a tree without one knows no ambient droplets.
    """
    ambient = ontology.ambient_type
    kind = np.full(len(low), CELL, dtype=np.int8)
    if ambient is not None:
        kind[cell_type == ambient] = AMBIENT
    kind[low] = LOW_COUNTS
    return kind


def is_described(kind: Kinds, *, unfiltered: bool) -> npt.NDArray[np.bool_]:
    """Return which barcodes the figures of a sample describe, bool `[n_cells]`.

    Those with low counts are in none. Of a filtered file the few called ambient are, by their probabilities, as in
    training; of an unfiltered one they would be most of the sample, and are left out.
    """
    return kind > (AMBIENT if unfiltered else LOW_COUNTS)


def n_described(samples: pd.DataFrame, *, unfiltered: bool) -> pd.Series:
    """Return how many barcodes of each sample the figures describe, from the columns of samples.csv."""
    described = samples["n_cells"] - samples["n_low_counts"]
    return described - samples["n_ambient"] if unfiltered else described


def unfiltered_sentence(samples: pd.DataFrame, min_counts: int) -> str:
    """Return what the report says of an unfiltered file.

    Parameters
    ----------
    samples
        As samples.csv.
    min_counts
        The floor, UMI.
    """
    n_rows, n_low, n_ambient = (int(samples[name].sum()) for name in ("n_cells", "n_low_counts", "n_ambient"))
    return (
        f"The file is unfiltered: {count_text(n_low)} of its {count_text(n_rows)} barcodes have fewer than "
        f"{min_counts} UMI and were not called, and {count_text(n_ambient)} more were called ambient RNA. Neither are "
        f"in any figure of this page, which describes the other {count_text(n_rows - n_low - n_ambient)}."
    )
