"""Stage heads on real samples, a smoke test: few animals and people, so that the guards must refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.markdown import number, table
from benchmarks.measure import ROOT, python, run_measured
from benchmarks.stage_support import support_of
from benchmarks.studies import ZILIONIS_MOUSE, Study, write_copies
from model.bundle import load_bundle
from schema.predictions import ALL_CELLS

KANG = Study(name="kang2018", file="kang2018_human_pbmc_ifn_subset", stages=(("ctrl", "healthy"), ("stim", "tumor")))
QUESTIONS = {ZILIONIS_MOUSE.name: "healthy against tumour-bearing lung", KANG.name: "control against stimulated blood"}
TREE = ROOT / "configs" / "ontology_zilionis.yaml"


def real_rows(data: Path, work: Path, config: str) -> list[dict[str, Any]]:
    """Train on all samples of each study and return how heads and probes did on donors held out in turn."""
    kept = work / "real.json"
    if not kept.exists():
        work.mkdir(parents=True, exist_ok=True)
        files = write_copies((ZILIONIS_MOUSE, KANG), data, work / "real")
        kept.write_text(json.dumps([_row(name, file, work, config) for name, file in files.items()]), encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(kept.read_text(encoding="utf-8"))
    return rows


def _row(name: str, file: Path, work: Path, config: str) -> dict[str, Any]:
    run = work / f"real_{name}"
    command = python("train.py", "--config", config, "--output", str(run), "--data.files", str(file))
    command += ["--data.stage_scale", "healthy_vs_tumor", "--data.ontology", str(TREE), "--split.val_share", "0"]
    run_measured([*command, "--trainer.progress_bar", "false"], work / f"real_{name}.log")
    bundle = load_bundle(run / "bundle")
    return {"study": name, "support": support_of(bundle), "heads": [dict(row) for row in bundle.checks["stage"]]}


def real_table(rows: list[dict[str, Any]]) -> str:
    """Return the table of the page."""
    lines = []
    for row in rows:
        one = row["support"][ALL_CELLS]
        about = f"{QUESTIONS[row['study']]} ({one['n_samples']} samples, {one['n_donors']} donors)"
        for head in row["heads"]:
            seen = "probe" if head["output"] == "probe" else head["output"]
            score = [number(head["quadratic_kappa"], 2), number(head["mae"], 2)]
            lines.append([about, seen, head["head"] + (" (chosen)" if head["chosen"] else ""), *score])
        for output, support in row["support"].items():
            lines.append([about, output, f"said: {support['reason'] or 'a stage'}", "", ""])
    return table(["question", "sees", "head", "quadratic kappa", "error, stages"], lines)
