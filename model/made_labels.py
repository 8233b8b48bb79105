"""How often each label is drawn where droplets are made, and what prior the probabilities then imply."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from model.augment import AugmentationConfig
from model.droplets import DropletLabels
from model.prior import leaf_cells
from schema.labels import UNLABELLED, CellOntology


def wanted_droplets(config: AugmentationConfig, label_counts: Tensor, ontology: CellOntology) -> AugmentationConfig:
    """Return the config with doublets and ambient droplets made only where training cells are labelled so.

    Parameters
    ----------
    config
        As it was given; with `unlabelled_droplets` it stays so.
    label_counts
        `[n_nodes]`, training cells labelled with each node.
    ontology
        Label tree.
    """
    if config.unlabelled_droplets:
        return config
    roles, below = ontology.roles, torch.from_numpy(ontology.leaves_below)

    def any_labelled(role: str | None) -> bool:
        if role is None:
            return False
        inside = ~(below & ~torch.from_numpy(ontology.below(role))).any(dim=1)
        return bool(label_counts[inside].sum() > 0)

    return replace(
        config,
        doublet_share=config.doublet_share if any_labelled(roles.doublet) else 0.0,
        ambient_share=config.ambient_share if any_labelled(roles.ambient) else 0.0,
    )


def drawn_with_made(drawn: Tensor, ontology: CellOntology, config: AugmentationConfig) -> Tensor:
    """Return how often each label is trained on once some cells are replaced by made droplets.

    Partners are taken as drawn from all cells of another type, though `make_doublets` prefers those of the same sample.

    Parameters
    ----------
    drawn
        `[n_nodes]`, how often each label is drawn, >= 0.
    ontology, config
        Label tree, and what is made.

    Returns
    -------
    Tensor
        float64 `[n_nodes]`, with the same sum; `drawn` as it is where nothing is made.
    """
    droplets, counts = DropletLabels(ontology), drawn.double()
    parts = torch.where(droplets.part_type[:-1] >= 0, counts, 0.0)
    made = torch.zeros_like(counts)
    if droplets.other_pair != UNLABELLED:
        n_pairs, n_others = _expected_pairs(parts, droplets, config)
        made[droplets.pair] += n_pairs
        made[droplets.other_pair] += n_others
    if droplets.ambient != UNLABELLED:
        made[droplets.ambient] += config.ambient_share * parts.sum()
    replaced = made.sum() / parts.sum().clamp_min(1e-9)
    return counts - replaced * parts + made


def made_labels(label_counts: Tensor, ontology: CellOntology, config: AugmentationConfig) -> tuple[str, ...]:
    """Return the ids of the nodes of which training cells are made, from `[n_nodes]` labelled training cells."""
    more = drawn_with_made(label_counts, ontology, config) > label_counts.double()
    return tuple(ontology.nodes[node].id for node in more.nonzero()[:, 0].tolist())


def implied_labels(label_counts: Tensor, ontology: CellOntology, config: AugmentationConfig) -> Tensor:
    """Return the training labels with the expected shares of made droplets that no training cell is labelled as.

    Where authors took doublets and empty droplets out, their labels say nothing of how common these are: then the
    prior is `expected_doublets` and `expected_ambient`, and the doublets are of either kind as often as they are made.

    Parameters
    ----------
    label_counts
        `[n_nodes]`, training cells labelled with each node, >= 0.
    ontology, config
        Label tree, and what is made.

    Returns
    -------
    Tensor
        float64 `[n_nodes]`.
    """
    droplets, counts = DropletLabels(ontology), label_counts.double().clone()
    seen = torch.from_numpy(ontology.leaves_below).double() @ leaf_cells(label_counts, ontology)
    made = drawn_with_made(counts, ontology, config) - counts
    of_doublets = made[[droplets.pair, droplets.other_pair]].clamp_min(0.0)
    kinds = [(droplets.ambient, config.expected_ambient)]
    if droplets.pair == droplets.other_pair:
        kinds += [(droplets.pair, config.expected_doublets)]
    else:
        split = of_doublets / of_doublets.sum().clamp_min(1e-9)
        kinds += [(droplets.pair, config.expected_doublets * float(split[0]))]
        kinds += [(droplets.other_pair, config.expected_doublets * float(split[1]))]
    stated = {node: share for node, share in kinds if node != UNLABELLED and made[node] > 0 and seen[node] == 0}
    total = counts.sum() / (1 - sum(stated.values()))
    for node, share in stated.items():
        counts[node] = share * total
    return counts


def _expected_pairs(parts: Tensor, droplets: DropletLabels, config: AugmentationConfig) -> tuple[Tensor, Tensor]:
    """Return how many neutrophil x malignant doublets and how many others are made of cells float64 `[n_nodes]`."""
    part_type = droplets.part_type[:-1]
    neutrophil, malignant = droplets.is_neutrophil[:-1], droplets.is_malignant[:-1]
    n_made, total = config.doublet_share * parts.sum(), parts.sum()
    n_pairs = torch.zeros_like(total)
    for first, second in ((neutrophil, malignant), (malignant, neutrophil)):
        if parts[second].sum() > 0:
            own_types = torch.isin(part_type, part_type[first])
            chance = parts[second].sum() / (total - parts[own_types].sum())
            n_pairs += parts[first].sum() * (config.contact_share + (1 - config.contact_share) * chance)
    n_pairs = config.doublet_share * n_pairs
    return n_pairs, n_made - n_pairs
