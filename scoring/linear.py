"""The linear baseline of an explanation: ridge regression, one call against the others, on the drawn cells."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats = npt.NDArray[np.float64]

PENALTIES = (0.01, 0.1, 1.0, 10.0)
"""Penalties that are tried, in units of the mean squared distance of a cell from the mean cell."""


def linear_weights(expression: sparse.csr_matrix, call: npt.NDArray[np.int64], n_calls: int) -> Floats:
    """Return how a linear method weighs each gene for each call, float64 `[n_genes, n_calls]`.

    Ridge regression of "called so" (1) or not (0) on expression, with one penalty for all calls, chosen by leaving out
    one cell at a time (Golub, Heath and Wahba 1979).

    Parameters
    ----------
    expression
        float32 `[n_cells, n_genes]`, normalised.
    call
        int64 `[n_cells]`, 0 <= call < n_calls.
    n_calls
        Number of calls.

    Returns
    -------
    ndarray
        NaN throughout where there is only one call, and nothing to tell it from.
    """
    if len(np.unique(call)) < 2:
        return np.full((expression.shape[1], n_calls), np.nan)
    values = expression.astype(np.float64)
    mean = np.asarray(values.mean(axis=0)).ravel()
    spread = float(values.multiply(values).sum() / values.shape[0] - mean @ mean)
    penalties = [max(spread, 1e-12) * penalty for penalty in PENALTIES]
    from sklearn.linear_model import RidgeCV  # here, because only an explanation needs it and it takes half a second

    ridge = RidgeCV(alphas=penalties, gcv_mode="eigen").fit(values, np.eye(n_calls)[call])
    return np.asarray(ridge.coef_, dtype=np.float64).reshape(n_calls, -1).T
