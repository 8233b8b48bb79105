"""A bundle at work: batches of raw counts to calibrated probabilities, and to the stage of each sample."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.bundle import Bundle
from model.preprocess import to_dense
from model.sparse_first import SparseFirstLayer
from model.stage_output import StageFound
from model.staging import PredictedCells
from model.tree import LabelTree
from schema.batch import CellBatch
from schema.errors import UsageError


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

    Raises
    ------
    UsageError
        If a CUDA device is asked for and there is none.
    """

    def __init__(self, bundle: Bundle, *, device: str, n_samples: int) -> None:
        self.device = choose_device(device)
        self.network = bundle.network.to(self.device).eval()
        encoder = self.network.encoder
        self._first = SparseFirstLayer(encoder) if SparseFirstLayer.suits(encoder) else None
        self.tree = LabelTree(bundle.ontology).to(self.device)
        self.novelty = bundle.novelty.to(self.device)
        self.temperatures = bundle.temperatures.to(self.device)
        self.staging = bundle.staging.to(self.device) if bundle.staging is not None else None
        self._stage = self.staging.empty(n_samples) if self.staging is not None else None
        self._n_latent = encoder.n_latent

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
        probabilities = torch.zeros(batch.n_cells, self.network.cell_type_head.n_leaves, device=self.device)
        novelty = torch.full((batch.n_cells,), torch.nan, device=self.device)
        if len(rows):
            part = batch if len(rows) == batch.n_cells else batch.of_rows(rows)
            latent[rows], probabilities[rows], novelty[rows] = self._predict(part)
        return CellPredictions(latent.cpu().numpy(), probabilities.cpu().numpy(), novelty.cpu().numpy())

    def _predict(self, batch: CellBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Return latent, calibrated probabilities and novelty of cells with counts; add them to their samples."""
        hidden = self._hidden(batch)
        latent = self.network.encoder.after_first(hidden)
        logits = self.network.cell_type_head(latent).float()
        latent = latent.float()
        probabilities = self.tree.leaf_probabilities(logits, self.temperatures)
        if self.staging is not None and self._stage is not None:
            about = (batch.sample, batch.row, batch.library_size)
            self._stage = self.staging.add(self._stage, PredictedCells(*about, hidden.float(), latent, probabilities))
        misfit = self.novelty.profiles(*self.novelty.profiles.divergences(batch))
        return latent, probabilities, self.novelty(latent, logits, misfit)

    def _hidden(self, batch: CellBatch) -> Tensor:
        """Return what the first layer makes of cells, on a CPU without a dense matrix of all genes."""
        if self._first is None:
            return self.network.encoder.hidden(to_dense(batch), batch.present, batch.file)
        return self._first(batch)

    def stages(self) -> dict[str, StageFound] | None:
        """Return what is said of the stage of each sample, by output of `schema.predictions.STAGE_OUTPUTS`.

        None where the bundle says nothing.
        """
        if self.staging is None or self._stage is None:
            return None
        return self.staging(self._stage)  # type: ignore[no-any-return]


def choose_device(wanted: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda"."""
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UsageError("device cuda needs a CUDA device", got="none", where="--device", fix="Use --device cpu.")
    return torch.device("cuda" if wanted == "cuda" or (wanted == "auto" and available) else "cpu")
