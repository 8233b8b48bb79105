"""Bins of sequencing depth in which mistakes are measured and undone: cells of few UMI are mistaken more."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

DEPTH_EDGES = (200.0, 275.0, 375.0, 500.0, 700.0, 1100.0)
"""UMI at which one bin ends and the next begins: neutrophils have a few hundred, most other cells above 1,000."""

N_DEPTHS = len(DEPTH_EDGES) + 1


def depth_of(library_size: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Return the depth bin of cells, int64 `[n_cells]`, 0 = fewest UMI, from their UMI over all genes `[n_cells]`.

    Examples
    --------
    >>> depth_of(np.array([199.0, 200.0, 5000.0])).tolist()
    [0, 1, 6]
    """
    return np.searchsorted(DEPTH_EDGES, library_size, side="right").astype(np.int64)
