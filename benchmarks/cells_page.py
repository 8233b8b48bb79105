"""The page of the cell benchmark in Markdown, from the rows as measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.cells_scores import UMI_BINS
from benchmarks.cells_settings import DONORS, FOLDS, HUMAN, METHODS, STUDIES, STUDY, UNKNOWN
from benchmarks.markdown import number, table
from benchmarks.real_mice import NETWORK
from schema.labels import CellOntology

Row = Mapping[str, Any]

PAGE = Path(__file__).with_name("cells_page.md")
QUICK = "**A quick run on small cohorts, to see that it works; no figure here can be quoted.**\n"
NOTHING = "Not run yet."
NAMES = {
    "network": "ours",
    "pca_logistic": "PCA + logistic",
    "celltypist": "CellTypist",
    "scanvi": "scANVI",
    "mlp": "MLP",
}
"""How the tables call methods."""
SHOWN_PARTS = (DONORS, STUDY, FOLDS, STUDIES, HUMAN)


def part_table(results: Row, part: str) -> str:
    """Return the scores of all methods in a part; why a method was not run."""
    header = ["method", "runs", "types, strict", "types, ontology-aware", "neutrophil states", "ECE"]
    missing = {row["method"]: row["why"] for row in results["not_run"] if row["part"] == part}
    rows = []
    for row in (r for r in results["rows"] if r["part"] == part):
        scores = [_interval(row[name]) for name in ("strict", "ontology_aware", "states")]
        n_runs = f"{row['n_runs']}, not all" if missing.pop(row["method"], "") else str(row["n_runs"])
        rows.append([_name(row["method"]), n_runs, *scores, _range(row["calibration_error"])])
    rows += [[_name(method), f"not run: {why}", *["-"] * (len(header) - 2)] for method, why in missing.items()]
    return table(header, rows)


def library_table(results: Row, part: str) -> str:
    """Return the strict macro-F1 of the cells of each bin of UMI."""
    of_part = [row for row in results["rows"] if row["part"] == part]
    bins = [name for name in UMI_BINS if any(name in row["by_library_size"] for row in of_part)]
    facts = {name: next(r["by_library_size"][name] for r in of_part if name in r["by_library_size"]) for name in bins}
    header = ["method", *(f"{n} UMI ({facts[n]['n_types']} types, {facts[n]['n_cells']} cells)" for n in bins)]
    body = [[_name(row["method"]), *(_interval(row["by_library_size"].get(name)) for name in bins)] for row in of_part]
    return table(header, body) if body else NOTHING


def case_table(results: Row, part: str, score: str, case_name: str) -> str:
    """Return a macro-F1 of every case of a part, a column per method."""
    of_methods = results["cases"].get(part, {})
    methods = [name for name in METHODS if name in of_methods]
    cases = list(dict.fromkeys(case for name in methods for case in of_methods[name]))

    def shown(method: str, case: str) -> str:
        found = of_methods[method].get(case)
        return _interval(found[score]) if found else "-"

    body = [[case, *(shown(method, case) for method in methods)] for case in cases]
    return table([case_name, *map(_name, methods)], body) if body else NOTHING


def stranger_table(results: Row) -> str:
    """Return the AUROC of every left-out type, a column per method, and the mean."""
    rows, tree = results["strangers"], CellOntology.load()
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    types = list(dict.fromkeys(row["type"] for row in rows))
    by_key = {(row["type"], row["method"]): row for row in rows}
    body = []
    for one in types:
        n_unknown = next(row["n_unknown"] for row in rows if row["type"] == one)
        scores = [number(by_key[one, m]["auroc"]) if (one, m) in by_key else "-" for m in methods]
        body.append([f"{tree.nodes[tree.index_by_id[one]].name} ({n_unknown})", *scores])
    means = [number(mean(row["auroc"] for row in rows if row["method"] == name)) for name in methods]
    header = ["left-out type (cells)", *map(_name, methods)]
    return table(header, [*body, ["mean", *means]]) + _why_not(results, UNKNOWN)


def cost_table(results: Row, part: str) -> str:
    """Return medians of seconds and peak memory."""
    header = ["method", "fit, s", "fit, peak MiB", "predict, s", "predict, peak MiB"]
    rows = []
    for row in (r for r in results["rows"] if r["part"] == part):
        cost = row["costs"]
        seconds = [f"{cost[name]:.1f}" for name in ("fit_seconds", "predict_seconds")]
        peaks = [f"{cost[name]:,.0f}" for name in ("fit_peak_mib", "predict_peak_mib")]
        rows.append([_name(row["method"]), seconds[0], peaks[0], seconds[1], peaks[1]])
    return table(header, rows) if rows else NOTHING


def speed_table(rows: Sequence[Row]) -> str:
    """Return whole commands on the same files."""
    header = ["command", "cells", "seconds", "cells/s", "peak, MiB"]
    body = []
    for row in rows:
        name = "predict.py" if row["method"] == "network" else "CellTypist annotate"
        seconds = f"{row['seconds']:.1f} ({row['seconds_low']:.1f}-{row['seconds_high']:.1f})"
        body.append(
            [name, f"{row['n_cells']:,}", seconds, f"{row['cells_per_second']:,.0f}", f"{row['peak_mib']:,.0f}"]
        )
    return table(header, body)


def target_table(targets: Sequence[Row], not_run: Sequence[Row] = ()) -> str:
    """Return each target with what was got, and whether it is met; no verdict where the network did not run whole."""
    verdicts = {True: "met", False: "**not met**", None: "-"}
    partial = {row["part"] for row in not_run if row["method"] == NETWORK}
    body = []
    for target in targets:
        is_partial = target["name"].split(":")[0] in partial and target["is_met"] is not None
        verdict = "run in part: no verdict" if is_partial else verdicts[target["is_met"]]
        body.append([target["name"], target["wanted"], target["got"], verdict])
    return table(["target", "wanted", "got", "verdict"], body)


def page(results: Row) -> str:
    """Return the page; see `benchmarks.cells.main` for what results hold."""
    scores = sorted({row["score"] for row in results["strangers"] if row["method"] == "network"})
    cells = {row["part"]: row["not_answerable"] for row in results["rows"]}
    return PAGE.read_text(encoding="utf-8").format(
        **{name: results[name] for name in ("command", "date", "commit", "hardware")},
        quick=QUICK if results["quick"] else "",
        run_commits=", ".join(results["run_commits"]) or "none",
        run_dates=", ".join(results["run_dates"]) or "none",
        seeds=", ".join(str(seed) for seed in results["seeds"]),
        versions=", ".join(f"{name} {found}" for name, found in results["versions"].items()) or "no peer",
        cohort=", ".join(f"`{name}` {value:g}" for name, value in results["cohort"].items()),
        targets=target_table(results["targets"], results["not_run"]),
        **{f"{part}_table": part_table(results, part) for part in SHOWN_PARTS},
        **{f"{part}_library": library_table(results, part) for part in SHOWN_PARTS},
        studies_strict=case_table(results, STUDIES, "strict", "tested on"),
        studies_aware=case_table(results, STUDIES, "ontology_aware", "tested on"),
        mice_strict=case_table(results, FOLDS, "strict", "trained on"),
        studies_unanswerable=f"{cells.get(STUDIES, 0):,}",
        stranger_table=stranger_table(results) if results["strangers"] else NOTHING,
        score=" and ".join(f"`{name}`" for name in scores) or "not run yet",
        donors_costs=cost_table(results, DONORS),
        mice_costs=cost_table(results, FOLDS),
        speed_table=speed_table(results["speed"]) if results["speed"] else NOTHING,
    )


def _name(method: str) -> str:
    return NAMES.get(method, method)


def _interval(found: Row | None) -> str:
    if not found or math.isnan(found["value"]):
        return "-"
    return f"{number(found['value'])} ({number(found['low'], 2)}-{number(found['high'], 2)})"


def _range(found: Row) -> str:
    return f"{number(found['value'])} ({number(found['low'])}-{number(found['high'])})"


def _why_not(results: Row, part: str) -> str:
    missing = [f"{_name(row['method'])} ({row['why']})" for row in results["not_run"] if row["part"] == part]
    return "\n\nNot (all) run: " + ", ".join(missing) + "." if missing else ""
