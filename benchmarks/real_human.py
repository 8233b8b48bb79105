"""The mouse model on human cells: lung tumours with neutrophils, and a breast tumour without."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from benchmarks.calls import Floats, call_types
from benchmarks.joint import shown_genes, training_cells
from benchmarks.metrics import credit_descendants
from benchmarks.real_mice import NETWORK, TRAINING_SETS, training_on
from benchmarks.runs import (
    FLOORS_OF_REAL,
    Training,
    floor_seeds,
    network_probabilities,
    predict_network,
    run_floor,
    train_network,
)
from benchmarks.studies import WU, ZILIONIS_HUMAN, node_indices
from schema.labels import CellOntology
from schema.orthologs import OrthologMap, load_orthologs
from schema.predictions import NOT_ASSESSABLE, read_samples

logger = logging.getLogger(__name__)


def run_network(
    files: dict[str, Path], work: Path, ontology: CellOntology, seeds: Sequence[int], table: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train the network on all mice and predict both human files, through the rule and through a table of orthologs.

    Returns
    -------
    tuple
        Calls (see `human_calls`) and the rows of samples.csv, with `study`, `orthologs` ("rule" or "table") and `seed`.
    """
    calls, samples = [], []
    for seed in seeds:
        run = work / f"all_mice_{seed}"
        train_network(_all_mice(files, seed), run)
        for orthologs, path in (("rule", None), ("table", table)):
            for study in (ZILIONIS_HUMAN, WU):
                output = work / f"{study.name}_{orthologs}_{seed}"
                predict_network(run, files[study.name], output, path)
                frame = human_calls(
                    ad.read_h5ad(files[study.name]).obs, network_probabilities(output, ontology), ontology
                )
                calls.append(frame.assign(method=NETWORK, orthologs=orthologs, seed=seed))
                rows = read_samples(output / "samples.csv")
                samples.append(rows.assign(study=study.name, orthologs=orthologs, seed=seed))
        logger.info("human cells, seed %d: done", seed)
    return pd.concat(calls, ignore_index=True), pd.concat(samples, ignore_index=True)


def run_floors(
    files: dict[str, Path], work: Path, ontology: CellOntology, seeds: Sequence[int], table: Path
) -> pd.DataFrame:
    """Fit the floors on the same mice and predict the same human cells under mouse gene names; return the calls."""
    genes = shown_genes(training_cells(_all_mice(files, 0).files, ()), 1)
    calls = []
    for orthologs, path in (("rule", None), ("table", table)):
        for study in (ZILIONIS_HUMAN, WU):
            place = work / f"{study.name}_{orthologs}.h5ad"
            test = write_as_mouse(files[study.name], genes, load_orthologs(path), place)
            obs = ad.read_h5ad(test).obs
            for method in FLOORS_OF_REAL:
                for seed in floor_seeds(method, seeds):
                    output = place.with_name(f"{method}_{place.stem}_{seed}")
                    of_nodes, _ = run_floor(method, _all_mice(files, seed), test, output, ontology)
                    frame = human_calls(obs, of_nodes, ontology)
                    calls.append(frame.assign(method=method, orthologs=orthologs, seed=seed))
    return pd.concat(calls, ignore_index=True)


def _all_mice(files: dict[str, Path], seed: int) -> Training:
    return training_on(TRAINING_SETS[-1], files, (), seed)


def human_calls(obs: pd.DataFrame, of_nodes: Floats, ontology: CellOntology) -> pd.DataFrame:
    """Return one row per cell with truth and call as node indices, at three strictnesses.

    Columns: `cell_id`, `study`, `group` (patient), `stratum`, `truth` (the author's node), `truth_type` and
    `truth_lineage` (its ancestors at levels 2 and 1; -1 where the label stands above), `type_call`, `lineage_call` and
    `credited_call` (the type, or the truth where the type lies below it).
    """
    truth = node_indices(obs["cell_type"], ontology)
    types = call_types(of_nodes, ontology)
    at_two, at_one = (np.append(ontology.ancestor_at(level), -1) for level in (2, 1))
    return pd.DataFrame(
        {
            "cell_id": obs.index.astype(str),
            "study": obs["study"].astype(str).to_numpy(),
            "group": obs["donor_id"].astype(str).to_numpy(),
            "stratum": "all",
            "truth": truth,
            "truth_type": at_two[truth],
            "truth_lineage": at_one[truth],
            "type_call": types,
            "lineage_call": call_types(of_nodes, ontology, level=1),
            "credited_call": credit_descendants(truth, types, ontology),
        }
    )


def require_not_assessable(samples: pd.DataFrame) -> None:
    """Refuse a burden that reads as a number in a study that has no neutrophils.

    Raises
    ------
    RuntimeError
        Naming what was read.
    """
    if (samples["assessability"] != NOT_ASSESSABLE).any() or samples["burden_percent"].notna().any():
        got = samples[["sample_id", "assessability", "burden_percent"]].to_dict("records")
        raise RuntimeError(f"Expected burdens that are {NOT_ASSESSABLE} and blank but got {got}.")


def recall_below(calls: pd.DataFrame, lineage: str, ontology: CellOntology) -> float:
    """Return the share of the cells of a lineage that are called that lineage."""
    node = ontology.index_by_id[lineage]
    of_lineage = calls[calls["truth_lineage"] == node]
    return float((of_lineage["lineage_call"] == node).mean())


def write_as_mouse(source: Path, genes: Sequence[str], orthologs: OrthologMap, target: Path) -> Path:
    """Write human cells under the names of mouse genes, for the floors; genes without counterpart keep their names."""
    cells = ad.read_h5ad(source)
    symbols = [str(name) for name in cells.var_names]
    taken: set[str] = set()
    names = []
    for symbol, answer in zip(symbols, orthologs.translate(symbols, "human", "mouse", known=genes), strict=True):
        names.append(answer if answer and answer not in taken else f"human:{symbol}")
        taken.add(answer)
    cells.var_names = names
    cells.write_h5ad(target)
    return target
