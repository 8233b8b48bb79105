import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from schema.confusion import Confusion
from schema.predictions import (
    ATTENTION_SHARE,
    LOG_ODDS,
    STAGE_CELL_COLUMNS,
    STAGE_TYPE_COLUMNS,
    read_samples,
    sample_columns,
    write_samples,
)
from scoring.companions import CompanionEvidence, assemble_companions, learnt_nodes
from scoring.comparison import Grouped, compare_samples
from scoring.grouping import group_by_stage
from scoring.pictures import draw_pictures
from scoring.programmes import load_programmes
from scoring.report import order_samples, render_report
from scoring.state_shares import StateReading

HOSTILE = [
    "<script>alert(1)</script>",
    "$x^2$ \\frac",
    "long-" + "a" * 195,
    "日本語のとても長いサンプル名",
    '"><img src=x onerror=alert(1)>',
    "</svg></style><iframe src=//evil>",
    "{{ 7*7 }}{% raw %}",
    '=HYPERLINK("http://evil")',
    "nul\x00 new\nline \u202ereversed",
]
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would see: tags, attributes, and text by table row."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.texts, self.rows, self.open = [], [], [], [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        if tag == "tr":
            self.rows.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            return
        self.texts.append(data)
        if "table" in self.open and self.rows:
            self.rows[-1] += data


@pytest.fixture(scope="module")
def eight(make_content):
    """Return a made-up report of eight samples, of which the last lost its neutrophils, as text."""
    return render_report(make_content([f"mouse-{i}" for i in range(8)], lost=(7,), n_cells=100))


@pytest.fixture(scope="module")
def hostile(make_content):
    cases = {"title": HOSTILE[0], "input_name": HOSTILE[4], "species": HOSTILE[5], "bundle": HOSTILE[6]}
    words = {"coverage": {HOSTILE[0]: HOSTILE[4]}, "warnings": HOSTILE, "provenance": {HOSTILE[5]: HOSTILE[6]}}
    return render_report(make_content(HOSTILE, n_cells=30, **cases, **words))


def test_every_sample_is_in_the_table_and_in_each_figure(eight):
    page = Page(eight)
    for i in range(8):
        assert sum(f"mouse-{i}" in row for row in page.rows) == 1
        assert page.texts.count(f"mouse-{i}") >= 5  # table, four figures; and the list of verdicts


def test_a_sample_that_is_not_assessable_says_so_and_shows_no_number_for_its_burden(eight):
    (row,) = [row for row in Page(eight).rows if "mouse-7" in row]
    assert row.count("not assessable") == 2
    assert "hardly any barcode with fewer than 500 UMI was kept" in row
    assert not re.search(r"\d+\.\d+ \(", row)
    assert "0.0" not in row


def test_simulated_data_are_called_so_everywhere(eight):
    page = Page(eight)
    text = " ".join(page.texts)
    assert "SIMULATED DATA" in text
    assert "<title>SIMULATED" in eight
    assert page.tags.count("figure") == page.texts.count("simulated") == 5
    assert "true (simulated)" in text


def test_real_data_are_not_called_simulated(make_content):
    html = render_report(make_content(["a"], simulated=False, n_cells=20))
    assert "simulated" not in " ".join(Page(html).texts).lower()


def test_sections_stand_in_the_order_in_which_they_are_read(eight):
    sections = re.findall(r'<section id="(\w+)"', eight)
    assert sections == [
        *("samples", "burden", "composition", "stage", "cells", "states"),
        *("why", "labels", "coverage", "flags", "methods", "provenance"),
    ]


def test_every_figure_has_a_title_a_label_and_a_reading_aid(eight):
    page = Page(eight)
    assert page.tags.count("figcaption") == page.tags.count("figure") == 5
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(set(labels)) == 5
    assert re.findall(r"Figure (\d)</span>", eight) == list("12345")
    assert page.texts.count("How to read it:") == 5


def test_what_the_page_says_of_genes_warnings_and_provenance(eight):
    text = " ".join(Page(eight).texts)
    for words in (
        "13,210 of 15,000 (88 %)",
        "12 % of the bundle's genes were not measured.",
        "0123abcd",
        "made_up.h5ad",
    ):
        assert words in text


def assert_nothing_runs_and_nothing_is_fetched(page):
    assert not set(page.tags) & {"script", "iframe", "img", "link", "object", "embed", "form", "base", "audio", "video"}
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in {"src", "srcset", "action", "formaction", "srcdoc"}
        if name.endswith("href"):
            assert value.startswith(("#", "data:image/png;base64,"))


def test_nothing_runs_and_nothing_is_fetched(eight):
    assert_nothing_runs_and_nothing_is_fetched(Page(eight))
    style = re.search(r"<style>(.*?)</style>", eight, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in eight


def test_hostile_names_are_text(hostile):
    page = Page(hostile)
    assert_nothing_runs_and_nothing_is_fetched(page)
    text = " ".join(page.texts)
    for name in HOSTILE[:-1]:
        assert sum(name in row for row in page.rows) == 1, name
        assert name in text
    assert sum("nul� new line �reversed" in row for row in page.rows) == 1
    assert "49" not in [text.strip() for text in page.texts]
    assert not set(hostile) & {"\x00", "\u202e"}


def test_ids_are_unique(eight):
    ids = [value for _, name, value in Page(eight).attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_same_content_same_bytes(make_content):
    content = make_content(["a", "b"], n_cells=60)
    assert render_report(content) == render_report(content)


def test_no_date_and_no_path(eight):
    text = re.sub(r"base64,[^\"]+", "", eight)
    assert not re.search(r"20\d\d-\d\d-\d\d", text)
    assert not re.search(r"/(home|work|tmp|usr)/", text)


@pytest.mark.slow
def test_sixty_samples_fit_in_three_megabytes(make_content):
    names = [f"S{i % 2}-M{i // 12}-{i % 12:02d}" for i in range(60)]
    html = render_report(make_content(names, lost=(50, 51), n_cells=5000))
    assert len(html.encode()) < 3_000_000
    rows = Page(html).rows
    assert all(sum(name in row for row in rows) == 1 for name in names)


@pytest.mark.slow
def test_ten_thousand_samples_fit_in_ten_megabytes_and_the_page_says_where_the_rest_is(make_content, ontology):
    few = make_content([f"S{i:05d}-{'x' * 40}" for i in range(400)], lost=(390,), n_cells=5000)
    repeated = [f"{name}-{turn}" for turn in range(25) for name in few.samples["sample_id"]]
    samples = pd.concat([few.samples] * 25, ignore_index=True).assign(sample_id=repeated)
    truth = pd.concat([few.truth] * 25, ignore_index=True).assign(sample_id=repeated)
    grouped = group_by_stage(samples, few.scale)
    companions = companions_of(samples, ontology)
    many = replace(few, samples=samples, truth=truth, grouped=grouped, grouped_by="stage", companions=companions)
    html = render_report(many)
    assert len(html.encode()) < 10_000_000
    page = Page(html)
    text = " ".join(page.texts)
    assert "the first 300 of 10000 samples" in text
    assert "samples.csv and companions.csv have all" in text.replace("  ", " ")
    assert (
        sum(row.lstrip().startswith("S0") for row in page.rows) == 3 * 300
    )  # samples, and two tables beside the score
    assert sum(map(int, re.findall(r"and (\d+) more", text))) > 9000


def test_one_sample(make_content):
    html = render_report(make_content(["only"], simulated=False, n_cells=1))
    assert "Neutrophil burden is" in html


def test_a_bundle_without_stages_and_a_run_without_picture(make_content):
    content = make_content(["a", "b"], with_stage=False)
    html = render_report(replace(content, embedding=content.embedding.iloc[:0], truth=None, warnings=[]))
    text = " ".join(Page(html).texts)
    assert "This bundle predicts no stage." in text
    assert "No map of cells was drawn" in text
    assert "No warning holds for the whole run." in text
    assert "No call was explained in this run." in text
    assert re.findall(r"Figure (\d)</span>", html) == list("123")


def test_a_sample_without_truth_shows_a_dash(make_content):
    content = make_content(["a", "b"], n_cells=20)
    html = render_report(replace(content, truth=content.truth.iloc[:1]))
    (row,) = [row for row in Page(html).rows if row.strip().startswith("b")]
    assert "true (simulated): –" in row


def test_a_table_that_was_read_from_disk_renders_alike(make_content, ontology, scale, tmp_path):
    content = make_content(["a", "b", "c"], lost=(1,), n_cells=20)
    samples = content.samples.copy()
    samples.loc[2, "predicted_tumor_stage_without_neutrophils"] = ""
    write_samples(samples, tmp_path / "samples.csv", sample_columns(ontology, scale))
    html = render_report(replace(content, samples=read_samples(tmp_path / "samples.csv")))
    assert Page(html).rows == Page(render_report(replace(content, samples=samples))).rows


def test_order_is_stage_then_burden_and_blanks_last(make_samples, scale):
    samples = make_samples(list("abcd"))
    samples["predicted_tumor_stage_without_neutrophils"] = ["late carcinoma", "normal", "normal", ""]
    samples["burden_percent"] = [1.0, float("nan"), 9.0, 0.5]
    assert order_samples(samples, scale)["sample_id"].tolist() == ["c", "b", "a", "d"]
    assert order_samples(samples, None)["sample_id"].tolist() == ["d", "a", "c", "b"]


def test_the_genes_behind_the_calls_are_shown_with_their_markers(make_content, make_genes):
    html = render_report(make_content(["a", "b"], n_cells=20, genes=make_genes(["NEUT", "MAC", "N_ANG"])))
    page = Page(html)
    assert re.findall(r"Figure (\d)</span>", html) == list("1234567")
    assert page.tags.count("figure") == page.texts.count("simulated") == 7
    assert page.texts.count("How to read it:") == 7
    for words in ("Gene 1 of NEUT", "Gene 8 of MAC", "Gene 1 of N_ANG", "40 cells; rank correlation 0.50"):
        assert words in page.texts, words
    assert "Gene 9 of NEUT" not in page.texts
    assert "Gene of a sample" not in page.texts


def test_without_states_or_types_the_other_figure_stands_alone(make_content, make_genes):
    for calls, title in ((["NEUT"], "Genes behind the cell types"), (["N_ANG"], "Genes behind the neutrophil states")):
        text = " ".join(Page(render_report(make_content(["a"], n_cells=20, genes=make_genes(calls)))).texts)
        assert title in text
        assert text.count("Genes behind the") == 1


def drivers(cell_id, kind=LOG_ODDS):
    """stage_types.csv and stage_cells.csv of one sample, with one type and one cell."""
    about = {"sample_id": "a", "sees": "all", "cell_type_id": "MAC", "cell_type": "macrophage", "kind": kind}
    types = pd.DataFrame([{**about, "cell_share": 0.25, "weight": 0.5}])[[c.name for c in STAGE_TYPE_COLUMNS]]
    cells = pd.DataFrame([{**about, "rank": 1, "row": 3, "cell_id": cell_id, "weight": 0.125, "mean_weight": 0.01}])
    return {"stage_types": types, "stage_cells": cells[[c.name for c in STAGE_CELL_COLUMNS]]}


def test_what_speaks_for_the_stage_is_shown_by_sample(make_content):
    page = Page(render_report(make_content(["a", "b"], n_cells=20, **drivers("AACT-1"))))
    (row,) = [" ".join(row.split()) for row in page.rows if "macrophage:" in row]
    assert row == "aall macrophage +0.50 (25.0 %) – row 3, macrophage: +0.12 (mean +0.01)"
    text = " ".join(page.texts)
    assert "over all types they add up to the score of the stage. Of a cell" in text
    assert "share of attention" not in text


def test_attention_is_not_called_the_score(make_content):
    text = " ".join(Page(render_report(make_content(["a"], n_cells=20, **drivers("AACT-1", ATTENTION_SHARE)))).texts)
    assert "share of attention (share of cells)" in text
    assert "macrophage 50.0 % (25.0 %)" in text
    assert "row 3, macrophage: 12.5 % (mean 1.0 %)" in text
    assert "not for which stage that speaks" in text
    assert "add up to the score of the stage, but for heads with attention" in text


def test_no_barcode_stands_in_the_report(make_content):
    assert "AACT-1" not in render_report(make_content(["a"], n_cells=20, **drivers("AACT-1")))


def test_each_output_has_its_note_and_its_verdict(make_content):
    content = make_content(["a", "b"], n_cells=20)
    samples = content.samples.assign(predicted_tumor_stage="", tumor_stage_note="not supported: too few")
    about = {"kappa": 0.5, "p_value": 0.5, "probe": "", "probe_kappa": 0.0, "probe_p": 0.0}
    support = {"all": about | {"reason": "too few"}, "without neutrophils": about | {"reason": ""}}
    checks = {"stage": [{"output": "all", "head": "looks", "chosen": True, "quadratic_kappa": 0, "mae": 0, "rps": 0}]}
    page = Page(render_report(replace(content, samples=samples, stage_support=support, checks=checks)))
    text = " ".join(" ".join(page.texts).split())
    assert "No stage is said of 2 samples ( a , b ): not supported: too few." in text
    assert "No stage without neutrophils" not in text
    assert "Without neutrophils: a stage is said." in text
    assert "without neutrophils: normal" in page.rows[1]


def test_hostile_names_of_genes_are_text(make_content, make_genes):
    genes = make_genes(["NEUT", "N_ANG"])
    genes["gene"] = [HOSTILE[i % len(HOSTILE)] for i in range(len(genes))]
    genes["cell_type"] = HOSTILE[5]
    html = render_report(make_content(["a"], n_cells=20, genes=genes))
    page = Page(html)
    assert_nothing_runs_and_nothing_is_fetched(page)
    assert "49" not in [text.strip() for text in page.texts]
    assert not set(html) & {"\x00", "\u202e"}
    assert {"$x^2$ \\frac", "</svg></style><iframe src=//evil>"} <= set(page.texts)


def test_a_table_of_genes_off_the_contract_is_refused(make_content, make_genes):
    with pytest.raises(ValueError, match="Expected column 6"):
        render_report(make_content(["a"], n_cells=20, genes=make_genes(["NEUT"]).drop(columns="gene")))


def test_a_table_off_the_contract_is_refused(make_content):
    content = make_content(["a"])
    with pytest.raises(ValueError, match="Expected column 7"):
        render_report(replace(content, samples=content.samples.drop(columns="burden_percent")))


def test_an_unfiltered_file_and_what_filters_would_have_lost_are_told(make_content):
    content = make_content(["a"])
    samples = content.samples.assign(n_cells=5000, n_low_counts=4000, n_ambient=300)
    filters = pd.DataFrame(
        {"sample_id": ["a"], "cell_type": ["neutrophil"], "n_cells": [50], "n_lost_200": [10], "n_lost_500": [31]}
    )
    page = Page(render_report(replace(content, samples=samples, filters=filters, unfiltered=True)))
    text = " ".join(page.texts).replace("\u202f", ",")
    assert "The file is unfiltered: 4,000 of its 5,000 barcodes have fewer than 50 UMI" in text
    assert "A filter of 500 genes would have removed 62.0 % of the neutrophils" in text
    (row,) = [row for row in page.rows if "neutrophil" in row]
    assert "31 (62.0 %)" in row
    (sample,) = [row.replace("\u202f", ",") for row in page.rows if row.strip().startswith("a")]
    assert "700" in sample
    assert "5,000" not in sample


def test_a_filtered_file_says_nothing_of_droplets(make_content):
    assert "unfiltered" not in render_report(make_content(["a"]))


def test_samples_by_group_have_pictures_and_a_table(make_content, make_samples, ontology):
    names = [*HOSTILE[:5], "a", "b", "c"]
    samples = make_samples(names, lost=(7,))
    samples = samples.assign(group=[HOSTILE[0], "vehicle"] * 4, donor="", study="")
    grouped = Grouped(samples=samples, groups=(HOSTILE[0], "vehicle"), scale=None, has_donors=False)
    comparison = compare_samples(grouped, ontology)
    html = render_report(make_content(names, lost=(7,), grouped=grouped, grouped_by=HOSTILE[4], comparison=comparison))
    page = Page(html)
    assert_nothing_runs_and_nothing_is_fetched(page)
    sections = re.findall(r'<section id="(\w+)"', html)
    assert sections[1:4] == ["burden", "groups", "composition"]
    assert page.tags.count("figure") == 8
    assert re.findall(r"Figure (\d)</span>", html) == list("12345678")
    burden = [row for row in page.rows if row.startswith("burden")]
    assert len(burden) == 1
    assert f"vehicle − {HOSTILE[0]}" in burden[0]


def companions_of(samples, ontology):
    evidence = CompanionEvidence(
        reading=StateReading(Confusion.empty(len(ontology.neutrophil_states))),
        expected_cells=np.full((len(samples), len(ontology.leaves)), 8.0),
        n_called_neutrophils=np.full(len(samples), 50),
        scores=pd.DataFrame(0.7, index=range(len(samples)), columns=[of.id for of in load_programmes()]),
        learnt=learnt_nodes(["N_ANG", "EC_TIP", "DBL_NEUT_MAL"], ontology),
    )
    return assemble_companions(samples, evidence, ontology)


def test_what_stands_beside_the_burden_has_a_section(make_content, make_samples, ontology):
    companions = companions_of(make_samples(["a", "b"]), ontology)
    page = Page(render_report(make_content(["a", "b"], companions=companions)))
    assert len([row for row in page.rows if "25.0 (" in row]) == 2
    assert "Beside the score" in " ".join(page.texts)


def drawn(path):
    return ElementTree.fromstring(path.read_text())  # noqa: S314 - drawn above


def test_hostile_names_are_text_in_pictures_that_stand_alone(make_samples, ontology, tmp_path):
    samples = make_samples(HOSTILE).assign(group=[HOSTILE[0], HOSTILE[4], *HOSTILE[:7]], donor="", study="")
    groups = tuple(dict.fromkeys(samples["group"]))
    files = draw_pictures(Grouped(samples=samples, groups=groups, scale=None, has_donors=False), ontology, tmp_path)
    pictures = [name for name in files if name.endswith(".svg")]
    assert len(pictures) == 3
    for name in pictures:
        root = drawn(tmp_path / name)
        kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert not kinds & {"script", "image", "a", "foreignObject", "iframe", "animate", "set"}
        attributes = [
            (key.rpartition("}")[2], value) for element in root.iter() for key, value in element.attrib.items()
        ]
        assert not [key for key, _ in attributes if key.startswith("on")]
        assert all(value.startswith("#") for key, value in attributes if key == "href")
        assert "49" not in {text.strip() for text in root.itertext()}
    shown = {text for name in pictures for text in drawn(tmp_path / name).itertext()}
    assert any("<script>" in text for text in shown)
