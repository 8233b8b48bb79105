"""Simulate a staged mammary-tumour cohort with known truth: one h5ad of mice to train on, one of held-out mice."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track

from datamodules.simulation.cohort import SimulatedSample, plan_samples
from datamodules.simulation.config import SimulationConfig
from datamodules.simulation.file import CountsFile, new_counts_file
from datamodules.simulation.sample import SampleSimulator, called_barcodes
from datamodules.simulation.truth import STAGE_SCALE, SampleTruth, build_obs, sample_table
from schema.command import parse_config, run_command
from schema.errors import OutputError
from schema.labels import CellOntology

TRAINING_FILE, HELD_OUT_FILE = "train_simulated.h5ad", "held_out_simulated.h5ad"
NOTE = "Simulated data: no number in this file was measured."


def simulate(config: SimulationConfig) -> list[Path]:
    """Write `train_simulated.h5ad` and `held_out_simulated.h5ad`.

    Returns
    -------
    list of Path
        The two files, training first.

    Raises
    ------
    OutputError
        If one of them exists or cannot be written.
    """
    paths = [config.output / TRAINING_FILE, config.output / HELD_OUT_FILE]
    _prepare_folder(paths)
    ontology = CellOntology.load()
    simulator = SampleSimulator(config, ontology)
    samples = plan_samples(config.n_mice, config.n_held_out_mice, confounded=config.confounded)
    for path, held_out in zip(paths, (False, True), strict=True):
        _write_file(path, simulator, ontology, [sample for sample in samples if sample.held_out == held_out])
    return paths


def _write_file(
    path: Path, simulator: SampleSimulator, ontology: CellOntology, samples: Sequence[SimulatedSample]
) -> None:
    config, genes = simulator.config, simulator.tissue.genes
    with new_counts_file(path, config.n_genes, config.compression) as file:
        shown = track(samples, description=path.name, console=Console(stderr=True))
        truths = [_write_sample(file, simulator, ontology, sample) for sample in shown]
        var = pd.DataFrame({"gene_id": [""] * len(genes)}, index=pd.Index(genes, dtype=object))
        provenance = _provenance(config, sample_table(ontology, truths))
        file.finish(build_obs(ontology, truths, config.species), var, {"simulated": provenance})


def _write_sample(
    file: CountsFile, simulator: SampleSimulator, ontology: CellOntology, sample: SimulatedSample
) -> SampleTruth:
    droplets = simulator.draw_droplets(sample)
    called = []
    for counts in simulator.draw_counts(sample, droplets):
        called.append(called_barcodes(sample, counts))
        file.append(counts if called[-1].all() else counts[called[-1]])
    kept = np.concatenate(called)
    kind = np.array([ontology.index_by_id[name] for name in droplets.kind], dtype=np.int16)
    return SampleTruth(sample, kind[kept], droplets.ambient_of_droplets[kept], kind)


def _provenance(config: SimulationConfig, table: pd.DataFrame) -> dict[str, Any]:
    options = {name: "none" if value is None else value for name, value in asdict(config).items() if name != "output"}
    shared = {"simulated": True, "note": NOTE, "seed": config.seed, "stage_scale": STAGE_SCALE}
    return shared | {"config": options, "samples": table}


def _prepare_folder(paths: Sequence[Path]) -> None:
    try:
        existing = [path.name for path in paths if path.exists()]
        paths[0].parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            "the output folder must be writable", got=type(error).__name__, where="output", fix="Choose another folder."
        ) from error
    if existing:
        raise OutputError(
            "an output file must not exist yet", got="one that does", where=existing[0], fix="Choose another folder."
        )


def main() -> None:
    """Read the command line and simulate; write the paths of the two files to stdout."""
    for path in simulate(parse_config(SimulationConfig)):
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    sys.exit(run_command("simulate", main))
