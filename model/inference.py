"""A bundle at work: batches of raw counts to calibrated probabilities, and to the stage of each sample."""

from __future__ import annotations

import logging
from collections.abc import Iterator
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

logger = logging.getLogger(__name__)


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


class Cells(NamedTuple):
    """What the network says of some cells, on its device: the novelty score `[n_cells]`, and what the stage needs."""

    novelty: Tensor
    cells: PredictedCells


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
        self._most_cells: int | None = None

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
        for part, found in self._within_memory(batch, rows):
            latent[part], probabilities[part] = found.cells.latent, found.cells.probabilities
            novelty[part] = found.novelty
            if self.staging is not None and self._stage is not None:
                self._stage = self.staging.add(self._stage, found.cells)
        return CellPredictions(latent.cpu().numpy(), probabilities.cpu().numpy(), novelty.cpu().numpy())

    def _within_memory(self, batch: CellBatch, rows: Tensor) -> Iterator[tuple[Tensor, Cells]]:
        """Yield what is said of rows, in pieces that the memory of the device allows: halves, where it does not."""
        waiting = [rows] if len(rows) else []
        while waiting:
            piece = waiting.pop()
            if self._most_cells is not None and len(piece) > self._most_cells:
                waiting += list(torch.split(piece, self._most_cells))[::-1]
                continue
            try:
                found = self._predict(batch if len(piece) == batch.n_cells else batch.of_rows(piece))
            except torch.OutOfMemoryError:
                if len(piece) == 1:
                    raise
                self._most_cells = -(-len(piece) // 2)
                text = "The device has too little memory for %d cells at once: %d are taken"
                logger.warning(text, len(piece), self._most_cells)
                waiting.append(piece)
                torch.cuda.empty_cache()
            else:
                yield piece, found

    def _predict(self, batch: CellBatch) -> Cells:
        """Return what is said of cells with counts; nothing is kept of them, so that it may be tried again."""
        hidden = self._hidden(batch)
        latent = self.network.encoder.after_first(hidden)
        logits = self.network.cell_type_head(latent).float()
        latent = latent.float()
        probabilities = self.tree.leaf_probabilities(logits, self.temperatures)
        misfit = self.novelty.profiles(*self.novelty.profiles.divergences(batch))
        novelty = self.novelty(latent, logits, misfit)
        about = (batch.sample, batch.row, batch.library_size)
        return Cells(novelty, PredictedCells(*about, hidden.float(), latent, probabilities))

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
