"""A bundle at work: batches of raw counts to calibrated probabilities, and to the stage of each sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from model.bundle import Bundle
from model.heads import level_probabilities
from model.pooling import PoolState
from model.tree import LabelTree
from schema.batch import CellBatch
from schema.errors import UsageError


class CellPredictions(NamedTuple):
    """What a bundle says of a block of cells.

    Attributes
    ----------
    latent
        float32 `[n_cells, n_latent]`.
    probabilities
        float32 `[n_cells, n_leaves]`, calibrated, rows sum to 1; all zero for cells without any count.
    novelty
        float32 `[n_cells]`, novelty score (see `model.novelty`); NaN for cells without any count.
    """

    latent: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    novelty: npt.NDArray[np.float32]


class Predictor:
    """Predicts cells block by block and keeps what the stage of each sample needs, in flat memory.

    Parameters
    ----------
    bundle
        The bundle.
    device
        "auto", "cpu" or "cuda".
    n_samples
        Samples of the run.

    Raises
    ------
    UsageError
        If a CUDA device is asked for and there is none.
    """

    def __init__(self, bundle: Bundle, *, device: str, n_samples: int) -> None:
        self.device = choose_device(device)
        self.network = bundle.network.to(self.device).eval()
        self.tree = LabelTree(bundle.ontology).to(self.device)
        self.novelty = bundle.novelty.to(self.device)
        self.temperatures = bundle.temperatures.to(self.device)
        head = self.network.stage_head
        self._pool = head.empty(n_samples) if head is not None else None

    @torch.inference_mode()
    def predict(self, batch: CellBatch) -> CellPredictions:
        """Predict a block of cells and add them to their samples."""
        batch = CellBatch(*(part.to(self.device) for part in batch))
        latent, logits = self.network(batch)
        latent, logits = latent.float(), logits.float()
        counted = batch.library_size > 0
        head = self.network.stage_head
        if head is not None and self._pool is not None:
            self._pool = head.pool(self._pool, latent[counted], logits[counted].softmax(dim=1), batch.sample[counted])
        probabilities = self.tree.leaf_probabilities(logits, self.temperatures) * counted[:, None]
        novelty = self.novelty(latent, logits).masked_fill(~counted, torch.nan)
        return CellPredictions(latent.cpu().numpy(), probabilities.cpu().numpy(), novelty.cpu().numpy())

    @torch.inference_mode()
    def stage_probabilities(self) -> npt.NDArray[np.float64] | None:
        """Return the probability of each stage level, float64 `[n_samples, n_levels]`; NaN for samples without counts.

        None where the bundle has no stage head.
        """
        head = self.network.stage_head
        if head is None or self._pool is None:
            return None
        seen = self._pool.n_cells > 0
        probabilities = level_probabilities(head(PoolState(*(part[seen] for part in self._pool)))).double()
        result = np.full((len(seen), probabilities.shape[1]), np.nan)
        result[seen.cpu().numpy()] = probabilities.cpu().numpy()
        return result


def choose_device(wanted: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda"."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UsageError("device cuda needs a CUDA device", got="none", where="--device", fix="Use --device cpu.")
    return torch.device("cuda" if wanted == "cuda" or (wanted == "auto" and available) else "cpu")
