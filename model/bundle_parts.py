"""The parts of a bundle made from its files: each is checked against the others, and a fault names file and entry."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from model.bundle_files import DESCRIPTION, GENES, WEIGHTS, broken
from model.encoder import EncoderConfig
from model.network import Network, NetworkConfig
from model.novelty import Novelty
from model.stage_support import StageSupport
from model.staging import Staging, StagingShape
from schema.calls import CallRules
from schema.confusion import Confusion, DetectionLimit
from schema.errors import BundleError, NeutrostageError
from schema.genes import GeneVocabulary
from schema.labels import TYPE_LEVEL, CellOntology
from schema.orthologs import SPECIES
from schema.predictions import STAGE_OUTPUTS
from schema.stages import StageScale

NOVELTY, STAGING = "novelty.", "staging."
CONFUSION, STATE_CONFUSION = "confusion.", "state_confusion."
"""Beginnings of the names of the tensors of the novelty score, the stage and the confusions among the weights."""

_MAX_TEMPERATURE = 1_000.0
"""Far above any that calibration gives; with more, all types are alike."""


class BundleParts:
    """Makes the parts of a bundle one by one.

    Parameters
    ----------
    folder
        The bundle.
    content
        What its bundle.json says.

    Raises
    ------
    BundleError
        From each method, naming file and entry.
    """

    def __init__(self, folder: Path, content: Mapping[str, Any]) -> None:
        self._folder, self._content = folder, content
        with self._reading(DESCRIPTION, "ontology"):
            self.ontology = CellOntology.from_dict(content["ontology"])
        with self._reading(DESCRIPTION, "stage_scale"):
            self.scale = StageScale.from_dict(content["stage_scale"]) if content["stage_scale"] else None
        self.vocabulary = self._genes()
        self._weights = self._tensors()

    def network(self) -> tuple[Network, NetworkConfig]:
        """Return the network with its weights, and its configuration."""
        with self._reading(DESCRIPTION, "network"):
            shape = EncoderConfig(**self._content["network"]["encoder"])
            config = NetworkConfig(encoder=shape)
            least = self.vocabulary.n_genes * shape.n_hidden * shape.n_members + shape.n_blocks * shape.n_hidden**2
            held = sum(value.numel() for value in self._weights.values())
            if least > held:
                raise ValueError(f"a network of {least:,} weights or more, where there are {held:,}")
            network = Network(n_genes=self.vocabulary.n_genes, n_leaves=len(self.ontology.leaves), config=config)
        own = (NOVELTY, STAGING, CONFUSION, STATE_CONFUSION)
        self._fill(network, {k: v for k, v in self._weights.items() if not k.startswith(own)}, "network")
        return network.eval(), config

    def novelty(self, network: Network) -> Novelty:
        """Return the novelty score."""
        made = Novelty(
            n_nodes=len(self.ontology.nodes),
            n_latent=network.encoder.n_latent,
            n_genes=self.vocabulary.n_genes,
            n_types=len(self.ontology.nodes_at(TYPE_LEVEL)),
        )
        self._fill(made, self._named(NOVELTY), "novelty score")
        return made.eval()

    def confusion(self, prefix: str, n_classes: int) -> Confusion:
        """Return how cells of held-out donors were read, by the beginning of the names of its tensors."""
        with self._reading(WEIGHTS, prefix.rstrip(".")):
            made = Confusion(**{name: value.numpy() for name, value in self._named(prefix).items()})
            if made.cells.shape[-1] != n_classes:
                raise ValueError(f"{made.cells.shape[-1]} classes where the label tree has {n_classes}")
        return made

    def staging(self, network: Network) -> tuple[Staging | None, dict[str, StageSupport] | None]:
        """Return what predicts the stage of samples and whether the data support it; None where none was learnt."""
        tensors, content = self._named(STAGING), self._content["staging"]
        if content is None or self.scale is None:
            if tensors or content is not None:
                raise broken(self._folder, WEIGHTS, f"a stage that {DESCRIPTION} does not have")
            return None, None
        with self._reading(DESCRIPTION, "staging"):
            shape, encoder = StagingShape.from_dict(content["shape"]), network.encoder
            held = max((value.numel() for value in tensors.values()), default=0)
            if max(map(max, shape.sizes)) > held or shape.seen[1] >= len(self.scale.levels):
                raise ValueError("sizes or levels beyond those of its weights or scale")
            sizes = {"n_hidden": encoder.first.out_features, "n_latent": encoder.n_latent}
            made = Staging(self.ontology, shape, n_levels=len(self.scale.levels), **sizes)
            support = {output: StageSupport.from_dict(content["support"][output]) for output in STAGE_OUTPUTS}
        self._fill(made, tensors, "stage")
        return made.eval(), support

    def temperatures(self) -> Tensor:
        """Return the temperature of each level of the label tree, float32 `[n_levels]`."""
        with self._reading(DESCRIPTION, "temperatures"):
            made = torch.tensor([float(value) for value in self._content["temperatures"]], dtype=torch.float32)
            if made.shape != (int(self.ontology.levels.max()),) or not bool(
                ((made > 0) & (made <= _MAX_TEMPERATURE)).all()
            ):
                raise ValueError(f"{made.tolist()}, which do not fit the label tree")
        return made

    def prior(self) -> Tensor:
        """Return the prior of the leaves, float32 `[n_leaves]`, > 0, summing to 1."""
        with self._reading(DESCRIPTION, "training_prior"):
            leaves = [self.ontology.nodes[leaf].id for leaf in self.ontology.leaves]
            content = self._content["training_prior"]
            made = torch.tensor([float(content[leaf]) for leaf in leaves])
            if len(content) != len(leaves) or not bool((made > 0).all()) or not abs(float(made.sum()) - 1) <= 1e-3:
                raise ValueError("no prior that fits the label tree")
        return made

    def rules(self) -> CallRules:
        """Return when a cell gets a label; None stands for infinity."""
        with self._reading(DESCRIPTION, "rules"):
            return CallRules(**{k: math.inf if v is None else float(v) for k, v in self._content["rules"].items()})

    def detection_limit(self) -> DetectionLimit | None:
        """Return the limit of detection, None where there were too few donors for one."""
        with self._reading(DESCRIPTION, "detection_limit"):
            content = self._content["detection_limit"]
            return None if content is None else DetectionLimit(**content)

    def labels(self) -> tuple[dict[str, int], tuple[str, ...]]:
        """Return how many training cells each node had, and of which nodes cells were made."""
        with self._reading(DESCRIPTION, "training_labels"):
            counts = {str(name): int(n) for name, n in self._content["training_labels"].items()}
            made = tuple(str(name) for name in self._content["made_labels"])
            if unknown := sorted({*counts, *made} - set(self.ontology.index_by_id)):
                raise ValueError(f"{unknown[0]!r}, which the label tree does not have")
            if min(counts.values(), default=0) < 0:
                raise ValueError("a number of cells below 0")
        return counts, made

    def records(self) -> tuple[dict[str, float], dict[str, list[dict[str, Any]]], dict[str, Any]]:
        """Return metrics (NaN = not known), checks and provenance."""
        with self._reading(DESCRIPTION, "metrics, checks or provenance"):
            metrics = {str(k): math.nan if v is None else float(v) for k, v in self._content["metrics"].items()}
            checks = {str(k): [dict(row) for row in rows] for k, rows in self._content["checks"].items()}
            return metrics, checks, dict(self._content["provenance"])

    def _genes(self) -> GeneVocabulary:
        with self._reading(GENES, "genes"):
            made = GeneVocabulary.from_tsv(self._folder / GENES)
            if made.digest != self._content["genes"]["digest"] or made.n_genes != self._content["genes"]["n_genes"]:
                raise ValueError("others than were recorded")
            if unknown := {names.species for names in (made, made.other) if names} - set(SPECIES):
                raise ValueError(f"of the species {sorted(unknown)[0][:40]!r}")
        return made

    def _tensors(self) -> dict[str, Tensor]:
        with self._reading(WEIGHTS, "tensors"):
            tensors: dict[str, Tensor] = load_file(self._folder / WEIGHTS)
            if bad := [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]:
                raise ValueError(f"not finite in {', '.join(bad[:3])}")
        return tensors

    def _named(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors of a prefix, without it."""
        return {name.removeprefix(prefix): value for name, value in self._weights.items() if name.startswith(prefix)}

    def _fill(self, module: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
        """Put tensors into a module that has the same names, shapes and number types."""
        expected = {key: _form(value) for key, value in module.state_dict().items()}
        found = {key: _form(value) for key, value in tensors.items()}
        if odd := sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)):
            got = f"{odd[0]} of the {name} as {found.get(odd[0], 'nothing')}"
            raise broken(self._folder, WEIGHTS, f"{got} where {expected.get(odd[0], 'nothing')} belongs")
        module.load_state_dict(tensors)

    @contextmanager
    def _reading(self, name: str, entry: str) -> Iterator[None]:
        """Say of which file and entry it is that something cannot be made of it."""
        try:
            yield
        except BundleError:
            raise
        except _UNFIT as error:
            raise broken(
                self._folder, name, f"{entry} that cannot be used ({type(error).__name__}: {error})"
            ) from error


_UNFIT = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, OSError),
    *(SafetensorError, NeutrostageError),
)
"""What is raised by parts that get what does not fit them."""


def _form(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
