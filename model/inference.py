"""A bundle at work: batches of raw counts to calibrated probabilities, and to the stage of each sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.bundle import Bundle
from model.heads import level_probabilities
from model.network import CellOutput
from model.pooling import PoolState
from model.sparse_first import SparseFirstLayer
from model.tree import LabelTree
from schema.batch import CellBatch
from schema.errors import UsageError
from schema.labels import TYPE_LEVEL


class CellPredictions(NamedTuple):
    """What a bundle says of a block of cells.

    Attributes
    ----------
    latent
        float32 `[n_cells, n_latent]`; all zero for cells that were left out.
    probabilities
        float32 `[n_cells, n_leaves]`, calibrated, rows sum to 1; all zero for cells that were left out.
    novelty
        float32 `[n_cells]`, novelty score (see `model.novelty`); NaN for cells that were left out.
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
    stage_without_ambient
        Whether cells called ambient are kept out of the stage of their sample.

    Raises
    ------
    UsageError
        If a CUDA device is asked for and there is none.
    """

    def __init__(self, bundle: Bundle, *, device: str, n_samples: int, stage_without_ambient: bool = False) -> None:
        self.device = choose_device(device)
        self.network = bundle.network.to(self.device).eval()
        encoder = self.network.encoder
        self._first = SparseFirstLayer(encoder) if SparseFirstLayer.suits(encoder) else None
        self.tree = LabelTree(bundle.ontology).to(self.device)
        self.novelty = bundle.novelty.to(self.device)
        self.temperatures = bundle.temperatures.to(self.device)
        head = self.network.stage_head
        self._pool = head.empty(n_samples) if head is not None else None
        self._n_latent = encoder.n_latent
        types, ambient = bundle.ontology.nodes_at(TYPE_LEVEL), bundle.ontology.ambient_type
        self._of_type = torch.from_numpy(bundle.ontology.leaves_below[types].T).float().to(self.device)
        self._left_out = torch.from_numpy((types == ambient) & stage_without_ambient).to(self.device)

    @torch.inference_mode()
    def predict(self, batch: CellBatch, left_out: npt.NDArray[np.bool_] | None = None) -> CellPredictions:
        """Predict a block of cells and add them to their samples.

        Parameters
        ----------
        batch
            The cells.
        left_out
            bool `[n_cells]`, cells that the network is not asked about and that are in no sample's stage; cells without
            any count never are. Only the others cost time.
        """
        batch = CellBatch(*(part.to(self.device) for part in batch))
        asked = batch.library_size > 0
        if left_out is not None:
            asked &= ~torch.from_numpy(left_out).to(self.device)
        rows = asked.nonzero()[:, 0]
        latent = torch.zeros(batch.n_cells, self._n_latent, device=self.device)
        probabilities = torch.zeros(batch.n_cells, self._of_type.shape[0], device=self.device)
        novelty = torch.full((batch.n_cells,), torch.nan, device=self.device)
        if len(rows):
            part = batch if len(rows) == batch.n_cells else batch.of_rows(rows)
            latent[rows], probabilities[rows], novelty[rows] = self._predict(part)
        return CellPredictions(latent.cpu().numpy(), probabilities.cpu().numpy(), novelty.cpu().numpy())

    def _predict(self, batch: CellBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return latent, calibrated probabilities and novelty of cells with counts; add them to their samples."""
        latent, logits = self._encode(batch)
        latent, logits = latent.float(), logits.float()
        probabilities = self.tree.leaf_probabilities(logits, self.temperatures)
        head = self.network.stage_head
        if head is not None and self._pool is not None:
            kept = ~self._left_out[(probabilities @ self._of_type).argmax(dim=1)]
            self._pool = head.pool(self._pool, latent[kept], logits[kept].softmax(dim=1), batch.sample[kept])
        misfit = self.novelty.profiles(*self.novelty.profiles.divergences(batch))
        return latent, probabilities, self.novelty(latent, logits, misfit)

    def _encode(self, batch: CellBatch) -> CellOutput:
        """Return latent and logits, on a CPU without a dense matrix of all genes."""
        if self._first is None:
            return self.network(batch)  # type: ignore[no-any-return]
        latent = self.network.encoder.after_first(self._first(batch))
        return CellOutput(latent, self.network.cell_type_head(latent))

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
