"""The tables that leave the program: every column with its dtype, unit and meaning, stated once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from schema.labels import CellOntology
from schema.stages import StageScale
from schema.tables import read_csv, write_csv

ASSESSABLE, LOW_CONFIDENCE, NOT_ASSESSABLE = "assessable", "low_confidence", "not_assessable"


@dataclass(frozen=True)
class Column:
    """A column of a table: name, pandas dtype, unit and meaning."""

    name: str
    dtype: str
    unit: str
    meaning: str


CELL_COLUMNS = (
    Column("row", "int64", "row", "row of the cell in the input file, from 0"),
    Column("cell_id", "string", "-", "barcode or obs name of the cell, as in the input"),
    Column("sample_id", "string", "-", "sample the cell belongs to"),
    Column("library_size", "float32", "UMI", "counts of the cell over all genes of the file"),
    Column("n_genes", "int32", "genes", "genes of the file with at least one count"),
    Column("predicted_cell_type", "string", "-", "most probable type at level 2 (type), calibrated"),
    Column("predicted_cell_type_conf", "float32", "probability", "calibrated probability of that type"),
    Column("predicted_cell_type_ontology_term_id", "string", "CL id", "Cell Ontology id of that type or its nearest"),
    Column(
        "predicted_neutrophil_state",
        "string",
        "-",
        "state, all states taken as equally common; empty unless neutrophil",
    ),
    Column("predicted_label", "string", "-", "deepest node of the label tree that is probable enough, or unknown"),
    Column("predicted_label_conf", "float32", "probability", "calibrated probability of that node; blank for unknown"),
    Column(
        "predicted_label_reason",
        "string",
        "-",
        "why there is no cell type: low counts, ambient, out of distribution, ambiguous; else empty",
    ),
    Column("neutrophil_probability", "float32", "probability", "calibrated mass at and below neutrophil"),
    Column("denominator_probability", "float32", "probability", "calibrated mass of types that the burden counts"),
    Column("ood_score", "float32", "standard deviations", "novelty: about 0 for known cells, larger = stranger"),
)
"""Columns of cells.parquet; those that start with predicted_ are also written to obs."""

ALL_CELLS, WITHOUT_NEUTROPHILS = "all", "without neutrophils"
STAGE_OUTPUTS = (ALL_CELLS, WITHOUT_NEUTROPHILS)
"""What the two stages of a sample are read from; the second sees neither neutrophils nor their share."""

ATTENTION_SHARE, LOG_ODDS = "share of attention", "log odds of a later stage"
"""Kinds of weight in stage_types.csv and stage_cells.csv."""

NBS, NBS_CD45 = "NBS-1.0", "NBS-1.0/CD45"
"""Names of the burden: of all cells that it counts, and of CD45+ cells."""

BELOW_LIMIT, DETECTED = "< LOD", "detected"

STAGE_BESIDE_BURDEN = "predicted_tumor_stage_without_neutrophils"
"""The stage that burden is held against: it has not seen the neutrophils."""

SAMPLE_COLUMNS = (
    Column("sample_id", "string", "-", "sample: the specimen sequenced, unit of stage and burden"),
    Column("n_cells", "int64", "cells", "rows of the sample"),
    Column("n_low_counts", "int64", "cells", "rows with too few UMI to be called (min_counts); in no other figure"),
    Column("n_ambient", "int64", "cells", "rows called ambient RNA; of an unfiltered file in no other figure"),
    Column(
        "n_denominator", "float64", "cells", "expected viable nucleated singlets without erythroid cells, platelets"
    ),
    Column("n_neutrophils", "float64", "cells", "expected neutrophils among them"),
    Column("burden_name", "string", "-", "NBS-1.0, or NBS-1.0/CD45 of CD45-sorted samples: never to be pooled"),
    Column("burden_percent", "float64", "percent", "neutrophils per 100 cells of the denominator"),
    Column("burden_low", "float64", "percent", "lower end of the 95 % interval"),
    Column("burden_high", "float64", "percent", "upper end of the 95 % interval"),
    Column("burden_denominator", "string", "-", "what the percentage is of"),
    Column("lod_percent", "float64", "percent", "limit of detection: 97.5th percentile of neutrophil-free samples"),
    Column("detection", "string", "-", "< LOD where the burden is below it, else detected; blank where not known"),
    Column("burden_estimator", "string", "-", "which of the next four the burden is"),
    Column("burden_corrected_percent", "float64", "percent", "mistakes on held-out donors undone, on the simplex"),
    Column("burden_counted_percent", "float64", "percent", "calibrated probabilities summed"),
    Column("burden_called_percent", "float64", "percent", "most probable types counted"),
    Column("burden_em_percent", "float64", "percent", "probabilities moved from the training prior, by EM"),
    Column("sort_gate", "string", "-", "gate that the cells were sorted by, or unsorted"),
    Column("suspension", "string", "-", "cell or nucleus"),
    Column("assessability", "string", "-", "assessable, low_confidence or not_assessable (then the burden is blank)"),
    Column("flags", "string", "-", "reasons and warnings, separated by '; '"),
    Column("predicted_tumor_stage", "string", "-", "most probable level of the stage scale; blank where not predicted"),
    Column("tumor_stage_expected", "float64", "stages", "sum over k >= 1 of P(stage >= k): 0 = lowest level"),
    Column(STAGE_BESIDE_BURDEN, "string", "-", "the same, of what sees no neutrophils: to hold burden against"),
    Column("tumor_stage_expected_without_neutrophils", "float64", "stages", "the same, without neutrophils"),
    Column("tumor_stage_note", "string", "-", "why nothing is said of the stage; else empty"),
    Column("tumor_stage_note_without_neutrophils", "string", "-", "the same, of the stage without neutrophils"),
    Column("median_library_size", "float64", "UMI", "median counts per cell (nearest of 200 log-spaced bins)"),
    Column("low_count_percent", "float64", "percent", "cells with fewer than 500 UMI"),
    Column("min_genes", "int64", "genes", "0.5th percentile of the genes detected per cell"),
    Column("genes_found_percent", "float64", "percent", "vocabulary genes that the file measured"),
    Column(
        "outside_denominator_percent", "float64", "percent", "expected erythroid, platelet, ambient and doublet rows"
    ),
    Column("ood_percent", "float64", "percent", "cells that resemble none of the training (out of distribution)"),
)
"""Columns of samples.csv before those that depend on the bundle (see `stage_columns`, `fraction_columns`)."""


FILTER_GENES = (200, 500)
"""Genes per barcode that are common filters: what each would have lost is counted."""

FILTER_COLUMNS = (
    Column("sample_id", "string", "-", "sample"),
    Column("cell_type", "string", "-", "called type (level 2)"),
    Column("n_cells", "int64", "cells", "cells of the sample called that type"),
    Column("n_lost_200", "int64", "cells", "those with fewer than 200 genes of the file"),
    Column("n_lost_500", "int64", "cells", "those with fewer than 500 genes of the file"),
)
"""Columns of filters.csv."""


STAGE_TYPE_COLUMNS = (
    Column("sample_id", "string", "-", "sample"),
    Column("sees", "string", "-", "what the stage is read from: all, or without neutrophils"),
    Column("cell_type_id", "string", "-", "id of the type (level 2)"),
    Column("cell_type", "string", "-", "its name"),
    Column("cell_share", "float64", "fraction", "expected share of the rows of the sample"),
    Column("weight", "float64", "see kind", "what it says for the stage"),
    Column("kind", "string", "-", "log odds of a later stage, over the mean training sample; or share of attention"),
)
"""Columns of stage_types.csv."""

STAGE_CELL_COLUMNS = (
    Column("sample_id", "string", "-", "sample"),
    Column("sees", "string", "-", "what the stage is read from: all, or without neutrophils"),
    Column("rank", "int64", "rank", "1 = largest weight in the sample, whatever its sign"),
    Column("row", "int64", "row", "row of the cell in the input file, from 0"),
    Column("cell_id", "string", "-", "barcode or obs name of the cell, as in the input"),
    Column("cell_type_id", "string", "-", "id of its called type (level 2)"),
    Column("cell_type", "string", "-", "name of that type"),
    Column("weight", "float64", "see kind", "what the cell by itself says for the stage"),
    Column("mean_weight", "float64", "see kind", "what mean pooling gives: the mean cell of its type, or 1 / cells"),
    Column("kind", "string", "-", "log odds of a later stage, by the look of the cell; or share of attention"),
)
"""Columns of stage_cells.csv."""


COMPANION_COLUMNS = (
    Column("sample_id", "string", "-", "sample"),
    Column("n_neutrophils", "float64", "cells", "expected neutrophils"),
    Column("n_called_neutrophils", "int64", "cells", "cells called neutrophil: their counts make the pseudobulk"),
    Column(
        "pro_tumor_percent",
        "float64",
        "percent",
        "neutrophils in states that lean towards the tumour, of all in a state",
    ),
    Column("pro_tumor_low", "float64", "percent", "lower end of its 95 % interval"),
    Column("pro_tumor_high", "float64", "percent", "upper end of its 95 % interval"),
    Column("weighted_burden_percent", "float64", "percent", "NBS-1.0w: burden times pro-tumour share"),
    Column("polarity", "float64", "-", "mean score of pro-tumour minus that of anti-tumour programmes, -1 to 1"),
    Column("neutrophil_lymphocyte_ratio", "float64", "ratio", "neutrophils per lymphocyte in the tissue"),
    Column("neutrophil_lymphocyte_low", "float64", "ratio", "lower end of its 95 % interval"),
    Column("neutrophil_lymphocyte_high", "float64", "ratio", "upper end of its 95 % interval"),
    Column("n_doublets", "float64", "droplets", "expected droplets of two cells of different type"),
    Column("n_neutrophil_malignant", "float64", "droplets", "those of a neutrophil and a malignant cell"),
    Column("n_neutrophil_malignant_by_chance", "float64", "droplets", "those that chance would make, from the others"),
    Column("doublet_log2_ratio", "float64", "log2", "found over by chance; of an unsorted run a baseline, no contact"),
    Column("doublet_log2_low", "float64", "log2", "lower end of its 95 % interval"),
    Column("doublet_log2_high", "float64", "log2", "upper end of its 95 % interval"),
    Column("endothelial_percent", "float64", "percent", "endothelial cells per 100 cells of the denominator"),
    Column("tip_percent", "float64", "percent", "tip cells per 100 endothelial cells of blood vessels"),
    Column("tip_low", "float64", "percent", "lower end of its 95 % interval"),
    Column("tip_high", "float64", "percent", "upper end of its 95 % interval"),
    Column("niche_index", "float64", "-", "geometric mean of (endothelial x tip share) and angiogenic score, 0 to 1"),
    Column("score_angiogenic", "float64", "mean rank, 0-1", "angiogenic programme in neutrophils; 0.5 = as any gene"),
    Column("score_matrix_remodelling", "float64", "mean rank, 0-1", "matrix remodelling in neutrophils"),
    Column("score_immunosuppressive", "float64", "mean rank, 0-1", "immunosuppression in neutrophils"),
    Column("score_tumor_associated", "float64", "mean rank, 0-1", "genes of tumour-associated neutrophils"),
    Column("score_cytotoxic", "float64", "mean rank, 0-1", "cytotoxicity in neutrophils"),
    Column("score_interferon", "float64", "mean rank, 0-1", "interferon response in neutrophils"),
    Column("score_antigen_presenting", "float64", "mean rank, 0-1", "antigen presentation in neutrophils"),
    Column("companion_notes", "string", "-", "why something is blank, separated by '; '"),
)
"""Columns of companions.csv before those that depend on the bundle (see `companion_columns`)."""


def stage_columns(scale: StageScale) -> tuple[Column, ...]:
    """Return one column per threshold of a scale: P(stage >= level), for every level but the lowest."""
    return tuple(
        Column(f"p_stage_ge_{level.id}", "float64", "probability", f"probability of {level.name} or beyond")
        for level in scale.levels[1:]
    )


def fraction_columns(ontology: CellOntology) -> tuple[Column, ...]:
    """Return one column per level-2 type: its expected share of the rows of a sample."""
    return tuple(
        Column(
            f"fraction_{ontology.nodes[i].id}",
            "float64",
            "fraction",
            f"expected share of rows: {ontology.nodes[i].name}",
        )
        for i in ontology.nodes_at(2)
    )


def state_columns(ontology: CellOntology) -> tuple[Column, ...]:
    """Return one column per neutrophil state: its expected share among the neutrophils of a sample."""
    return tuple(
        Column(
            f"state_{ontology.nodes[i].id}",
            "float64",
            "fraction",
            f"expected share of neutrophils: {ontology.nodes[i].name}",
        )
        for i in ontology.neutrophil_states.tolist()
    )


def companion_columns(ontology: CellOntology) -> tuple[Column, ...]:
    """Return all columns of companions.csv for a bundle, in order: at the end each state's share with its interval."""
    states = [
        Column(f"{column.name}{end}", column.dtype, column.unit, f"{words}{column.meaning}")
        for column in state_columns(ontology)
        for end, words in (("", ""), ("_low", "lower end of the 95 % interval: "), ("_high", "upper end: "))
    ]
    return (*COMPANION_COLUMNS, *states)


def sample_columns(ontology: CellOntology, scale: StageScale | None) -> tuple[Column, ...]:
    """Return all columns of samples.csv for a bundle, in order."""
    stages = stage_columns(scale) if scale is not None else ()
    return (*SAMPLE_COLUMNS, *stages, *fraction_columns(ontology), *state_columns(ontology))


def cells_schema() -> pa.Schema:
    """Return the Arrow schema of cells.parquet."""
    types = {"string": pa.string(), "int64": pa.int64(), "int32": pa.int32(), "float32": pa.float32()}
    return pa.schema([pa.field(c.name, types[c.dtype], metadata={"unit": c.unit}) for c in CELL_COLUMNS])


def check_columns(frame: pd.DataFrame, columns: tuple[Column, ...]) -> None:
    """Refuse a table whose columns are not exactly the contract's, in order.

    Raises
    ------
    ValueError
        Naming the first difference.
    """
    expected = [column.name for column in columns]
    for position, (want, have) in enumerate(zip(expected, frame.columns, strict=False)):
        if want != have:
            raise ValueError(f"Expected column {position} to be {want!r} but got {have!r}.")
    if len(expected) != len(frame.columns):
        raise ValueError(f"Expected {len(expected)} columns but got {len(frame.columns)}.")


def write_samples(frame: pd.DataFrame, path: Path, columns: tuple[Column, ...]) -> None:
    """Write samples.csv: UTF-8, six significant digits, blanks for what is not known."""
    _write(frame, path, columns)


def write_companions(frame: pd.DataFrame, path: Path, columns: tuple[Column, ...]) -> None:
    """Write companions.csv: UTF-8, six significant digits, blanks for what is not known."""
    _write(frame, path, columns)


def write_filters(frame: pd.DataFrame, path: Path) -> None:
    """Write filters.csv: UTF-8, whole numbers."""
    _write(frame, path, FILTER_COLUMNS)


def write_stage_types(frame: pd.DataFrame, path: Path) -> None:
    """Write stage_types.csv: UTF-8, six significant digits."""
    _write(frame, path, STAGE_TYPE_COLUMNS)


def write_stage_cells(frame: pd.DataFrame, path: Path) -> None:
    """Write stage_cells.csv: UTF-8, six significant digits."""
    _write(frame, path, STAGE_CELL_COLUMNS)


def _write(frame: pd.DataFrame, path: Path, columns: tuple[Column, ...]) -> None:
    check_columns(frame, columns)
    write_csv(frame, path)


def read_samples(path: Path) -> pd.DataFrame:
    """Read a samples.csv; names stay text even where they look like numbers, and "NA" is a name."""
    return read_csv(path, [column.name for column in SAMPLE_COLUMNS if column.dtype == "string"])


GENE_COLUMNS = (
    Column("cell_type_id", "string", "node id", "type or neutrophil state that was called, as in the label tree"),
    Column("cell_type", "string", "-", "its name"),
    Column("level", "int64", "-", "its level in the label tree"),
    Column("sample_id", "string", "-", "sample whose neutrophils were explained; blank = cells of all samples"),
    Column("n_cells", "int64", "cells", "cells so called that were drawn and explained"),
    Column("rank", "int64", "-", "place of the gene among those that speak for the call, from 1"),
    Column("gene", "string", "symbol", "gene, as the bundle names it"),
    Column("attribution", "float64", "nats", "what the gene adds to the log probability of the call, mean over cells"),
    Column("linear", "float64", "-", "what it adds to the score of a linear method, 0 = not so called, 1 = so called"),
    Column("linear_rank", "Int64", "-", "place of the gene by that value among all measured genes; blank without it"),
    Column("mean_expression", "float64", "log1p(CP10k)", "mean over the explained cells"),
    Column("mean_expression_elsewhere", "float64", "log1p(CP10k)", "mean over cells of the file called otherwise"),
    Column("is_marker", "bool", "-", "whether the label tree lists it as a marker of the call"),
    Column(
        "rank_correlation", "float64", "-", "Spearman's, attribution with linear, over the 100 genes furthest from 0"
    ),
)
"""Columns of genes.csv: for each call the genes that drove it, and a linear method beside the network."""


def write_genes(frame: pd.DataFrame, path: Path) -> None:
    """Write genes.csv: UTF-8, six significant digits, blanks for what is not known."""
    _write(frame, path, GENE_COLUMNS)


def read_genes(path: Path) -> pd.DataFrame:
    """Read a genes.csv; names stay text even where they look like numbers, and "NA" is a name."""
    texts = [column.name for column in GENE_COLUMNS if column.dtype == "string"]
    types = {column.name: column.dtype for column in GENE_COLUMNS if column.dtype != "string"}
    frame = read_csv(path, texts)
    return frame.assign(**{name: frame[name].fillna("") for name in texts}).astype(types)
