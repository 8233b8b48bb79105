"""Calls made by hand, where only types and states matter."""

import numpy as np

from scoring.cells import NO_CALL, CellCalls


def calls_of(cell_type, state=None):
    n = len(cell_type)
    return CellCalls(
        cell_type=np.asarray(cell_type, dtype=np.int16),
        confidence=np.ones(n, dtype=np.float32),
        label=np.asarray(cell_type, dtype=np.int16),
        label_confidence=np.ones(n, dtype=np.float32),
        reason=np.zeros(n, dtype=np.int8),
        state=np.full(n, NO_CALL, dtype=np.int16) if state is None else np.asarray(state, dtype=np.int16),
        neutrophil=np.zeros(n),
        denominator=np.ones(n),
    )
