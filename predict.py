"""Annotate new cells: bundle + file -> predictions -> stage -> burden -> report."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from datamodules.annotated import AnnotatedWriter
from datamodules.coverage import Coverage, cover
from datamodules.memory import AnnData, open_anndata
from datamodules.narrow import Rows, narrow
from datamodules.order import SequentialPlan
from datamodules.read import read_batches
from datamodules.samples import sample_of_cells
from datamodules.sources import SourceFile
from datamodules.store import CellStore, open_store
from model.attribution import integrated_gradients, log_probability
from model.bundle import Bundle, load_bundle
from model.inference import Predictor
from model.kept_cells import KeptCells
from schema.batch import CellBatch
from schema.command import collected_warnings, flat_options, parse_config, plain_options, run_command
from schema.errors import InputError, UsageError
from schema.outputs import claim_files, move_into_place
from schema.predictions import cells_schema, sample_columns, write_genes, write_samples
from schema.provenance import describe_program
from scoring.burden import BurdenAccumulator, BurdenConfig, BurdenReference
from scoring.cells import CallsOfAll, CellCalls, call_cells, name_calls, name_types
from scoring.drawn_cells import CellDraw
from scoring.embedding import choose_cells, embed
from scoring.gene_table import GeneSources, called_node, explain_calls
from scoring.report import ReportContent, render_report
from scoring.sample_facts import SampleFactsAccumulator
from scoring.samples import RunFacts, assemble_samples
from scoring.truth import true_burden

logger = logging.getLogger(__name__)

LATENT, PROBABILITIES = "X_neutrostage", "neutrostage_probabilities"
"""Names of the obsm arrays: latent vector, and calibrated probability of each leaf of the label tree."""

FILES = ("annotated.h5ad", "cells.parquet", "samples.csv", "genes.csv", "report.html", "run.json")
"""What a prediction writes; run.json last."""

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
    min_genes_found: float = 0.1
    """Least share of the bundle's genes that the file must have measured, 0 to 1."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the network runs."""
    batch_size: int = 2048
    """Cells per block; results do not depend on it."""
    burden: BurdenConfig = field(default_factory=BurdenConfig)
    """The interval of the burden."""
    explain: ExplainConfig = field(default_factory=ExplainConfig)
    """Which genes drove the calls."""
    overwrite: bool = False
    """Whether results of an earlier run, in the folder or in the input, are replaced."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if not 0 <= self.min_genes_found <= 1 or self.batch_size < 1:
            raise UsageError(
                "min_genes_found is a share and batch_size >= 1",
                got=f"{self.min_genes_found} and {self.batch_size}",
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
    claim_files(config.output, FILES, overwrite=config.overwrite)
    bundle = load_bundle(config.bundle)
    with collected_warnings() as warned, open_store(config.input, layer=config.layer) as store:
        run = Run(bundle, store, config)
        config.output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=config.output.parent, prefix=f".{config.output.name}-") as scratch:
            draft = Path(scratch)
            run.write(draft)
            write_report(run, draft, warned.lines())
            return move_into_place(draft, config.output, FILES)


class Run:
    """One prediction of one source of cells: streams its rows once and keeps sums by sample and small columns."""

    def __init__(self, bundle: Bundle, store: CellStore, config: PredictConfig) -> None:
        self.bundle, self.store, self.config = bundle, store, config
        self.ontology = bundle.ontology
        if store.n_cells == 0:
            raise InputError("there must be cells to annotate", got="none", where=store.name, fix="Check the file.")
        if not bundle.is_calibrated:
            logger.warning("The bundle was trained without held-out donors: its probabilities are not calibrated")
        self.coverage = cover(store, bundle.vocabulary, orthologs=config.orthologs, min_share=config.min_genes_found)
        sample = sample_of_cells(store, config.sample_column)
        self.sample_ids = [str(name) for name in sample.categories]
        self.sample = narrow(np.asarray(sample.codes))
        n_samples = len(self.sample_ids)
        self.predictor = Predictor(bundle, device=config.device, n_samples=n_samples)
        self.burden = BurdenAccumulator(n_samples, config.burden)
        self.facts = SampleFactsAccumulator(n_samples, len(self.ontology.leaves))
        self.reference = BurdenReference.of_rates(bundle.reference["sensitivity"], bundle.reference["false_positive"])
        self.drawn = choose_cells(store.n_cells, config.burden.seed)
        self.explainer = Explainer(bundle, self.predictor, self.coverage, self.sample_ids, config)
        self.calls = CallsOfAll(store.n_cells)
        self._latent: list[np.ndarray] = []
        self._neutrophil: list[np.ndarray] = []

    def blocks(self) -> Iterator[tuple[int, np.ndarray, np.ndarray, CellCalls, pd.DataFrame]]:
        """Yield, in row order, first row, latent, probabilities, calls and the rows of cells.parquet."""
        source = SourceFile.unlabelled(self.store, self.coverage.match, self.sample)
        plan = SequentialPlan([self.store.n_cells], self.config.batch_size)
        rows = Rows.first(self.store.n_cells)
        for batch in read_batches([source], [rows], plan, device=self.predictor.device):
            latent, probabilities = self.predictor.predict(batch)
            calls = call_cells(probabilities, self.ontology)
            sample, start = batch.sample.cpu().numpy(), int(batch.row[0])
            library_size, n_genes = batch.library_size.cpu().numpy(), batch.indptr.diff().cpu().numpy().astype(np.int32)
            self.burden.update(sample, calls.neutrophil, calls.denominator)
            self.facts.update(sample, library_size, n_genes, probabilities)
            drawn = self.drawn[(self.drawn >= start) & (self.drawn < start + len(sample))] - start
            self._latent.append(latent[drawn])
            self._neutrophil.append(calls.neutrophil[drawn])
            self.calls.write(start, calls)
            self.explainer.update(start, batch, calls)
            yield start, latent, probabilities, calls, self._cell_rows(start, library_size, n_genes, calls)

    def write(self, folder: Path) -> None:
        """Write annotated.h5ad, cells.parquet, samples.csv and genes.csv."""
        obsm = {LATENT: self.bundle.config.encoder.n_latent, PROBABILITIES: len(self.ontology.leaves)}
        target = folder / "annotated.h5ad"
        with (
            AnnotatedWriter(self.store, target, obsm=obsm, overwrite_columns=self.config.overwrite) as annotated,
            pq.ParquetWriter(folder / "cells.parquet", cells_schema()) as cells,
        ):
            for start, latent, probabilities, _, rows in self.blocks():
                annotated.write_rows(start, {LATENT: latent, PROBABILITIES: probabilities})
                cells.write_table(pa.Table.from_pandas(rows, schema=cells_schema(), preserve_index=False))
            annotated.finish(name_calls(self.calls, self.ontology), self.uns())
        self.samples = self.sample_table()
        write_samples(self.samples, folder / "samples.csv", sample_columns(self.ontology, self.bundle.scale))
        self.genes = self.explainer.genes()
        write_genes(self.genes, folder / "genes.csv")

    def sample_table(self) -> pd.DataFrame:
        """Return samples.csv, once all blocks have passed."""
        return assemble_samples(
            self.sample_ids,
            self.facts.facts(),
            self.burden.estimate(self.reference),
            self.predictor.stage_probabilities(),
            ontology=self.ontology,
            scale=self.bundle.scale,
            run=RunFacts(
                genes_found_percent=self.coverage.percent,
                training_has_neutrophils=self.bundle.knows_neutrophils,
                n_reference_donors=self.reference.n_donors,
                by_orthologs=self.coverage.by_orthologs,
            ),
        )

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
        coordinates = embed(np.concatenate(self._latent), self.config.burden.seed)
        return pd.DataFrame(
            {
                "x": coordinates[:, 0],
                "y": coordinates[:, 1],
                "cell_type": np.asarray(name_types(self.calls.cell_type[self.drawn], self.ontology)),
                "neutrophil_probability": np.concatenate(self._neutrophil),
            }
        )

    def _cell_rows(self, start: int, library_size: np.ndarray, n_genes: np.ndarray, calls: CellCalls) -> pd.DataFrame:
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
            }
        )


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
    """Write report.html and run.json."""
    simulated, provenance = "simulated" in run.store.obs_columns, describe_run(run)
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
            genes=run.genes,
            coverage=run.coverage.words,
            warnings=warnings,
            provenance=flat_options(provenance),
            truth=simulated_truth(run) if simulated else None,
        )
    )
    (folder / "report.html").write_text(report, encoding="utf-8")
    content = provenance | {"simulated": simulated, "genes": dict(run.coverage.words), "warnings": warnings}
    (folder / "run.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def describe_run(run: Run) -> dict[str, Any]:
    """Return what repeats the run: options, bundle, input and program; names of files, never paths."""
    return {
        "options": plain_options(run.config),
        "bundle_digest": run.bundle.digest,
        "input": run.store.fingerprint(),
        "device": str(run.predictor.device),
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


def annotate(adata: AnnData, bundle: str | Path, *, layer: str = "auto", sample_column: str = "auto") -> pd.DataFrame:
    """Annotate an AnnData in place, for notebooks; returns the table of samples.

    Parameters
    ----------
    adata
        Raw counts in a layer, in raw or in X; gets our obs columns, obsm arrays and `uns["neutrostage"]`.
    bundle
        Folder of the bundle.
    layer, sample_column
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
        input=Path("AnnData"), bundle=Path(bundle), output=Path(), layer=layer, sample_column=sample_column
    )
    with open_anndata(adata, layer=layer) as store:
        run = Run(load_bundle(config.bundle), store, config)
        blocks = list(run.blocks())
        adata.obsm[LATENT] = np.concatenate([block[1] for block in blocks])
        adata.obsm[PROBABILITIES] = np.concatenate([block[2] for block in blocks])
        for name, values in name_calls(run.calls, run.ontology).items():
            adata.obs[name] = values
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
    for path in predict(parse_config(PredictConfig, positional="input")):
        print(path)


if __name__ == "__main__":
    sys.exit(run_command("predict.py", main))
