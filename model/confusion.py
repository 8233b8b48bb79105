"""How cells of held-out donors are read at several depths, added up batch by batch in flat memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

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
    """Sums of probabilities by donor, depth and true class; 50 KB for each donor that has labelled cells.

    Parameters
    ----------
    ontology
        Label tree.
    classes
        int64 `[n_classes]`, nodes of which none lies below another.
    among
        Node that the classes lie below, if probabilities are those among it: a cell that is sure to be none counts as
        evenly any of them.
    """

    def __init__(self, ontology: CellOntology, classes: npt.NDArray[np.int64], among: int | None = None) -> None:
        self._classes, self._among = classes, among
        self._class_of = np.append(_class_of_nodes(ontology, classes), UNLABELLED)  # what the label -1 picks
        self._shape = (N_DEPTHS, len(classes), len(classes) + 1)
        self._sums: dict[int, npt.NDArray[np.float64]] = {}  # of a donor: probabilities, and last the number of cells

    @classmethod
    def of_types(cls, ontology: CellOntology) -> ConfusionCount:
        """Return what counts types (level 2)."""
        return cls(ontology, ontology.nodes_at(TYPE_LEVEL))

    @classmethod
    def of_states(cls, ontology: CellOntology) -> ConfusionCount:
        """Return what counts neutrophil states, among neutrophils."""
        return cls(ontology, ontology.neutrophil_states, ontology.index_by_id[ontology.roles.neutrophil])

    def update(self, node: Tensor, label: Tensor, donor: Tensor, library_size: Tensor) -> None:
        """Add cells.

        Parameters
        ----------
        node
            float `[n_cells, n_nodes]`, calibrated probability of each node.
        label
            int64 `[n_cells]`, node index or UNLABELLED; cells count whose label says the class.
        donor
            int64 `[n_cells]`.
        library_size
            float32 `[n_cells]`, UMI over all genes.
        """
        kind, depth, of_donor = self._class_of[label.numpy()], depth_of(library_size.numpy()), donor.numpy()
        said = node.numpy()[:, self._classes].astype(np.float64)
        if self._among is not None:
            whole = node.numpy()[:, [self._among]].astype(np.float64)
            said = np.divide(said, whole, out=np.full_like(said, 1 / max(1, said.shape[1])), where=whole > 0)
        said = np.pad(said, ((0, 0), (0, 1)), constant_values=1.0)
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


def _class_of_nodes(ontology: CellOntology, classes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the position of the class that each node is or lies below, int64 `[n_nodes]`; -1 = none."""
    position = {int(node): place for place, node in enumerate(classes)}
    found = np.full(len(ontology.nodes), UNLABELLED)
    for start in range(len(found)):
        node = start
        while node >= 0 and node not in position:
            node = int(ontology.parents[node])
        found[start] = position.get(node, UNLABELLED)
    return found


class Confusions(NamedTuple):
    """How cells were read.

    Attributes
    ----------
    types
        Of all types (level 2).
    states
        Of neutrophil states, among neutrophils.
    """

    types: Confusion
    states: Confusion


@torch.no_grad()
def read_confusion(
    network: Network, temperatures: Tensor, ontology: CellOntology, batches: Iterable[CellBatch], donor: Tensor
) -> Confusions:
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
    tree, droplets = LabelTree(ontology), DropletLabels(ontology)
    counts = (ConfusionCount.of_types(ontology), ConfusionCount.of_states(ontology))
    for batch in batches:
        for cells in (batch, *thinned_copies(batch, droplets)):
            node = tree.node_log_probabilities(network(cells).logits.float(), temperatures).exp()
            for count in counts:
                count.update(node, cells.cell_type, donor[cells.sample], cells.library_size)
    return Confusions(*(count.found() for count in counts))
