"""Finds the raw counts of a file: which of its matrices they are, and what the others look like instead."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from datamodules.check import RawRows, is_count
from datamodules.matrix import RawReader
from schema.errors import InputError

logger = logging.getLogger(__name__)

Opener = Callable[[], RawReader]

_FEW = 50
"""Where at most one value in so many is odd, it is a damaged matrix of counts rather than a matrix of another kind."""

_CHECK = "Check the file."


class Verdict(NamedTuple):
    """What sampled values look like: raw counts or not, a few words why, whether 0 and 1 alone, what makes doubtful."""

    counts: bool
    words: str
    binary: bool = False
    warning: str = ""


def pick_counts(
    candidates: dict[str, Opener], name: str, *, named: bool, others: Sequence[str] = ()
) -> tuple[str, RawReader]:
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
    others
        Other matrices of the file, of which the user may name one.

    Raises
    ------
    InputError
        If none holds raw counts, saying what each looks like.
    """
    seen = []
    for location, opener in candidates.items():
        matrix = opener()
        if fault := _emptiness(matrix):
            matrix.close()
            raise InputError("there must be cells and genes", got=fault, where=f"{name}, {location}", fix=_CHECK)
        verdict = judge_values(list(matrix.sample()))
        seen.append(f"{location}: {verdict.words}")
        if verdict.counts or (named and verdict.binary):
            logger.info("%s: counts taken from %s (%s)", name, location, "; ".join(seen))
            if verdict.warning:
                logger.warning("%s, %s: %s", name, location, verdict.warning)
            return location, matrix
        matrix.close()
    raise InputError(
        "a file must hold raw counts",
        got="; ".join(seen) or "no matrix",
        where=name,
        fix="Store the raw UMI counts as X, raw.X or layers['counts'], or name their layer (layer)."
        + (f" Other matrices there: {', '.join(others)[:200]}." if others else ""),
    )


def _emptiness(matrix: RawReader) -> str:
    missing = [what for what, n in (("cells", matrix.n_rows), ("genes", matrix.n_genes)) if n == 0]
    return " and ".join(f"no {what}" for what in missing)


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
        words = f"whole numbers up to {int(values.max()):,}"
        return Verdict(counts=True, words=words, warning=_looks_rounded(blocks))
    return Verdict(counts=False, words=_looks_like(values.astype(np.float64), blocks))


def _looks_rounded(blocks: list[RawRows]) -> str:
    """Return a warning where all cells sum to nearly, not exactly, the same: normalised to a total and then rounded."""
    total = _common_total(blocks)
    if total is None:
        return ""
    return f"every cell sums to about {total:,.0f}, as after normalising to a total and rounding; give the raw counts"


def _common_total(blocks: list[RawRows]) -> float | None:
    """Return what all cells sum to, within a thousandth; None where they do not, or there are fewer than two."""
    sums = np.concatenate([_row_sums(block) for block in blocks])
    sums = sums[sums > 0]
    return float(sums.mean()) if len(sums) > 1 and np.ptp(sums) < 1e-3 * sums.mean() else None


def _looks_like(values: np.ndarray[tuple[int], np.dtype[np.float64]], blocks: list[RawRows]) -> str:
    if not np.isfinite(values).all():
        return f"NaN or infinite values{_few(~np.isfinite(values))}"
    if values.min() < 0:
        return f"negative values down to {values.min():.3g}{_few(values < 0) or ' (scaled, z-scores)'}"
    fractions = values != np.floor(values)
    if not fractions.any():
        return f"whole numbers up to {values.max():.3g}, too large for counts"
    if few := _few(fractions):
        return f"a fraction of {values[fractions][0]:.6g}{few}"
    if values.max() < 20:
        return f"fractions up to {values.max():.3g} (log-normalised)"
    total = _common_total(blocks)
    if total is not None:
        return f"fractions, every cell sums to {total:,.0f} (normalised to a total, CPM)"
    return f"fractions up to {values.max():.3g} (normalised, or corrected for ambient RNA)"


def _few(odd: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    """Return how many values are odd, where these are so few that it is a fault and no kind of matrix; else ""."""
    n_odd = int(odd.sum())
    return f" ({n_odd} of {odd.size:,} values looked at)" if n_odd * _FEW <= odd.size else ""


def _row_sums(block: RawRows) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    totals = np.concatenate([[0.0], np.cumsum(block.values, dtype=np.float64)])
    return np.diff(totals[block.indptr])
