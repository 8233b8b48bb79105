"""The folds of the real benchmark: train on one healthy and one tumour mouse, test on the other two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Fold:
    """One split of the mice.

    Attributes
    ----------
    name
        Training mice, joined by "+".
    train_donors, test_donors
        Mice of this study on either side.
    """

    name: str
    train_donors: tuple[str, ...]
    test_donors: tuple[str, ...]


def cross_folds(healthy: Sequence[str], tumor: Sequence[str]) -> tuple[Fold, ...]:
    """Return one fold for each pair of a healthy and a tumour mouse.

    Examples
    --------
    >>> [fold.name for fold in cross_folds(["h_1", "h_2"], ["t_1", "t_2"])]
    ['h_1+t_1', 'h_1+t_2', 'h_2+t_1', 'h_2+t_2']
    """
    mice = (*healthy, *tumor)
    return tuple(
        Fold("+".join(pair), pair, tuple(mouse for mouse in mice if mouse not in pair))
        for pair in product(healthy, tumor)
    )
