"""A plain multi-layer perceptron as a floor: two hidden layers on log1p counts, a fixed number of steps."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import nn

N_HIDDEN, DROPOUT = 256, 0.2
BATCH_SIZE, LEARNING_RATE = 128, 1e-3
MIN_EPOCHS, MIN_STEPS = 10, 1_000
"""Training stops after so many epochs or so many steps, whichever is later; nothing is looked at to stop earlier."""


class PlainMlp:
    """Two hidden layers of 256 with ReLU and dropout 0.2; Adam at 1e-3, batches of 128, cross-entropy.

    Parameters
    ----------
    n_genes, n_classes
        Sizes of input and output.
    seed
        Seed of weights, order and dropout.
    """

    def __init__(self, n_genes: int, n_classes: int, seed: int) -> None:
        self._seed = seed
        torch.manual_seed(seed)
        self.layers = nn.Sequential(
            *(nn.Linear(n_genes, N_HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT)),
            *(nn.Linear(N_HIDDEN, N_HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT)),
            nn.Linear(N_HIDDEN, n_classes),
        )

    def fit(self, x: sparse.csr_matrix, codes: npt.NDArray[np.int64]) -> PlainMlp:
        """Train on cells float32 CSR `[n_cells, n_genes]` of classes int64 `[n_cells]`, and return itself."""
        optimiser = torch.optim.Adam(self.layers.parameters(), lr=LEARNING_RATE)
        target = torch.from_numpy(codes)
        for rows in self._batches(len(codes)):
            optimiser.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(self.layers(_dense(x[rows])), target[rows]))
            optimiser.step()
        return self

    def weights(self) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        """Return weight float32 `[n_out, n_in]` and bias float32 `[n_out]` of each layer, in order."""
        linear = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        return [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in linear]

    def _batches(self, n_cells: int) -> Iterator[npt.NDArray[np.int64]]:
        rng = np.random.default_rng(self._seed)
        per_epoch = math.ceil(n_cells / BATCH_SIZE)
        for _ in range(max(MIN_EPOCHS, math.ceil(MIN_STEPS / per_epoch))):
            yield from np.array_split(rng.permutation(n_cells), per_epoch)


def _dense(x: sparse.csr_matrix) -> torch.Tensor:
    return torch.from_numpy(x.toarray())
