"""Annotate new cells: bundle + file -> predictions -> stage -> burden -> report."""

from __future__ import annotations

if __name__ == "__main__":  # libraries take seconds to load
    from schema.signals import leave_at_once

    leave_at_once()

import json
import logging
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from datamodules.annotated import AnnotatedWriter
from datamodules.cell_names import cell_ids_at
from datamodules.coverage import Coverage, cover
from datamodules.depth import spread_library_sizes
from datamodules.memory import AnnData, open_anndata
from datamodules.narrow import Rows, narrow
from datamodules.obs_columns import ObsValues, joined
from datamodules.order import SequentialPlan
from datamodules.preparation import PreparationConfig, preparation_of
from datamodules.read import read_batches
from datamodules.samples import sample_of_cells, value_of_samples
from datamodules.sources import SourceFile
from datamodules.store import CellStore, open_store
from model.attribution import integrated_gradients, log_probability
from model.bundle import Bundle, load_bundle
from model.inference import Predictor
from model.kept_cells import KeptCells, raw_counts
from schema.batch import CellBatch
from schema.calls import OUT_OF_DISTRIBUTION
from schema.command import collected_warnings, flat_options, parse_config, plain_options, run_command
from schema.comparisons import COMPARISON, PICTURES, write_comparison
from schema.disk import check_space
from schema.errors import InputError, UsageError
from schema.memory import check_memory
from schema.outputs import claim_files, drafting, keep_apart
from schema.predictions import (
    STAGE_OUTPUTS,
    cells_schema,
    companion_columns,
    sample_columns,
    write_companions,
    write_filters,
    write_genes,
    write_samples,
    write_stage_cells,
    write_stage_types,
)
from schema.provenance import describe_program
from schema.repeat import EarlierRun
from schema.streams import show
from scoring.burden import BurdenAccumulator, BurdenConfig, BurdenReference
from scoring.by_sample import row_spans
from scoring.cells import CellCalls, call_cells, name_calls, name_types
from scoring.companions import CompanionEvidence, assemble_companions, learnt_nodes
from scoring.comparison import Grouped, check_groups, compare_samples, masking_warning, no_comparison, with_samples
from scoring.drawn_cells import CellDraw
from scoring.droplets import MIN_COUNTS, droplet_kinds, is_described, looks_unfiltered, low_counts
from scoring.embedding import DrawnCells, embed
from scoring.filters import FilterAccumulator, filter_sentences
from scoring.gene_table import GeneSources, called_node, explain_calls
from scoring.grouping import PREDICTED_STAGE, GroupingConfig, group_by_stage, group_samples
from scoring.label_counts import LabelCounts
from scoring.programmes import Pseudobulk, genes_of_programmes
from scoring.sample_facts import SampleFactsAccumulator
from scoring.samples import RunFacts, assemble_samples
from scoring.stages import SUFFIXES, CellEvidence, Notes, OutputEvidence, StageEvidence, stage_cells, stage_types
from scoring.state_shares import StateReading
from scoring.truth import true_burden

logger = logging.getLogger(__name__)

LATENT, PROBABILITIES = "X_neutrostage", "neutrostage_probabilities"
"""Names of the obsm arrays: latent vector, and calibrated probability of each leaf of the label tree."""

FILES = (
    "annotated.h5ad",
    "cells.parquet",
    "samples.csv",
    "companions.csv",
    "filters.csv",
    "genes.csv",
    "stage_types.csv",
    "stage_cells.csv",
    "report.html",
    "run.json",
)
"""What a prediction writes, beside pictures and a comparison where they are wanted; run.json last."""

RESULTS = (*FILES[:-1], *PICTURES, COMPARISON, FILES[-1])
"""Every file that a prediction may write: none of an earlier one stays beside a new one."""

REPORT = "report.html"
"""The file that can be left out."""

_OWN = ("input", "bundle", "output", "orthologs", "overwrite", "repeat")
"""Options that a repeated run does not take from the earlier one."""

_BYTES_PER_CELL = 200
"""On disk, of our columns of obs and of cells.parquet."""

_BYTES_PER_ENTRY, _LAYERS_AT_WORK, _COPIES_EXPLAINED, _BYTES_PER_SAMPLE = 27, 4, 24, 24_000
_BYTES_OF_TABLES, _BYTES_DRAWN = 60 * 2**20, 140 * 2**20
"""Parts of the estimate of memory, held against peaks in docs/log.md."""

_UNKNOWN_STEPS = 8
"""Times as many points on a path from a cell of which nothing is known: most of it is gone through at its beginning."""


@dataclass(frozen=True, kw_only=True)
class ExplainConfig:
    """Which genes drove the calls, by integrated gradients on a few cells of each call."""

    n_cells: int = 32
    """Most cells of a call that are explained, 0 to 256; 0 leaves the explanation out."""
    n_genes: int = 20
    """Most genes that are listed for a call."""
    n_steps: int = 8
    """Points at which the gradient is taken for each cell; eight times as many against the unknown."""
    baseline: Literal["cells", "unknown"] = "cells"
    """What calls are explained against: cells called otherwise, or a cell of which no gene is known."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 <= self.n_cells <= 256 or min(self.n_genes, self.n_steps) < 1:
            raise UsageError(
                "an explanation takes 0 to 256 cells, and at least one gene and step",
                got=str(self),
                where="explain",
                fix="Correct the value.",
            )


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Whether the samples of the file are held against each other; `python -m scoring.compare` does it afterwards."""

    by: str | None = None
    """Column of obs that groups the samples (arm, time point, stage), one value for each; None compares nothing."""
    donor: str = "auto"
    """Column of obs that names the donor, the unit of the tests; auto tries donor_id, donor."""
    study: str = "auto"
    """Column of obs that names the study, within which is compared; auto tries study_id, study."""
    scale: str = "auto"
    """Stage scale of the groups, for a trend; auto finds it where the column is named after stages, none = no order."""


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Annotate a file of raw counts with a bundle: cell types, tumour stage and neutrophil burden, and a report."""

    input: Path = field(metadata={"help": ".h5ad, .zarr, 10x folder or 10x .h5 with raw counts"})
    """File or folder with raw counts."""
    bundle: Path
    """Folder of the bundle, as train.py writes it."""
    output: Path
    """Folder for the results."""
    layer: str = "auto"
    """Where raw counts are: auto, X, raw, or the name of a layer."""
    sample_column: str = "auto"
    """Column of obs that names the sample; auto tries sample_id, sample, donor_id, donor."""
    orthologs: Path | None = None
    """Table of one-to-one orthologs for a file of the other species; None = by symbol with curated exceptions."""
    min_counts: int = MIN_COUNTS
    """Least UMI of a barcode that is called; those with fewer are kept as rows, counted, and in no figure."""
    min_genes_found: float = 0.1
    """Least share of the bundle's genes that the file must have measured, 0 to 1."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs."""
    batch_size: int = 2048
    """Cells per block; results do not depend on it."""
    preparation: PreparationConfig = field(default_factory=PreparationConfig)
    """How the samples were prepared, where obs does not say so."""
    burden: BurdenConfig = field(default_factory=BurdenConfig)
    """The burden and its interval."""
    explain: ExplainConfig = field(default_factory=ExplainConfig)
    """Which genes drove the calls."""
    compare: CompareConfig = field(default_factory=CompareConfig)
    """By what samples are compared."""
    repeat: Path | None = None
    """run.json of an earlier run: its options are taken, and input and bundle must be the same as then."""
    report: bool = True
    """Whether to draw report.html and pictures; off, only tables and the annotated file are written, sooner."""
    overwrite: bool = False
    """Whether results of an earlier run, in the folder or in the input, are replaced."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 <= self.min_genes_found <= 1 or self.batch_size < 1 or self.min_counts < 0:
            raise UsageError(
                "min_genes_found is a share, batch_size >= 1 and min_counts >= 0",
                got=f"{self.min_genes_found}, {self.batch_size} and {self.min_counts}",
                where="the command line",
                fix="Correct the value.",
            )


def predict(config: PredictConfig) -> list[Path]:
    """Predict a file and return the paths of what was written.

    Raises
    ------
    NeutrostageError
        If bundle, input or output folder do not allow a right result; nothing is written then.
    """
    earlier = EarlierRun.read(config.repeat) if config.repeat else None
    config = repeated(config, earlier) if earlier else config
    keep_apart(config.output, config.input, beside_too=True)
    keep_apart(config.output, config.bundle)
    claim = partial(claim_files, config.output, RESULTS, overwrite=config.overwrite)
    with drafting(config.output, claim) as draft:
        names = predict_into(draft.path, config, earlier)
        draft.publish(names, replaced=RESULTS)
    return [config.output / name for name in names]


def predict_into(folder: Path, config: PredictConfig, earlier: EarlierRun | None) -> list[str]:
    """Write the results into a folder, and return the names of the files, run.json last."""
    bundle = load_bundle(config.bundle)
    with collected_warnings() as warned, open_store(config.input, layer=config.layer) as store:
        if earlier:
            earlier.check(bundle.digest, store.fingerprint(), describe_program())
        run = Run(bundle, store, config)
        check_space(config.output, run.expected_bytes())
        check_memory(run.expected_memory(), where=store.name, fix="Lower --batch_size, or give it more memory.")
        run.write(folder)
        if config.report:
            write_report(run, folder, warned.lines())
        write_run(run, folder, warned.lines())
    return [name for name in files_of(config) if name not in PICTURES or (folder / name).exists()]


def files_of(config: PredictConfig) -> tuple[str, ...]:
    """Return the names of the files that a prediction writes, run.json last."""
    more = (*(PICTURES if config.report else ()), *((COMPARISON,) if config.compare.by else ()))
    return (*(name for name in FILES[:-1] if config.report or name != REPORT), *more, FILES[-1])


def repeated(config: PredictConfig, earlier: EarlierRun) -> PredictConfig:
    """Return the config of a run that repeats another, with its options, device and number of threads.

    Raises
    ------
    NeutrostageError
        If options are given that differ, or another table of orthologs.
    """
    table = earlier.options.get("orthologs")
    if table != (config.orthologs.name if config.orthologs else None):
        raise UsageError(
            "a run is repeated with the same table of orthologs",
            got="another",
            where="--orthologs",
            fix=f"Give {table}." if table else "Leave it out.",
        )
    torch.set_num_threads(earlier.threads)
    device: Literal["cpu", "cuda"] = "cpu" if earlier.device == "cpu" else "cuda"
    return replace(earlier.config(config, _OWN), device=device)


class Block(NamedTuple):
    """What is said of some neighbouring cells.

    Attributes
    ----------
    start
        Row of the first.
    latent, probabilities
        float32 `[n_cells, n_latent]` and `[n_cells, n_leaves]`, calibrated.
    columns
        Our columns of obs, by name.
    rows
        Rows of cells.parquet.
    """

    start: int
    latent: np.ndarray
    probabilities: np.ndarray
    columns: dict[str, ObsValues]
    rows: pd.DataFrame


class Run:
    """One prediction of one source of cells: streams its rows once and keeps sums by sample and small columns."""

    def __init__(self, bundle: Bundle, store: CellStore, config: PredictConfig) -> None:
        self.bundle, self.store, self.config = bundle, store, config
        self.ontology = bundle.ontology
        self.neutrophil = self.ontology.index_by_id[self.ontology.roles.neutrophil]
        if store.n_cells == 0:
            raise InputError("there must be cells to annotate", got="none", where=store.name, fix="Check the file.")
        if not bundle.is_calibrated:
            logger.warning("The bundle was trained without held-out donors: its probabilities are not calibrated")
        self.coverage = cover(store, bundle.vocabulary, orthologs=config.orthologs, min_share=config.min_genes_found)
        sample = sample_of_cells(store, config.sample_column)
        self.sample_ids = [str(name) for name in sample.categories]
        self.sample = narrow(np.asarray(sample.codes))
        n_samples = len(self.sample_ids)
        self.groups = self._groups(sample)
        self.unfiltered = self._is_unfiltered()
        self.predictor = Predictor(bundle, device=config.device, n_samples=n_samples)
        self.preparation = preparation_of(store, sample, config.preparation)
        self.burden = BurdenAccumulator(self.ontology, self.preparation.is_cd45_sorted, config.burden)
        self.facts = SampleFactsAccumulator(n_samples, len(self.ontology.leaves), unfiltered=self.unfiltered)
        self.labels = LabelCounts(n_samples, self.ontology)
        self.filters = FilterAccumulator(n_samples, self.ontology)
        self.reference = BurdenReference(bundle.confusion, bundle.training_prior.double().numpy())
        present = self.coverage.match.present
        genes = genes_of_programmes(bundle.vocabulary, self.coverage.species, present)
        self.pseudobulk = Pseudobulk(n_samples, genes, present)
        self.spans = row_spans(self.sample, n_samples)
        self.drawn = DrawnCells(config.burden.seed)
        self.comparison: pd.DataFrame | None = None
        self.explainer = Explainer(bundle, self.predictor, self.coverage, self.sample_ids, config)

    def _groups(self, sample: pd.Categorical) -> Grouped | None:
        """Return the samples by what they are compared by, before anything is computed of them; None = by nothing."""
        config = self.config.compare
        if config.by is None:
            return None
        blank = pd.Series("", range(len(self.sample_ids)))
        about = pd.DataFrame({"sample_id": self.sample_ids})
        about["donor"] = value_of_samples(self.store, sample, config.donor, "donor", default=blank)
        about["study"] = value_of_samples(self.store, sample, config.study, "study", default=blank)
        about[config.by] = value_of_samples(self.store, sample, config.by, "group", default=blank)
        options = GroupingConfig(by=config.by, donor="donor", study="study", scale=config.scale)
        grouped = group_samples(about, options)
        check_groups(grouped)
        if warning := masking_warning(grouped.groups):
            logger.warning("%s", warning)
        return grouped

    def _is_unfiltered(self) -> bool:
        """Return whether the file holds all droplets, and say so."""
        sizes = spread_library_sizes(self.store)
        if not looks_unfiltered(sizes):
            return False
        percent = 100 * low_counts(sizes, MIN_COUNTS).mean()
        text = "%s is unfiltered: %.0f %% of %d barcodes all over it have fewer than %d UMI"
        logger.info(text, self.store.name, percent, len(sizes), MIN_COUNTS)
        if not self.bundle.knows_ambient:
            logger.warning(
                "%s is unfiltered and the bundle knows no ambient droplets: empty ones are called as cells. "
                "Give a filtered matrix, or a bundle trained with ambient droplets",
                self.store.name,
            )
        return True

    def expected_bytes(self) -> int:
        """Return about how many bytes the results take: the input again, and what is said of each cell."""
        of_cell = 4 * (self.bundle.network.encoder.n_latent + len(self.ontology.leaves)) + _BYTES_PER_CELL
        return int(str(self.store.fingerprint()["bytes"])) + self.store.n_cells * of_cell

    def expected_memory(self) -> int:
        """Return about how many bytes of memory the run takes from here on.

        Blocks that are read ahead and the one in the network (a dense one where it is not on a CPU), the genes of the
        cells that are explained, sums by sample, two numbers of each cell, and what is drawn.
        """
        encoder, config = self.bundle.network.encoder, self.config
        n_rows, n_samples = min(config.batch_size, self.store.n_cells), len(self.sample_ids)
        n_genes, n_cells = self.bundle.vocabulary.n_genes, self.store.n_cells
        read = _BYTES_PER_ENTRY * self.store.max_entries(np.arange(n_rows))
        width = _LAYERS_AT_WORK * (encoder.first.out_features + encoder.n_latent + len(self.ontology.leaves))
        computed = 4 * n_rows * (width + (0 if self.predictor.device.type == "cpu" else 2 * n_genes))
        explained = _COPIES_EXPLAINED * 4 * config.explain.n_cells * n_genes
        n_open = min(n_samples, self.spans.most_open + n_rows)  # those that end in a block do so after it
        summed = n_samples * _BYTES_PER_SAMPLE + 4 * n_genes * n_open + 16 * n_cells
        drawn = _BYTES_DRAWN if config.report else 0  # after the blocks are gone
        return int(_BYTES_OF_TABLES + max(read + computed, drawn) + explained + summed)

    def blocks(self) -> Iterator[Block]:
        """Yield what is said of the cells, in row order."""
        source = SourceFile.unlabelled(self.store, self.coverage.match, self.sample)
        plan = SequentialPlan([self.store.n_cells], self.config.batch_size)
        rows = Rows.first(self.store.n_cells)
        for batch in read_batches([source], [rows], plan, device=self.predictor.device):
            sample, start = batch.sample.cpu().numpy(), int(batch.row[0])
            library_size, n_genes = batch.library_size.cpu().numpy(), batch.indptr.diff().cpu().numpy().astype(np.int32)
            low = low_counts(library_size, self.config.min_counts)
            latent, probabilities, novelty = self.predictor.predict(batch, left_out=low)
            calls = call_cells(probabilities, novelty, self.bundle.call_prior, self.ontology, self.bundle.rules)
            kind = droplet_kinds(low, calls.cell_type, self.ontology)
            described = is_described(kind, unfiltered=self.unfiltered)
            cells = np.flatnonzero(described)
            self.burden.update(sample[cells], probabilities[cells], library_size[cells])
            self.facts.update(sample, library_size, n_genes, probabilities, kind)
            self.labels.update(sample, calls, described)
            self.filters.update(sample, n_genes, calls.cell_type)
            neutrophils = cells[calls.cell_type[cells] == self.neutrophil]
            self.pseudobulk.update(sample[neutrophils], raw_counts(batch, neutrophils))
            self.pseudobulk.end(self.spans.ending(start, start + len(sample)))
            self.drawn.update(start + cells, latent[cells], calls.neutrophil[cells], calls.cell_type[cells])
            self.explainer.update(start, batch, calls)
            table = self._cell_rows(start, library_size, n_genes, novelty, calls)
            yield Block(start, latent, probabilities, name_calls(calls, self.ontology), table)

    def write(self, folder: Path) -> None:
        """Write annotated.h5ad, cells.parquet and the tables."""
        obsm = {LATENT: self.bundle.network.encoder.n_latent, PROBABILITIES: len(self.ontology.leaves)}
        target = folder / "annotated.h5ad"
        with (
            AnnotatedWriter(self.store, target, obsm=obsm, overwrite_columns=self.config.overwrite) as annotated,
            pq.ParquetWriter(folder / "cells.parquet", cells_schema()) as cells,
        ):
            for block in self.blocks():
                annotated.write_rows(
                    block.start, {LATENT: block.latent, PROBABILITIES: block.probabilities}, block.columns
                )
                cells.write_table(pa.Table.from_pandas(block.rows, schema=cells_schema(), preserve_index=False))
            annotated.finish(self.uns())
        self.samples = self.sample_table()
        write_samples(self.samples, folder / "samples.csv", sample_columns(self.ontology, self.bundle.scale))
        self.companions = self.companion_table()
        write_companions(self.companions, folder / "companions.csv", companion_columns(self.ontology))
        if self.groups is not None:
            self.groups = with_samples(self.groups, self.samples)
            self.comparison = self.comparison_table(self.groups)
            write_comparison(self.comparison, folder / COMPARISON)
        self.lost_by_filters = self.filters.table(self.sample_ids)
        write_filters(self.lost_by_filters, folder / "filters.csv")
        n_low = int(self.samples["n_low_counts"].sum())
        if n_low:
            logger.info("%d of %d barcodes have low counts and were not called", n_low, self.store.n_cells)
        if sentences := filter_sentences(self.lost_by_filters, self.ontology):
            logger.info(" ".join(sentences))
        self.genes = self.explainer.genes()
        write_genes(self.genes, folder / "genes.csv")
        self.stage_types, self.stage_cells = self.stage_tables()
        write_stage_types(self.stage_types, folder / "stage_types.csv")
        write_stage_cells(self.stage_cells, folder / "stage_cells.csv")
        for output, support in (self.bundle.stage_support or {}).items():
            if not support.is_supported:
                logger.warning("Stage (%s) not supported by the training data: %s", output, support.reason)

    def sample_table(self) -> pd.DataFrame:
        """Return samples.csv, once all blocks have passed."""
        limit = self.bundle.detection_limit
        return assemble_samples(
            self.sample_ids,
            self.facts.facts(),
            self.burden.estimate(self.reference),
            self.stage_evidence(),
            self.labels.percent(OUT_OF_DISTRIBUTION),
            ontology=self.ontology,
            scale=self.bundle.scale,
            run=RunFacts(
                genes_found_percent=self.coverage.percent,
                training_has_neutrophils=self.bundle.knows_neutrophils,
                n_reference_donors=self.reference.n_donors(self.ontology),
                limit_percent=math.nan if limit is None else limit.percent,
                by_orthologs=self.coverage.by_orthologs,
                unfiltered=self.unfiltered,
                knows_ambient=self.bundle.knows_ambient,
            ),
            preparation=self.preparation,
        )

    def companion_table(self) -> pd.DataFrame:
        """Return companions.csv, once all blocks have passed and the samples are known."""
        evidence = CompanionEvidence(
            expected_cells=self.facts.facts().expected_cells,
            n_called_neutrophils=self.pseudobulk.n_cells,
            scores=self.pseudobulk.scores(),
            learnt=learnt_nodes([*self.bundle.training_labels, *self.bundle.made_labels], self.ontology),
            reading=StateReading(self.bundle.state_confusion),
            seed=self.config.burden.seed,
        )
        return assemble_companions(self.samples, evidence, self.ontology)

    def comparison_table(self, groups: Grouped) -> pd.DataFrame:
        """Return comparison.csv; without rows, and with a warning, where what is assessable cannot be compared."""
        try:
            return compare_samples(groups, self.ontology, seed=self.config.burden.seed)
        except InputError as error:
            logger.warning("The samples were not compared: %s", error)
            return no_comparison()

    def stage_evidence(self) -> StageEvidence | None:
        """Return what the bundle says of the stage of each sample, once all blocks have passed."""
        found, support, staging = self.predictor.stages(), self.bundle.stage_support, self.bundle.staging
        if found is None or support is None or staging is None:
            return None
        return {
            output: OutputEvidence(
                at_least=as_doubles(found[output].at_least),
                log_odds=as_doubles(found[output].log_odds),
                attention=as_doubles(found[output].attention),
                cells=CellEvidence(
                    kind=staging.output(output).cell_kind,
                    **{name: part.cpu().numpy() for name, part in found[output].cells._asdict().items()},
                ),
                n_counted=as_doubles(found[output].n_cells),
                refusal=support[output].reason,
            )
            for output in STAGE_OUTPUTS
        }

    def stage_tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return stage_types.csv and stage_cells.csv, once all blocks have passed."""
        evidence = self.stage_evidence()
        notes: Notes = {
            output: self.samples[f"tumor_stage_note{suffix}"].fillna("").tolist() for output, suffix in SUFFIXES.items()
        }
        fractions = self.facts.facts().fractions(self.ontology)
        types = stage_types(evidence, self.sample_ids, notes, fractions, self.ontology)
        cells = stage_cells(evidence, self.sample_ids, notes, self.ontology)
        names = cell_ids_at(self.store, cells["row"].to_numpy())
        return types, cells.assign(cell_id=pd.Series(names, dtype="string"))

    def uns(self) -> dict[str, object]:
        """Return what `uns["neutrostage"]` says of the run."""
        leaves = [self.ontology.nodes[i] for i in self.ontology.leaves]
        return {
            "bundle_digest": self.bundle.digest,
            "probability_columns": np.array([leaf.id for leaf in leaves], dtype=object),
            "probability_names": np.array([leaf.name for leaf in leaves], dtype=object),
            "probabilities_are_calibrated": self.bundle.is_calibrated,
            "genes": dict(self.coverage.words),
            "program": describe_program(),
        }

    def picture(self) -> pd.DataFrame:
        """Return the cells of the report's embedding, once all blocks have passed."""
        coordinates = embed(self.drawn.latent, self.config.burden.seed)
        return pd.DataFrame(
            {
                "x": coordinates[:, 0],
                "y": coordinates[:, 1],
                "cell_type": np.asarray(name_types(self.drawn.cell_type, self.ontology)),
                "neutrophil_probability": self.drawn.neutrophil,
            }
        )

    def _cell_rows(
        self, start: int, library_size: np.ndarray, n_genes: np.ndarray, novelty: np.ndarray, calls: CellCalls
    ) -> pd.DataFrame:
        stop = start + len(library_size)
        return pd.DataFrame(
            {
                "row": np.arange(start, stop),
                "cell_id": self.store.cell_ids(start, stop),
                "sample_id": np.array(self.sample_ids, dtype=object)[self.sample[start:stop]],
                "library_size": library_size,
                "n_genes": n_genes,
                **{name: np.asarray(values) for name, values in name_calls(calls, self.ontology).items()},
                "neutrophil_probability": calls.neutrophil.astype(np.float32),
                "denominator_probability": calls.denominator.astype(np.float32),
                "ood_score": novelty,
            }
        )


def as_doubles(values: torch.Tensor) -> np.ndarray:
    """Return a tensor in 64 bits on the host."""
    found: np.ndarray = values.double().cpu().numpy()
    return found


class Explainer:
    """Keeps a few cells of each call as blocks pass, and says afterwards which genes drove the calls."""

    def __init__(
        self, bundle: Bundle, predictor: Predictor, coverage: Coverage, sample_ids: list[str], config: PredictConfig
    ) -> None:
        self.predictor, self.config, self.seed = predictor, config.explain, config.burden.seed
        self.draw = CellDraw(bundle.ontology, len(sample_ids), config.explain.n_cells, self.seed)
        self.kept = KeptCells()
        unknown = bundle.network.encoder.gene_mean.cpu().double().numpy()
        self.sources = GeneSources(
            ontology=bundle.ontology,
            vocabulary=bundle.vocabulary,
            sample_ids=sample_ids,
            present=coverage.match.present,
            expression=self.kept.expression,
            unknown=unknown if self.config.baseline == "unknown" else None,
            attribute=self._attribute,
        )

    def update(self, start: int, batch: CellBatch, calls: CellCalls) -> None:
        """Keep the cells of a block that are drawn."""
        self.kept.add(batch, self.draw.update(start, calls, batch.sample.cpu().numpy()))
        self.kept.forget_all_but(self.draw.rows())

    def genes(self, nodes: Sequence[int] | None = None) -> pd.DataFrame:
        """Return genes.csv, once all blocks have passed; of some types and states only, or of all."""
        return explain_calls(self.draw, self.sources, n_genes=self.config.n_genes, seed=self.seed, nodes=nodes)

    def _attribute(self, node: int, given: int | None, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        predictor, n_steps = self.predictor, self.config.n_steps * (1 if len(others) else _UNKNOWN_STEPS)
        baseline = self.kept.cells(others, predictor.device) if len(others) else None
        score = log_probability(predictor.tree, predictor.temperatures, node, given)
        cells = self.kept.cells(rows, predictor.device)
        found = integrated_gradients(predictor.network, cells, baseline, score, n_steps)
        return found.genes.double().mean(dim=0).cpu().numpy()


def write_report(run: Run, folder: Path, warnings: list[str]) -> None:
    """Write report.html and the pictures."""
    from scoring.pictures import draw_pictures  # drawing takes seconds to import: only where a report is drawn
    from scoring.report import ReportContent, render_report

    simulated = "simulated" in run.store.obs_columns
    grouped = run.groups or group_by_stage(run.samples, run.bundle.scale)
    draw_pictures(grouped, run.ontology, folder)
    report = render_report(
        ReportContent(
            title=run.store.name,
            input_name=run.store.name,
            species=run.coverage.species,
            bundle=run.bundle.digest[:12],
            burden_config=run.config.burden,
            simulated=simulated,
            samples=run.samples,
            ontology=run.ontology,
            scale=run.bundle.scale,
            embedding=run.picture(),
            rules=run.bundle.rules,
            checks=run.bundle.checks,
            labels=run.labels.rows(),
            genes=run.genes,
            stage_types=run.stage_types,
            stage_cells=run.stage_cells,
            stage_support={name: asdict(of) for name, of in (run.bundle.stage_support or {}).items()},
            companions=run.companions,
            grouped=grouped,
            grouped_by=run.config.compare.by or PREDICTED_STAGE,
            comparison=run.comparison,
            coverage=run.coverage.words,
            warnings=warnings,
            provenance=flat_options(describe_run(run)),
            filters=run.lost_by_filters,
            min_counts=run.config.min_counts,
            unfiltered=run.unfiltered,
            truth=simulated_truth(run) if simulated else None,
        )
    )
    (folder / REPORT).write_text(report, encoding="utf-8")


def write_run(run: Run, folder: Path, warnings: list[str]) -> None:
    """Write run.json."""
    about = {
        "simulated": "simulated" in run.store.obs_columns,
        "unfiltered": run.unfiltered,
        "genes": dict(run.coverage.words),
        "warnings": warnings,
    }
    (folder / "run.json").write_text(json.dumps(describe_run(run) | about, indent=1), encoding="utf-8")


def describe_run(run: Run) -> dict[str, Any]:
    """Return what repeats the run: options, bundle, input and program; names of files, never paths."""
    return {
        "options": plain_options(run.config),
        "bundle_digest": run.bundle.digest,
        "input": run.store.fingerprint(),
        "device": str(run.predictor.device),
        "threads": torch.get_num_threads(),
        "program": describe_program(),
    }


def simulated_truth(run: Run) -> pd.DataFrame | None:
    """Return the true burden and stage by sample of a simulated file; None where it does not say."""
    if not {"true_cell_type_id", "tumor_stage", "neutrophils_lost"} <= set(run.store.obs_columns):
        return None
    kind, stage, lost = (run.store.obs(name) for name in ("true_cell_type_id", "tumor_stage", "neutrophils_lost"))
    if not set(kind.categories) <= set(run.ontology.index_by_id):
        return None
    node = np.array([run.ontology.index_by_id[name] for name in kind.categories], dtype=np.int16)[kind.codes]
    return true_burden(
        run.sample,
        node,
        stage,
        np.append(lost.categories == "True", False)[lost.codes],
        sample_ids=run.sample_ids,
        ontology=run.ontology,
    )


def annotate(
    adata: AnnData,
    bundle: str | Path,
    *,
    layer: str = "auto",
    sample_column: str = "auto",
    min_counts: int = MIN_COUNTS,
) -> pd.DataFrame:
    """Annotate an AnnData in place, for notebooks; returns the table of samples.

    Parameters
    ----------
    adata
        Raw counts in a layer, in raw or in X; gets our obs columns, obsm arrays and `uns["neutrostage"]`.
    bundle
        Folder of the bundle.
    layer, sample_column, min_counts
        As for predict.py.

    Returns
    -------
    DataFrame
        One row per sample, as samples.csv (see docs/data.md).

    Raises
    ------
    NeutrostageError
        As predict.py.
    """
    config = PredictConfig(
        input=Path("AnnData"),
        bundle=Path(bundle),
        output=Path(),
        layer=layer,
        sample_column=sample_column,
        min_counts=min_counts,
    )
    with open_anndata(adata, layer=layer) as store:
        run = Run(load_bundle(config.bundle), store, config)
        blocks = list(run.blocks())
        adata.obsm[LATENT] = np.concatenate([block.latent for block in blocks])
        adata.obsm[PROBABILITIES] = np.concatenate([block.probabilities for block in blocks])
        for name in blocks[0].columns:
            adata.obs[name] = joined([block.columns[name] for block in blocks])
        adata.uns["neutrostage"] = run.uns()
        return run.sample_table()


def explain(
    adata: AnnData,
    bundle: str | Path,
    cell_type: str | None = None,
    *,
    layer: str = "auto",
    sample_column: str = "auto",
    config: ExplainConfig | None = None,
) -> pd.DataFrame:
    """Return the genes that drove the calls of an AnnData, for notebooks; the object itself is not changed.

    Parameters
    ----------
    adata, bundle, layer, sample_column
        As for `annotate`.
    cell_type
        Name, synonym or id of a type (level 2) or of a neutrophil state; None = all of them.
    config
        How many cells, genes and steps; None = as predict.py.

    Returns
    -------
    DataFrame
        The rows of genes.csv (see docs/data.md), none where fewer than 10 cells were called so.

    Raises
    ------
    NeutrostageError
        As predict.py, and if `cell_type` is nothing that cells are called.
    """
    options = PredictConfig(
        input=Path("AnnData"),
        bundle=Path(bundle),
        output=Path(),
        layer=layer,
        sample_column=sample_column,
        explain=config or ExplainConfig(),
    )
    loaded = load_bundle(options.bundle)
    nodes = None if cell_type is None else [called_node(loaded.ontology, cell_type)]
    with open_anndata(adata, layer=layer) as store:
        run = Run(loaded, store, options)
        for _ in run.blocks():
            pass
        return run.explainer.genes(nodes)


def main() -> None:
    """Read the command line and predict; print the paths of the results."""
    show(predict(parse_config(PredictConfig, positional="input")))


if __name__ == "__main__":
    sys.exit(run_command("predict.py", main))
