"""The report: one self-contained page that a person can read, print and forward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from schema.calls import CallRules
from schema.labels import CellOntology
from schema.predictions import (
    ASSESSABLE,
    FILTER_GENES,
    LOW_CONFIDENCE,
    NOT_ASSESSABLE,
    SAMPLE_COLUMNS,
    STAGE_BESIDE_BURDEN,
    check_columns,
    sample_columns,
    state_columns,
)
from schema.stages import StageScale
from scoring.assessability import CONFIDENT_DENOMINATOR, CONFIDENT_NEUTROPHILS, MIN_DENOMINATOR
from scoring.burden import BurdenConfig
from scoring.companion_section import companion_rows
from scoring.comparison import Grouped
from scoring.comparison_text import comparison_rows
from scoring.droplets import MIN_COUNTS, n_described, unfiltered_sentence
from scoring.figures import burden_figure, composition_figure, embedding_figure, stage_figure, state_figure
from scoring.filters import filter_sentences, filters_by_type
from scoring.gene_figure import gene_figures
from scoring.headline import burden_headline, stage_headline
from scoring.pictures import inline_pictures
from scoring.reliability_figure import reliability_figure
from scoring.sample_facts import MIN_STATE_NEUTROPHILS
from scoring.stage_section import MOST_SAMPLES, driver_rows, head_rows, note_rows, verdict_sentences
from scoring.sureness import sureness
from scoring.wording import count_text, interval_text, percent_text, visible_text

TEMPLATE = "report.html.j2"
_MAX_NAME = 240
"""Characters of a name that a table shows; figures show fewer."""

_MOST_NAMES = 100
"""Samples of a verdict that are named; the others are counted."""


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """All that a report says.

    Attributes
    ----------
    title
        Heading of the page.
    simulated
        Whether the data are simulated; says so all over the page.
    samples
        samples.csv as a table (`schema.predictions.sample_columns`).
    ontology, scale
        Of the bundle; no scale, no stage.
    embedding
        Picture of the cells: x, y (float, no unit), cell_type (name), neutrophil_probability (calibrated); may
        be empty.
    coverage
        How the file's genes met the bundle's, as words: "genes found" to "13,210 of 15,000 (88 %)" and so on.
    warnings
        Sentences that hold for the whole run.
    provenance
        Versions, digests, seeds, as words; no paths.
    truth
        Known truth of simulated samples: sample_id, burden_percent, tumor_stage (name or blank); None for real data.
    input_name, species, bundle
        File name, species and bundle for the heading; left out where blank.
    burden_config
        How the intervals were computed.
    rules, checks
        Of the bundle: when a cell gets a label, and how well probabilities, labels and novelty held on held-out donors.
    labels
        What was said of the cells: words, cells and their percent.
    filters
        filters.csv as a table; None leaves the section out.
    min_counts, unfiltered
        Least UMI of a barcode that is called, and whether the file holds all droplets.
    genes, stage_types, stage_cells
        genes.csv, stage_types.csv and stage_cells.csv as tables; None or no rows where no call was explained, no stage
        said.
    stage_support
        Of the bundle, by output: what speaks for and against its stage.
    companions
        companions.csv as a table; None leaves the section out.
    grouped, grouped_by
        Samples by group, and by what, as words; None leaves the pictures of groups out.
    comparison
        comparison.csv as a table; None where nothing was compared.
    """

    title: str
    simulated: bool
    samples: pd.DataFrame
    ontology: CellOntology
    scale: StageScale | None
    embedding: pd.DataFrame
    coverage: Mapping[str, str]
    warnings: Sequence[str]
    provenance: Mapping[str, str]
    truth: pd.DataFrame | None = None
    input_name: str = ""
    species: str = ""
    bundle: str = ""
    burden_config: BurdenConfig = field(default_factory=BurdenConfig)
    rules: CallRules | None = None
    checks: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    labels: Sequence[tuple[str, int, float]] = ()
    filters: pd.DataFrame | None = None
    min_counts: int = MIN_COUNTS
    unfiltered: bool = False
    genes: pd.DataFrame | None = None
    stage_types: pd.DataFrame | None = None
    stage_cells: pd.DataFrame | None = None
    stage_support: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    companions: pd.DataFrame | None = None
    grouped: Grouped | None = None
    grouped_by: str = ""
    comparison: pd.DataFrame | None = None


def render_report(content: ReportContent) -> str:
    """Return the report as one HTML page: no script, no request, the same bytes for the same content.

    Of many samples the first are shown, in the order of the report, and the files named that have all: a page of 10,000
    stays under 10 MB.

    Raises
    ------
    ValueError
        If the table of samples does not have the contract's columns.
    """
    check_columns(content.samples, sample_columns(content.ontology, content.scale))
    samples = order_samples(_without_blanks(content.samples), content.scale)
    shown = samples.head(MOST_SAMPLES)
    truth = _truth_in_order(content.truth, shown)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_made_visible,
    )
    return environment.get_template(TEMPLATE).render(
        content=content,
        facts=_facts(content, samples),
        headlines=[burden_headline(samples), *([stage_headline(samples, content.scale)] if content.scale else [])],
        droplets=unfiltered_sentence(samples, content.min_counts) if content.unfiltered else "",
        filter_sentences=filter_sentences(content.filters, content.ontology) if content.filters is not None else [],
        filter_rows=_filter_rows(content.filters),
        rows=_table_rows(shown, content.scale, truth, n_described(shown, unfiltered=content.unfiltered)),
        n_samples=len(samples),
        figures=_draw_figures(content, shown, truth),
        verdicts=_verdicts(samples),
        sureness=sureness(content.rules, content.checks),
        comparison=comparison_rows(content.comparison, content.ontology) if content.comparison is not None else [],
        stage_notes=[(output, note, list(map(_shown_name, names))) for output, note, names in note_rows(samples)],
        stage_heads=head_rows(content.checks),
        stage_verdicts=verdict_sentences(content.stage_support),
        companions=[row | {"name": _shown_name(row["name"])} for row in companion_rows(content.companions, shown)],
        stage_drivers=_stage_drivers(content, samples),
        most_samples=MOST_SAMPLES,
        most_names=_MOST_NAMES,
        limits={
            "min_denominator": MIN_DENOMINATOR,
            "denominator": CONFIDENT_DENOMINATOR,
            "neutrophils": CONFIDENT_NEUTROPHILS,
            "states": MIN_STATE_NEUTROPHILS,
        },
    )


def order_samples(samples: pd.DataFrame, scale: StageScale | None) -> pd.DataFrame:
    """Return samples by the stage predicted without neutrophils, then burden, then name; those without a value last.

    Burden is held against that stage, because the other has seen the neutrophils.
    """
    levels = {level.name: code for code, level in enumerate(scale.levels)} if scale else {}
    keyed = samples.assign(level=samples[STAGE_BESIDE_BURDEN].map(levels).astype("Float64"))
    order = keyed.sort_values(["level", "burden_percent", "sample_id"], kind="stable", na_position="last").index
    return samples.loc[order].reset_index(drop=True)


def _without_blanks(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the table with empty texts where a file has blanks."""
    texts = [column.name for column in SAMPLE_COLUMNS if column.dtype == "string"]
    return samples.assign(**{name: samples[name].fillna("") for name in texts})


def _draw_figures(content: ReportContent, samples: pd.DataFrame, truth: pd.DataFrame | None) -> dict[str, str]:
    """Return the figures that the content allows, by name."""
    scale, ontology = content.scale, content.ontology
    figures = {
        "burden": burden_figure(samples, scale, truth),
        "composition": composition_figure(samples, ontology),
    }
    if scale is not None:
        figures["stage"] = stage_figure(samples, scale, truth)
    if len(content.embedding):
        figures["embedding"] = embedding_figure(content.embedding, samples, ontology)
    if content.checks.get("reliability"):
        figures["reliability"] = reliability_figure(content.checks["reliability"])
    if state_columns(ontology):
        figures["states"] = state_figure(samples, ontology)
    if content.grouped is not None:
        figures |= inline_pictures(content.grouped, ontology)
    return figures | gene_figures(content.genes, content.samples, ontology)


def _truth_in_order(truth: pd.DataFrame | None, samples: pd.DataFrame) -> pd.DataFrame | None:
    if truth is None:
        return None
    return truth.set_index("sample_id").reindex(samples["sample_id"].astype(object)).reset_index()


def _facts(content: ReportContent, samples: pd.DataFrame) -> dict[str, str]:
    facts = {
        "Input": content.input_name,
        "Species": content.species,
        "Bundle": content.bundle,
        "Samples": count_text(len(samples)),
        "Cells": count_text(int(n_described(samples, unfiltered=content.unfiltered).sum())),
        "Low counts": count_text(n_low) if (n_low := int(samples["n_low_counts"].sum())) else "",
        "Called ambient": count_text(int(samples["n_ambient"].sum())) if content.unfiltered else "",
    }
    return {name: value for name, value in facts.items() if value}


def _filter_rows(filters: pd.DataFrame | None) -> list[dict[str, str]]:
    """Return what filters lose of each type, commonest first, as texts."""
    if filters is None:
        return []
    by_type = filters_by_type(filters)
    return [
        {
            "name": str(row["cell_type"]),
            "n_cells": count_text(row["n_cells"]),
            **{f"lost_{least}": _lost_text(row, least) for least in FILTER_GENES},
        }
        for row in by_type.to_dict("records")
    ]


def _lost_text(row: Mapping[Any, Any], least: int) -> str:
    return f"{count_text(row[f'n_lost_{least}'])} ({percent_text(row[f'percent_lost_{least}'])} %)"


def _table_rows(
    samples: pd.DataFrame, scale: StageScale | None, truth: pd.DataFrame | None, n_cells: pd.Series
) -> list[dict[str, Any]]:
    rows = []
    for i in range(len(samples)):
        sample = samples.iloc[i]
        rows.append(
            {
                "name": _shown_name(sample["sample_id"]),
                "burden": interval_text(sample),
                "assessability": sample["assessability"],
                "flags": [flag for flag in str(sample["flags"]).split("; ") if flag],
                "stage": sample["predicted_tumor_stage"] or "–",
                "stage_probability": _stage_probability(sample, scale),
                "stage_beside_burden": sample[STAGE_BESIDE_BURDEN] or "–",
                "n_cells": count_text(n_cells.iloc[i]),
                "n_denominator": count_text(sample["n_denominator"]),
                "median_library_size": count_text(sample["median_library_size"]),
                "true_burden": percent_text(float(truth["burden_percent"].iloc[i])) if truth is not None else "",
                "true_stage": _blank(truth["tumor_stage"].iloc[i]) if truth is not None else "",
            }
        )
    return rows


def _stage_probability(sample: pd.Series, scale: StageScale | None) -> str:
    """Return the probability of the predicted stage in percent; blank where none is predicted."""
    names = [level.name for level in scale.levels] if scale else []
    if scale is None or sample["predicted_tumor_stage"] not in names:
        return ""
    at_least = [1.0, *(float(sample[f"p_stage_ge_{level.id}"]) for level in scale.levels[1:]), 0.0]
    level = names.index(sample["predicted_tumor_stage"])
    return f"{100 * (at_least[level] - at_least[level + 1]):.0f} %"


def _verdicts(samples: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return the samples of each verdict, worst first."""
    by_verdict = [
        (verdict, [_shown_name(s) for s in samples.loc[samples["assessability"] == verdict, "sample_id"]])
        for verdict in (NOT_ASSESSABLE, LOW_CONFIDENCE, ASSESSABLE)
    ]
    return [(verdict.replace("_", " "), names) for verdict, names in by_verdict if names]


def _stage_drivers(content: ReportContent, samples: pd.DataFrame) -> list[dict[str, Any]]:
    rows = driver_rows(content.stage_types, content.stage_cells, samples["sample_id"].tolist())
    return [row | {"name": _shown_name(row["name"])} for row in rows]


def _shown_name(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}… ({len(name)} characters)"


def _made_visible(value: object) -> object:
    return visible_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _blank(value: object) -> str:
    return str(value) if isinstance(value, str) and value else "–"
