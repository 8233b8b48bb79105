"""The bundle: a folder that predicts anywhere and runs no code; strict when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor

from model.bundle_files import DESCRIPTION, FORMAT, GENES, WEIGHTS, finite_or_none, read_description, sha256
from model.bundle_parts import CONFUSION, NOVELTY, STAGING, STATE_CONFUSION, BundleParts
from model.network import Network, NetworkConfig
from model.novelty import Novelty
from model.stage_support import StageSupport
from model.staging import Staging
from schema.calls import CallRules
from schema.confusion import Confusion, DetectionLimit
from schema.errors import OutputError
from schema.genes import GeneVocabulary
from schema.labels import TYPE_LEVEL, CellOntology
from schema.outputs import drafting
from schema.stages import StageScale


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """All that a prediction needs.

    Attributes
    ----------
    network, config
        The network and the configuration that shaped it.
    ontology, scale, vocabulary
        Label tree, stage scale (None = no stage was asked for) and genes.
    staging, stage_support
        What predicts the stage of samples, and, by output, whether the training data support one; None where none was
        learnt.
    temperatures
        float32 `[n_levels]`, one per level of the label tree.
    novelty
        The novelty score.
    rules
        When a cell gets a label.
    confusion, state_confusion
        How cells of the donors of the calibration were read: types, and neutrophil states among neutrophils; without
        any donor where there were none.
    detection_limit
        Limit of detection of the burden; None where there were too few donors for one.
    training_labels
        Node id to number of training cells labelled with it.
    made_labels
        Ids of nodes of which training cells were made: doublets, ambient droplets.
    training_prior
        float `[n_leaves]`, > 0, summing to 1: the prior of the leaves that the probabilities imply.
    metrics
        Name to value, on the validation donors.
    checks
        Rows behind them: "reliability" by level of the label tree, "back_off" by threshold, "novelty" by type left out.
    provenance
        Seed, versions, git commit, resolved config and fingerprints of the data.
    digest
        SHA-256 of bundle.json; "" before it is saved.
    """

    network: Network
    config: NetworkConfig
    ontology: CellOntology
    scale: StageScale | None
    vocabulary: GeneVocabulary
    temperatures: Tensor
    novelty: Novelty
    rules: CallRules
    confusion: Confusion
    state_confusion: Confusion
    training_labels: Mapping[str, int]
    training_prior: Tensor
    metrics: Mapping[str, float]
    checks: Mapping[str, list[dict[str, Any]]]
    provenance: Mapping[str, Any]
    staging: Staging | None = None
    stage_support: Mapping[str, StageSupport] | None = None
    made_labels: tuple[str, ...] = ()
    detection_limit: DetectionLimit | None = None
    digest: str = field(default="")

    @property
    def is_calibrated(self) -> bool:
        """Whether there were held-out donors to fit temperatures and error rates on."""
        return self.confusion.n_donors > 0

    @property
    def call_prior(self) -> npt.NDArray[np.float32]:
        """How common each leaf was in training, float32 `[n_leaves]`, > 0; leaves never seen stand at the mean."""
        prior: npt.NDArray[np.float32] = self.network.cell_type_head.log_prior.exp().cpu().numpy()
        return prior

    @property
    def knows_neutrophils(self) -> bool:
        """Whether any training cell was labelled at or below neutrophil."""
        return self._knows(self.ontology.roles.neutrophil)

    @property
    def knows_ambient(self) -> bool:
        """Whether any training cell was labelled, or made, a droplet of ambient RNA."""
        ambient = self.ontology.roles.ambient
        return ambient is not None and (ambient in self.made_labels or self._knows(ambient))

    def _knows(self, node: str) -> bool:
        below, at = self.ontology.below(node), self.ontology.index_by_id
        inside = {i for i in self.training_labels if not (self.ontology.leaves_below[at[i]] & ~below).any()}
        return sum(self.training_labels[i] for i in inside) > 0


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle; the folder appears whole or not at all.

    Raises
    ------
    OutputError
        If the folder exists.
    """
    with drafting(folder, partial(_claim_new, folder)) as new:
        weights = bundle.network.state_dict() | bundle.novelty.state_dict(prefix=NOVELTY)
        for start, part in ((CONFUSION, bundle.confusion), (STATE_CONFUSION, bundle.state_confusion)):
            weights |= {start + name: torch.from_numpy(values) for name, values in vars(part).items()}
        weights |= bundle.staging.state_dict(prefix=STAGING) if bundle.staging is not None else {}
        save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, new.path / WEIGHTS)
        (new.path / GENES).write_text(bundle.vocabulary.to_tsv(), encoding="utf-8")
        description = json.dumps(_describe(bundle, new.path), indent=1, allow_nan=False)
        (new.path / DESCRIPTION).write_text(description, encoding="utf-8")
        new.publish((WEIGHTS, GENES, DESCRIPTION))


def _claim_new(folder: Path) -> None:
    if folder.exists():
        raise OutputError(
            "a bundle is never overwritten", got="an existing folder", where=folder.name, fix="Choose another."
        )


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle and refuse whatever does not fit.

    Raises
    ------
    BundleError
        Naming the file at fault: missing, changed, of a newer format, of wrong shapes or with values that are not
        finite.
    """
    content = read_description(folder)
    parts = BundleParts(folder, content)
    network, config = parts.network()
    staging, support = parts.staging(network)
    training_labels, made_labels = parts.labels()
    metrics, checks, provenance = parts.records()
    return Bundle(
        network=network,
        config=config,
        ontology=parts.ontology,
        scale=parts.scale,
        vocabulary=parts.vocabulary,
        temperatures=parts.temperatures(),
        novelty=parts.novelty(network),
        rules=parts.rules(),
        confusion=parts.confusion(CONFUSION, len(parts.ontology.nodes_at(TYPE_LEVEL))),
        state_confusion=parts.confusion(STATE_CONFUSION, len(parts.ontology.neutrophil_states)),
        detection_limit=parts.detection_limit(),
        training_labels=training_labels,
        staging=staging,
        stage_support=support,
        made_labels=made_labels,
        training_prior=parts.prior(),
        metrics=metrics,
        checks=checks,
        provenance=provenance,
        digest=sha256(folder / DESCRIPTION),
    )


def _describe(bundle: Bundle, draft: Path) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "network": asdict(bundle.config),
        "ontology": bundle.ontology.to_dict(),
        "stage_scale": bundle.scale.to_dict() if bundle.scale else None,
        "staging": _describe_staging(bundle),
        "genes": {"n_genes": bundle.vocabulary.n_genes, "digest": bundle.vocabulary.digest},
        "temperatures": bundle.temperatures.tolist(),
        "rules": finite_or_none(asdict(bundle.rules)),
        "detection_limit": asdict(bundle.detection_limit) if bundle.detection_limit else None,
        "training_labels": dict(bundle.training_labels),
        "made_labels": list(bundle.made_labels),
        "training_prior": dict(zip(_leaf_ids(bundle.ontology), bundle.training_prior.tolist(), strict=True)),
        "metrics": finite_or_none(dict(bundle.metrics)),
        "checks": finite_or_none(dict(bundle.checks)),
        "provenance": finite_or_none(dict(bundle.provenance)),
        "files": {name: sha256(draft / name) for name in (WEIGHTS, GENES)},
    }


def _describe_staging(bundle: Bundle) -> dict[str, Any] | None:
    if bundle.staging is None or bundle.stage_support is None:
        return None
    support = {output: finite_or_none(asdict(of)) for output, of in bundle.stage_support.items()}
    return {"shape": asdict(bundle.staging.shape), "support": support}


def _leaf_ids(ontology: CellOntology) -> list[str]:
    return [ontology.nodes[leaf].id for leaf in ontology.leaves]
