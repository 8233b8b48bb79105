import numpy as np
from scipy import sparse

from scoring.linear import PENALTIES, linear_weights


def test_weights_are_those_of_ridge_regression():
    rng = np.random.default_rng(0)
    call = rng.integers(3, size=60)
    values = rng.normal(size=(60, 8)) + 2.0 * np.eye(8)[call]
    found = linear_weights(sparse.csr_matrix(values.astype(np.float32)), call, 3)
    centered = values - values.mean(0)
    target = np.eye(3)[call] - np.eye(3)[call].mean(0)
    spread = (centered**2).sum() / 60
    errors, solutions = [], []
    for penalty in PENALTIES:
        inverse = np.linalg.inv(centered.T @ centered + penalty * spread * np.eye(8))
        hat = centered @ inverse @ centered.T + 1 / 60
        solutions.append(inverse @ centered.T @ target)
        left_out = (target - centered @ solutions[-1]) / (1 - np.diag(hat))[:, None]
        errors.append((left_out**2).mean())
    np.testing.assert_allclose(found, solutions[int(np.argmin(errors))], atol=1e-5)


def test_more_genes_than_cells_and_genes_that_never_show():
    rng = np.random.default_rng(1)
    call = np.arange(30) % 2
    values = rng.poisson(1.0, size=(30, 200)).astype(np.float32)
    values[:, 0] = 3 * call
    values[:, 5] = 0
    found = linear_weights(sparse.csr_matrix(values), call, 2)
    assert found.shape == (200, 2)
    assert found[:, 1].argmax() == 0
    assert abs(found[5]).max() < 1e-12
    np.testing.assert_allclose(found[:, 0], -found[:, 1], atol=1e-9)


def test_one_call_alone_cannot_be_told_from_anything():
    assert np.isnan(linear_weights(sparse.csr_matrix(np.ones((4, 3))), np.zeros(4, dtype=np.int64), 1)).all()
