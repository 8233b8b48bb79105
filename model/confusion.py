"""How cells of held-out donors are read at several depths, added up batch by batch in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.droplets import DropletLabels
from model.network import Network
from model.preprocess import thin
from model.tree import LabelTree
from schema.batch import CellBatch
from schema.confusion import Confusion
from schema.depths import N_DEPTHS, depth_of
from schema.labels import TYPE_LEVEL, UNLABELLED, CellOntology

N_THINNED = 5
"""Times that each held-out cell is thinned, so that every type is seen at every depth."""
THIN_LEAST, THIN_FLOOR = 0.04, 100.0
"""Lowest share of its counts that a thinned cell keeps, and UMI below which none is thinned."""
_SEED = 0


def thinned_copies(batch: CellBatch, droplets: DropletLabels) -> Iterator[CellBatch]:
    """Yield a batch thinned several times, the same each time it is asked; what may be no single cell loses its label.

    A doublet of few UMI is told from a cell by nothing, and a composition that may hold such explains whatever is said.
    """
    is_technical = droplets.is_technical[batch.cell_type]
    label = batch.cell_type.masked_fill(is_technical, UNLABELLED)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        for _ in range(N_THINNED):
            yield thin(batch, ~is_technical, least=THIN_LEAST, floor=THIN_FLOOR)._replace(cell_type=label)


class ConfusionCount:
    """Sums of probabilities by donor, depth and true type; 50 KB for each donor that has labelled cells.

    Parameters
    ----------
    ontology
        Label tree.
    """

    def __init__(self, ontology: CellOntology) -> None:
        types = ontology.nodes_at(TYPE_LEVEL)
        position = np.full(len(ontology.nodes) + 1, UNLABELLED)
        position[types] = np.arange(len(types))
        ancestor = np.append(ontology.ancestor_at(TYPE_LEVEL), UNLABELLED)  # what the label -1 picks
        self._types, self._type_of = types, position[ancestor]
        self._shape = (N_DEPTHS, len(types), len(types) + 1)
        self._sums: dict[int, npt.NDArray[np.float64]] = {}  # of a donor: probabilities, and last the number of cells

    def update(self, node: Tensor, label: Tensor, donor: Tensor, library_size: Tensor) -> None:
        """Add cells.

        Parameters
        ----------
        node
            float `[n_cells, n_nodes]`, calibrated probability of each node.
        label
            int64 `[n_cells]`, node index or UNLABELLED; cells count whose label says the type.
        donor
            int64 `[n_cells]`.
        library_size
            float32 `[n_cells]`, UMI over all genes.
        """
        kind, depth, of_donor = self._type_of[label.numpy()], depth_of(library_size.numpy()), donor.numpy()
        said = np.pad(node.numpy()[:, self._types].astype(np.float64), ((0, 0), (0, 1)), constant_values=1.0)
        for one in np.unique(of_donor[kind != UNLABELLED]).tolist():
            rows = (of_donor == one) & (kind != UNLABELLED)
            np.add.at(self._sums.setdefault(one, np.zeros(self._shape)), (depth[rows], kind[rows]), said[rows])

    def found(self) -> Confusion:
        """Return the means, of donors that have labelled cells."""
        donors = sorted(self._sums)
        sums = np.stack([self._sums[one] for one in donors]) if donors else np.zeros((0, *self._shape))
        mean = sums[..., :-1] / np.maximum(sums[..., -1:], 1)
        cells = sums[..., -1].astype(np.int64)
        return Confusion(np.array(donors, dtype=np.int64), cells, np.clip(mean, 0, 1).astype(np.float32))


@torch.no_grad()
def read_confusion(
    network: Network, temperatures: Tensor, ontology: CellOntology, batches: Iterable[CellBatch], donor: Tensor
) -> Confusion:
    """Return how a network reads cells as they are, and thinned.

    Parameters
    ----------
    network, temperatures, ontology
        The network in evaluation mode, its temperatures and its label tree.
    batches
        Cells of held-out donors.
    donor
        int64 `[n_samples]`, donor of each sample, numbered from 0.
    """
    tree, droplets, found = LabelTree(ontology), DropletLabels(ontology), ConfusionCount(ontology)
    for batch in batches:
        for cells in (batch, *thinned_copies(batch, droplets)):
            node = tree.node_log_probabilities(network(cells).logits.float(), temperatures).exp()
            found.update(node, cells.cell_type, donor[cells.sample], cells.library_size)
    return found.found()
