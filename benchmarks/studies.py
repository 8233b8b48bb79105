"""The studies of the real benchmark: their labels on one tree, their columns under one set of names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import yaml

from benchmarks.joint import NOT_LABELLED
from schema.labels import CellOntology

LABELS_FOLDER = Path(__file__).resolve().parents[1] / "configs" / "labels"


@dataclass(frozen=True, kw_only=True)
class Study:
    """One file of real cells.

    Attributes
    ----------
    name
        Short name; it also names the label map and starts every sample and donor.
    file
        Name of the `.h5ad` without its ending.
    label_column
        Column of obs with the authors' labels.
    stages
        Value of obs["stage"] to level of the scale healthy_vs_tumor; others are unknown.
    donors_known
        Whether obs["donor"] names animals or people; if not, the donor is "unknown".
    """

    name: str
    file: str
    label_column: str = "cell_type"
    stages: tuple[tuple[str, str], ...] = (("healthy", "healthy"), ("healthy adult", "healthy"), ("tumor", "tumor"))
    donors_known: bool = True


ZILIONIS_MOUSE = Study(name="zilionis_mouse", file="zilionis2019_mouse_lung_kp_subset", label_column="cell_subtype")
OTHER_MOUSE = (
    Study(name="paul2015", file="paul2015_mouse_bm_myeloid"),
    Study(name="weinreb", file="weinreb2020_larry_subset", donors_known=False),
    Study(name="pal2017", file="pal2017_mouse_mammary_epithelium_subset", label_column="cell_subtype"),
    Study(name="tabula_muris_mammary", file="tabula_muris_mammary_cytotalk_subset"),
    Study(name="mca", file="mca_mouse_stomach_intestine_subset", label_column="cell_subtype"),
)
ZILIONIS_HUMAN = Study(name="zilionis_human", file="zilionis2019_human_nsclc_subset")
WU = Study(name="wu2021", file="wu2021_human_breast_CID4465", label_column="cell_subtype")


def read_label_map(name: str) -> dict[str, str | None]:
    """Return a label map of configs/labels: label to node id, or None = not labelled."""
    content: dict[str, str | None] = yaml.safe_load((LABELS_FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


def harmonised_obs(obs: pd.DataFrame, study: Study, label_map: dict[str, str | None]) -> pd.DataFrame:
    """Return obs of a study under the project's names: `sample_id`, `donor_id`, `cell_type`, `tumor_stage`, `study`.

    Parameters
    ----------
    obs
        Cells of the study with `sample`, `donor`, `stage` and its label column.
    label_map
        Label to node id or None; every label must be in it.

    Raises
    ------
    ValueError
        If a label is not in the map.
    """
    labels = obs[study.label_column].astype(str)
    if unknown := sorted(set(labels) - set(label_map)):
        raise ValueError(f"Expected every label of {study.name} in its label map but got {unknown}.")
    donor = study.name + "_" + obs["donor"].astype(str) if study.donors_known else "unknown"
    stages = dict(study.stages)
    return pd.DataFrame(
        {
            "sample_id": study.name + "_" + obs["sample"].astype(str),
            "donor_id": donor,
            "cell_type": [label_map[label] or NOT_LABELLED for label in labels],
            "tumor_stage": [stages.get(value, "unknown") for value in obs["stage"].astype(str)],
            "study": study.name,
        },
        index=obs.index,
    )


def read_study(study: Study, data: Path) -> ad.AnnData:
    """Read a study's counts and genes, with its obs under the project's names."""
    cells = ad.read_h5ad(data / "single_cell" / f"{study.file}.h5ad")
    obs = harmonised_obs(cells.obs, study, read_label_map(study.name))
    obs.index = study.name + "_" + obs.index.astype(str)
    return ad.AnnData(X=cells.X, obs=obs, var=cells.var[["gene_id"]].astype(str))


def write_copies(studies: tuple[Study, ...], data: Path, folder: Path) -> dict[str, Path]:
    """Write a harmonised copy of each study into a folder and return the files by study name."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {study.name: folder / f"{study.name}.h5ad" for study in studies}
    for study in studies:
        read_study(study, data).write_h5ad(files[study.name])
    return files


def node_indices(labels: pd.Series, ontology: CellOntology) -> np.ndarray:
    """Return the node of each harmonised label, int64 `[n_cells]`; -1 where not labelled."""
    return labels.astype(str).map(lambda label: ontology.index_by_id.get(label, -1)).to_numpy(dtype=np.int64)
