"""Droplets as a label tree tells them apart: whole cells, doublets, ambient RNA; and what a made droplet is called."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from schema.labels import TYPE_LEVEL, UNLABELLED, CellOntology


class DropletLabels(nn.Module):
    """What each label says of a droplet, by the tree's roles; the last entry of a table is what UNLABELLED picks.

    Attributes
    ----------
    part_type
        int64 `[n_nodes + 1]`, type (level 2) of the one whole cell that a label names; -1 for droplets that are not one
        cell, labels above a type, and UNLABELLED.
    is_technical
        bool `[n_nodes + 1]`, whether a label may mean ambient RNA alone or a doublet.
    is_neutrophil, is_malignant
        bool `[n_nodes + 1]`, whether a label stands at or below that role.
    ambient
        Node of droplets with ambient RNA alone; UNLABELLED where the tree has none.
    pair, other_pair
        Node of neutrophil x malignant doublets and of others; UNLABELLED where the tree knows no doublets.
    """

    part_type: Tensor
    is_technical: Tensor
    is_neutrophil: Tensor
    is_malignant: Tensor

    def __init__(self, ontology: CellOntology) -> None:
        super().__init__()
        roles = ontology.roles
        named = [name for name in (roles.ambient, roles.doublet, roles.neutrophil_malignant_doublet) if name]
        technical = (ontology.leaves_below & ontology.below(*named)).any(axis=1)
        part_type = np.where(technical, UNLABELLED, ontology.ancestor_at(TYPE_LEVEL))
        self.register_buffer("part_type", torch.from_numpy(np.append(part_type, UNLABELLED)), persistent=False)
        for name, table in (
            ("is_technical", technical),
            ("is_neutrophil", ontology.inside(roles.neutrophil)),
            ("is_malignant", ontology.inside(roles.malignant)),
        ):
            self.register_buffer(name, torch.from_numpy(np.pad(table, (0, 1))), persistent=False)
        node = ontology.index_by_id
        other = roles.other_doublet or roles.doublet
        self.ambient = node[roles.ambient] if roles.ambient else UNLABELLED
        self.other_pair = node[other] if roles.doublet and other else UNLABELLED
        pair = roles.neutrophil_malignant_doublet or other
        self.pair = node[pair] if roles.doublet and pair else UNLABELLED
