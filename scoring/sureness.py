"""What a bundle's checks say of its labels, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from schema.calls import CallRules


def sureness(rules: CallRules | None, checks: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Return sentences on how labels back off and on what the bundle finds of cells that it does not know.

    Parameters
    ----------
    rules
        Of the bundle.
    checks
        Of the bundle: rows "back_off" and "novelty".
    """
    sentences: list[str] = []
    if rules is None:
        return sentences
    at = next((row for row in checks.get("back_off", ()) if row["back_off"] == rules.back_off), None)
    if at is not None and at["accuracy"] is not None:
        called, accuracy = 100 * at["called"], 100 * at["accuracy"]
        sentences.append(
            "A cell is labelled with the deepest node of the tree whose probability exceeds "
            f"{rules.back_off:g}. On held-out donors {called:.0f} % of the cells were labelled so, and "
            f"{accuracy:.1f} % of these labels were right."
        )
    found = [row["found"] for row in checks.get("novelty", ()) if row["found"] is not None]
    if found:
        sentences.append(
            f"A cell whose novelty exceeds {rules.novelty:.2g} is called out of distribution. With each of "
            f"{len(found)} types in turn taken as unknown, {100 * np.mean(found):.0f} % of its cells were found "
            f"({100 * min(found):.0f} to {100 * max(found):.0f} % by type); the network had learnt from them, so that "
            "fewer may be found of types that it never saw."
        )
    return sentences
