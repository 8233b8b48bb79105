"""A network trained anew on all donors takes over what another was found to need on donors held out from it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from model.bundle import Bundle
from model.calibrate import Batches, encoded
from model.calibration import MOST_CELLS
from model.confusion import read_confusion
from model.network import Network
from model.novelty import Novelty
from model.novelty_fit import carry_novelty
from schema.labels import TYPE_LEVEL


@torch.no_grad()
def carry_over(
    validated: Bundle, network: Network, *, training: Batches, held_out: Batches, all_cells: Batches, donor: Tensor
) -> Bundle:
    """Return the bundle of a network that was trained on all donors.

    As in cross-validated calibration with one final fit (scikit-learn's `CalibratedClassifierCV(ensemble=False)`):
    weight of the prior, temperatures, rules, checks and metrics are those of the validated network, which has seen
    fewer donors, so that they are a little modest. Only the novelty score needs this network's own latent vectors. How
    cells are mistaken is also read anew, on the same donors: the validated network, which has not seen them, errs too
    much for this one, and this one, which has, too little.

    Parameters
    ----------
    validated
        The bundle of the network that was trained without the held-out donors.
    network
        The network trained on all, in evaluation mode; its weight of the prior is written.
    training, held_out, all_cells
        Cells that the validated network was trained on, those held out from it, and those that this one was trained on.
    donor
        int64 `[n_samples]`, donor of each sample, numbered from 0.
    """
    network.cell_type_head.strength.copy_(validated.network.cell_type_head.strength)
    novelty = Novelty(
        n_nodes=len(validated.ontology.nodes),
        n_latent=network.encoder.n_latent,
        n_genes=len(network.encoder.gene_mean),
        n_types=len(validated.ontology.nodes_at(TYPE_LEVEL)),
    )
    before = encoded(validated.network, validated.novelty, training(MOST_CELLS))
    carry_novelty(novelty, encoded(network, novelty, all_cells(MOST_CELLS)), validated.novelty, before)
    again = read_confusion(network, validated.temperatures, validated.ontology, held_out(None), donor)
    return replace(
        validated,
        network=network,
        novelty=novelty.eval(),
        confusion=validated.confusion.and_also(again.types),
        state_confusion=validated.state_confusion.and_also(again.states),
        digest="",
    )
