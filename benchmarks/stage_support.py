"""What the guards of a bundle said, as it goes into stage.json."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from model.bundle import Bundle
from schema.predictions import STAGE_OUTPUTS


def support_of(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Return, by output, the head that won and the fields of its support; None in place of NaN.

    Raises
    ------
    ValueError
        If the bundle has learnt no stage.
    """
    if bundle.staging is None or bundle.stage_support is None:
        raise ValueError("Expected a bundle that has learnt a stage.")
    found = {}
    for output, head in zip(STAGE_OUTPUTS, bundle.staging.shape.heads, strict=True):
        support = asdict(bundle.stage_support[output]) | {"head": head}
        found[output] = {name: None if value != value else value for name, value in support.items()}
    return found
