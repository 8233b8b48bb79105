"""The files that settings name, made where they are not there."""

from __future__ import annotations

from collections.abc import Sequence

import anndata as ad

from benchmarks.cells_settings import DONORS, FOLDS, HUMAN, MICE, STUDIES, STUDY, UNKNOWN, ZILIONIS_TREE, Plan, left_out
from benchmarks.joint import NOT_LABELLED, shown_genes, training_cells
from benchmarks.real_human import write_as_mouse
from benchmarks.real_mice import mouse_folds, write_test_cells
from benchmarks.studies import ZILIONIS_HUMAN, ZILIONIS_MOUSE, write_copies
from schema.labels import TYPE_LEVEL, CellOntology
from schema.orthologs import load_orthologs


def make_files(plan: Plan, parts: Sequence[str]) -> None:
    """Make the files of some parts where they are not there."""
    for seed in plan.seeds if {DONORS, STUDY, UNKNOWN} & set(parts) else ():
        plan.cohort_of(seed).make(tuple(s.name for s in left_out(plan) if s.seed == seed and UNKNOWN in parts))
    if {FOLDS, STUDIES, HUMAN} & set(parts) and not (plan.human_as_mouse).exists():
        _make_real(plan)


def _make_real(plan: Plan) -> None:
    files = write_copies((*MICE, ZILIONIS_HUMAN), plan.data, plan.cells)
    for fold in mouse_folds():
        write_test_cells(files[ZILIONIS_MOUSE.name], fold.test_donors, plan.cells / f"{fold.name}.h5ad")
    ontology = CellOntology.load(ZILIONIS_TREE)
    for one in MICE:
        no_finer_than_types(ad.read_h5ad(files[one.name]), ontology).write_h5ad(plan.cells / f"types_{one.name}.h5ad")
    genes = shown_genes(training_cells([files[one.name] for one in MICE], ()), 1)
    write_as_mouse(files[ZILIONIS_HUMAN.name], genes, load_orthologs(None), plan.human_as_mouse)


def no_finer_than_types(cells: ad.AnnData, ontology: CellOntology) -> ad.AnnData:
    """Return cells whose labels below the level of types are replaced by the type."""
    at_type = ontology.ancestor_at(TYPE_LEVEL)

    def type_of(label: str) -> str:
        if label == NOT_LABELLED or at_type[ontology.index_by_id[label]] < 0:
            return label
        return str(ontology.nodes[at_type[ontology.index_by_id[label]]].id)

    cells.obs["cell_type"] = [type_of(label) for label in cells.obs["cell_type"].astype(str)]
    return cells
