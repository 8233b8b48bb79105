"""The bundle: a folder that predicts anywhere and runs no code; strict when it is read."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model.encoder import EncoderConfig
from model.network import Network, NetworkConfig
from model.novelty import Novelty
from model.stage_support import StageSupport
from model.staging import Staging, StagingShape
from schema.calls import CallRules
from schema.confusion import Confusion, DetectionLimit
from schema.errors import BundleError, NeutrostageError, OutputError
from schema.genes import GeneVocabulary
from schema.labels import TYPE_LEVEL, CellOntology
from schema.outputs import drafting
from schema.predictions import STAGE_OUTPUTS
from schema.stages import StageScale

FORMAT = 6
WEIGHTS, DESCRIPTION, GENES = "weights.safetensors", "bundle.json", "genes.tsv"
_KEYS = {
    "format",
    "network",
    "ontology",
    "stage_scale",
    "staging",
    "genes",
    "temperatures",
    "rules",
    "detection_limit",
    "training_labels",
    "made_labels",
    "training_prior",
    "metrics",
    "checks",
    "provenance",
    "files",
}
_MAX_JSON_BYTES = 50_000_000
_NOVELTY, _STAGING = "novelty.", "staging."
_CONFUSION, _STATE_CONFUSION = "confusion.", "state_confusion."
"""Beginnings of the names of the tensors of the novelty score, the stage and the confusions among the weights."""


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
        weights = bundle.network.state_dict() | bundle.novelty.state_dict(prefix=_NOVELTY)
        for start, part in ((_CONFUSION, bundle.confusion), (_STATE_CONFUSION, bundle.state_confusion)):
            weights |= {start + name: torch.from_numpy(values) for name, values in vars(part).items()}
        weights |= bundle.staging.state_dict(prefix=_STAGING) if bundle.staging is not None else {}
        save_file({name: value.detach().cpu().contiguous() for name, value in weights.items()}, new.path / WEIGHTS)
        (new.path / GENES).write_text(bundle.vocabulary.to_tsv(), encoding="utf-8")
        (new.path / DESCRIPTION).write_text(json.dumps(_describe(bundle, new.path), indent=1), encoding="utf-8")
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
    content = _read_description(folder)
    for name, digest in content["files"].items():
        if name not in (WEIGHTS, GENES) or _sha256(_file(folder, name)) != digest:
            raise _broken(name, "a file that differs from its recorded sha256")
    if set(content["files"]) != {WEIGHTS, GENES}:
        raise _broken(DESCRIPTION, "a wrong list of files")
    try:
        return _assemble(folder, content)
    except BundleError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError, NeutrostageError) as error:
        raise _broken(DESCRIPTION, f"{type(error).__name__}: {str(error).splitlines()[0]}") from error


def _confusion(weights: dict[str, Tensor], start: str, n_classes: int) -> Confusion:
    """Take a confusion out of the weights."""
    found = Confusion(**{name: value.numpy() for name, value in _taken(weights, start).items()})
    if found.cells.shape[-1] != n_classes:
        raise _broken(WEIGHTS, f"a {start.rstrip('.').replace('_', ' ')} that does not fit the label tree")
    return found


def _describe(bundle: Bundle, draft: Path) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "network": asdict(bundle.config),
        "ontology": bundle.ontology.to_dict(),
        "stage_scale": bundle.scale.to_dict() if bundle.scale else None,
        "staging": _describe_staging(bundle),
        "genes": {"n_genes": bundle.vocabulary.n_genes, "digest": bundle.vocabulary.digest},
        "temperatures": bundle.temperatures.tolist(),
        "rules": _finite_or_none(asdict(bundle.rules)),
        "detection_limit": asdict(bundle.detection_limit) if bundle.detection_limit else None,
        "training_labels": dict(bundle.training_labels),
        "made_labels": list(bundle.made_labels),
        "training_prior": dict(zip(_leaf_ids(bundle.ontology), bundle.training_prior.tolist(), strict=True)),
        "metrics": dict(bundle.metrics),
        "checks": _finite_or_none(dict(bundle.checks)),
        "provenance": dict(bundle.provenance),
        "files": {name: _sha256(draft / name) for name in (WEIGHTS, GENES)},
    }


def _describe_staging(bundle: Bundle) -> dict[str, Any] | None:
    if bundle.staging is None or bundle.stage_support is None:
        return None
    support = {output: _finite_or_none(asdict(of)) for output, of in bundle.stage_support.items()}
    return {"shape": asdict(bundle.staging.shape), "support": support}


def _read_description(folder: Path) -> dict[str, Any]:
    path = _file(folder, DESCRIPTION)
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise _broken(DESCRIPTION, f"{path.stat().st_size} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _broken(DESCRIPTION, "text that is not JSON") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise BundleError(
            f"this program reads bundles of format {FORMAT}",
            got=f"format {found!r}",
            where=f"{folder.name}/{DESCRIPTION}",
            fix="Use the program version that wrote it, or train again.",
        )
    if set(content) != _KEYS:
        raise _broken(DESCRIPTION, f"keys that differ: {', '.join(sorted(set(content) ^ _KEYS))}")
    return dict(content)


def _assemble(folder: Path, content: dict[str, Any]) -> Bundle:
    ontology = CellOntology.from_dict(content["ontology"])
    scale = StageScale.from_dict(content["stage_scale"]) if content["stage_scale"] else None
    vocabulary = GeneVocabulary.from_tsv(folder / GENES)
    if vocabulary.digest != content["genes"]["digest"]:
        raise _broken(GENES, "genes that differ from the recorded digest")
    config = NetworkConfig(encoder=EncoderConfig(**content["network"]["encoder"]))
    network = Network(
        n_genes=vocabulary.n_genes,
        n_leaves=len(ontology.leaves),
        config=config,
    )
    weights = load_file(folder / WEIGHTS)
    bad = [name for name, value in weights.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise _broken(WEIGHTS, f"values that are not finite in {bad[0]}")
    novelty = Novelty(
        n_nodes=len(ontology.nodes),
        n_latent=network.encoder.n_latent,
        n_genes=vocabulary.n_genes,
        n_types=len(ontology.nodes_at(TYPE_LEVEL)),
    )
    _fill(novelty, _taken(weights, _NOVELTY), "novelty score")
    confusion = _confusion(weights, _CONFUSION, len(ontology.nodes_at(TYPE_LEVEL)))
    state_confusion = _confusion(weights, _STATE_CONFUSION, len(ontology.neutrophil_states))
    staging = _new_staging(content["staging"], ontology, network, scale)
    of_staging = _taken(weights, _STAGING)
    if staging is not None:
        _fill(staging, of_staging, "stage")
    elif of_staging:
        raise _broken(WEIGHTS, f"{next(iter(of_staging))} of a stage that {DESCRIPTION} does not have")
    _fill(network, weights, "network")
    temperatures = torch.tensor(content["temperatures"], dtype=torch.float32)
    if temperatures.shape != (int(ontology.levels.max()),) or not bool((temperatures > 0).all()):
        raise _broken(DESCRIPTION, "temperatures that do not fit the label tree")
    prior = torch.tensor([float(content["training_prior"].get(i, "nan")) for i in _leaf_ids(ontology)])
    if (
        len(content["training_prior"]) != len(prior)
        or not bool((prior > 0).all())
        or abs(float(prior.sum()) - 1) > 1e-3
    ):
        raise _broken(DESCRIPTION, "a training prior that does not fit the label tree")
    return Bundle(
        network=network.eval(),
        config=config,
        ontology=ontology,
        scale=scale,
        vocabulary=vocabulary,
        temperatures=temperatures,
        novelty=novelty.eval(),
        rules=CallRules(**{k: math.inf if v is None else float(v) for k, v in content["rules"].items()}),
        confusion=confusion,
        state_confusion=state_confusion,
        detection_limit=DetectionLimit(**content["detection_limit"]) if content["detection_limit"] else None,
        training_labels={str(k): int(v) for k, v in content["training_labels"].items()},
        staging=staging.eval() if staging is not None else None,
        stage_support=_stage_support(content["staging"]["support"]) if content["staging"] else None,
        made_labels=tuple(str(name) for name in content["made_labels"]),
        training_prior=prior,
        metrics={str(k): float(v) for k, v in content["metrics"].items()},
        checks={str(k): [dict(row) for row in v] for k, v in content["checks"].items()},
        provenance=dict(content["provenance"]),
        digest=_sha256(folder / DESCRIPTION),
    )


def _new_staging(
    content: dict[str, Any] | None, ontology: CellOntology, network: Network, scale: StageScale | None
) -> Staging | None:
    if content is None or scale is None:
        return None
    encoder = network.encoder
    sizes = {"n_hidden": encoder.first.out_features, "n_latent": encoder.n_latent, "n_levels": len(scale.levels)}
    return Staging(ontology, StagingShape.from_dict(content["shape"]), **sizes)


def _stage_support(content: dict[str, Any]) -> dict[str, StageSupport]:
    return {output: StageSupport.from_dict(content[output]) for output in STAGE_OUTPUTS}


def _taken(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take the tensors of a prefix out of all, and return them without it."""
    return {name.removeprefix(prefix): weights.pop(name) for name in list(weights) if name.startswith(prefix)}


def _fill(module: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    """Put tensors into a module that has the same names and shapes."""
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    if odd := sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)):
        key = odd[0]
        got = f"{key} of the {name} as {found.get(key, 'nothing')} where {expected.get(key, 'nothing')} belongs"
        raise _broken(WEIGHTS, got)
    module.load_state_dict(tensors)


def _finite_or_none(value: Any) -> Any:
    """Return nested values as JSON can hold them: no NaN, no infinity."""
    if isinstance(value, dict):
        return {key: _finite_or_none(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite_or_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _leaf_ids(ontology: CellOntology) -> list[str]:
    return [ontology.nodes[leaf].id for leaf in ontology.leaves]


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file() or path.is_symlink():
        raise _broken(name, "no such file", folder.name)
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _broken(name: str, got: str, folder: str = "the bundle") -> BundleError:
    return BundleError(
        "a bundle is whole and unchanged",
        got=got,
        where=f"{folder}, {name}",
        fix="Copy the bundle again or train anew.",
    )
