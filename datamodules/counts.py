"""Finds the raw counts of a file: which of its matrices they are, and what the others look like instead."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from datamodules.check import RawRows, is_count
from datamodules.matrix import RawReader
from schema.errors import InputError

logger = logging.getLogger(__name__)

Opener = Callable[[], RawReader]


class Verdict(NamedTuple):
    """What sampled values look like: raw counts or not, a few words why, and whether they are 0 and 1 alone."""

    counts: bool
    words: str
    binary: bool = False


def pick_counts(candidates: dict[str, Opener], name: str, *, named: bool) -> tuple[str, RawReader]:
    """Return the first candidate whose sampled values are raw counts, and say which and why.

    Every value is checked again when it is read; the sample only makes the choice.

    Parameters
    ----------
    candidates
        Location in the file to a function that opens the matrix, in order of preference.
    name
        Name of the file.
    named
        Whether the user named the matrix; then 0 and 1 alone pass for counts.

    Raises
    ------
    InputError
        If none holds raw counts, saying what each looks like.
    """
    seen = []
    for location, opener in candidates.items():
        matrix = opener()
        verdict = judge_values(list(matrix.sample()))
        seen.append(f"{location}: {verdict.words}")
        if verdict.counts or (named and verdict.binary):
            logger.info("%s: counts taken from %s (%s)", name, location, "; ".join(seen))
            return location, matrix
        matrix.close()
    raise InputError(
        "a file must hold raw counts",
        got="; ".join(seen) or "no matrix",
        where=name,
        fix="Store the raw UMI counts as X, raw.X or layers['counts'], or name their layer (layer).",
    )


def judge_values(blocks: list[RawRows]) -> Verdict:
    """Return whether sampled values can be raw counts; else what they look like.

    Values of 0 and 1 alone are not taken for counts: a binarised matrix looks the same.
    """
    values = np.concatenate([np.asarray(block.values) for block in blocks]) if blocks else np.zeros(0)
    if values.dtype.kind not in "iuf":
        return Verdict(counts=False, words=f"values of type {values.dtype}")
    if not values.any():
        return Verdict(counts=False, words="all zero")
    if is_count(values).all():
        if values.max() == 1:
            return Verdict(counts=False, words="only 0 and 1 (binarised)", binary=True)
        return Verdict(counts=True, words=f"whole numbers up to {int(values.max()):,}")
    return Verdict(counts=False, words=_looks_like(values.astype(np.float64), blocks))


def _looks_like(values: np.ndarray[tuple[int], np.dtype[np.float64]], blocks: list[RawRows]) -> str:
    if not np.isfinite(values).all():
        return "NaN or infinite values"
    if values.min() < 0:
        return f"negative values down to {values.min():.3g} (scaled, z-scores)"
    if (values == np.floor(values)).all():
        return f"whole numbers up to {values.max():.3g}, too large for counts"
    if values.max() < 20:
        return f"fractions up to {values.max():.3g} (log-normalised)"
    sums = np.concatenate([_row_sums(block) for block in blocks])
    sums = sums[sums > 0]
    if len(sums) > 1 and np.ptp(sums) < 1e-3 * sums.mean():
        return f"fractions, every cell sums to {sums.mean():,.0f} (normalised to a total, CPM)"
    return f"fractions up to {values.max():.3g} (normalised, or corrected for ambient RNA)"


def _row_sums(block: RawRows) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    totals = np.concatenate([[0.0], np.cumsum(block.values, dtype=np.float64)])
    return np.diff(totals[block.indptr])
