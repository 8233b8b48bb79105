"""Names in reports: HTML, scripts, templates, paths, formulas and shell text as names of samples and cells."""

from __future__ import annotations

import csv
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import anndata as ad
import numpy as np

from benchmarks.faults.injection import Happening, Injection, predict_arguments, run
from benchmarks.faults.materials import Materials
from schema.predictions import read_samples

ROW = "names in reports"

NAMES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</svg></style><iframe src=//evil>",
    "{{ 7*7 }}{% raw %}",
    "../../../../tmp/escaped",
    "$(touch escaped); `id`",
    '=HYPERLINK("http://evil")',
    "-1+1",
    "NA",
    "a\rb",
)

_FORBIDDEN = {"script", "iframe", "img", "link", "object", "embed", "form", "base", "audio", "video"}


class _Page(HTMLParser):
    """What of a page would run or be fetched, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults, self.texts = list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look for tags and attributes that do something."""
        self.faults += [f"<{tag}>"] if tag in _FORBIDDEN else []
        for name, value in attrs:
            fetches = name in ("src", "href", "xlink:href") and not (value or "").startswith(("#", "data:image/"))
            self.faults += [f"{tag} {name}={value}"] if fetches or name.startswith("on") else []

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.texts.append(data)


def named(column: str) -> Callable[[Materials, Path], Happening]:
    """Return what predicts a file in which samples, or groups, bear hostile names."""

    def inject(materials: Materials, folder: Path) -> Happening:
        adata = ad.read_h5ad(materials.good)
        names = np.array(NAMES)[np.arange(adata.n_obs) % len(NAMES)]
        adata.obs["sample_id"] = names if column == "sample_id" else np.char.add("sample ", names)
        adata.obs["arm"] = names
        adata.obs["donor_id"] = adata.obs["sample_id"]
        adata.write_h5ad(folder / "hostile.h5ad")
        bad = materials._replace(good=folder / "hostile.h5ad")
        ended = run(predict_arguments(bad, folder / "out", "--report", "true", "--compare.by", "arm"))
        problems = ended.problems(0)
        if ended.code == 0:
            page = _Page((folder / "out/report.html").read_text(encoding="utf-8"))
            problems += page.faults + (["a template ran"] if "49" in {text.strip() for text in page.texts} else [])
            problems += [f"a formula in {path.name}" for path in (folder / "out").glob("*.csv") if _has_formula(path)]
            found = set(read_samples(folder / "out/samples.csv")["sample_id"])
            problems += [] if found == set(adata.obs["sample_id"]) else ["other names in samples.csv"]
        written = sorted(path.name for path in folder.iterdir())
        return ended.happening([*problems, *([] if written == ["hostile.h5ad", "out"] else [f"written: {written}"])])

    return inject


def _has_formula(path: Path) -> bool:
    with path.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    return any(cell[:1] in "=+-@\t\r" and not _is_number(cell) for cell in cells if cell)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


INJECTIONS = [
    Injection(row=ROW, name=f"hostile names of {words}", expected="text everywhere, as it was", run=named(column))
    for column, words in (("sample_id", "samples"), ("arm", "groups"))
]
