import numpy as np
import pandas as pd
import pytest

from datamodules.cell_labels import load_label_map, resolve_labels
from datamodules.store import open_store
from schema.errors import InputError, UsageError


def resolved(ontology, labels, label_map=None):
    nodes = resolve_labels(pd.Categorical(labels), ontology, label_map, "a.h5ad, obs['label']")
    assert nodes.dtype == np.int64
    return [ontology.nodes[node].id if node >= 0 else node for node in nodes]


def test_labels_resolve_at_any_level_by_any_name(ontology):
    labels = [
        "Neutrophils",
        "mature_neutrophil",
        "CL:0000084",
        "myeloid",
        "CD8-positive, alpha-beta memory T cell",
        "NEUT",
    ]
    assert resolved(ontology, labels) == ["NEUT", "N_MAT", "L1_LYM", "L1_MYE", "T_CD8", "NEUT"]


def test_what_is_not_known_is_unlabelled(ontology):
    assert resolved(ontology, ["unknown", None, "", "nan", "N/A", "B cell"]) == [-1, -1, -1, -1, -1, "B"]


def test_the_label_map_goes_first_whatever_the_spelling(ontology):
    label_map = {"my cells": "neutrophil", "B-Cell": None, "Macrophage": "CL:0000860", "7": "N_ISG"}
    labels = ["My_Cells", "b cell", "macrophage", "7", "NK"]
    assert resolved(ontology, labels, label_map) == ["NEUT", -1, "MONO", "N_ISG", "NK"]


def test_labels_that_mean_nothing_are_all_listed_with_the_nearest(ontology):
    with pytest.raises(InputError, match=r"got 2 unknown: 'neutrofils' \(nearest: Neutrophils.*'xyzzy'") as caught:
        resolved(ontology, ["xyzzy", "neutrofils", "B cell", "xyzzy"])
    assert "in a.h5ad, obs['label']" in str(caught.value)
    assert "data.label_map" in str(caught.value)


def test_a_category_that_no_cell_has_needs_no_node(ontology):
    values = pd.Categorical(["B cell", None], categories=["xyzzy", "B cell"])
    nodes = resolve_labels(values, ontology, None, "a.h5ad")
    assert [int(node) for node in nodes] == [ontology.index_by_id["B"], -1]


def test_terms_that_no_node_covers_are_unlabelled_with_a_warning(ontology, caplog):
    assert resolved(ontology, ["CL:0000540", "CL:0000540", "leukocyte", "B cell", "unknown"]) == [-1, -1, -1, "B", -1]
    assert "no node of the label tree covers neuron (2 cells), leukocyte (1 cells)" in caplog.text
    assert "B cell" not in caplog.text


def test_labels_unlabelled_by_the_map_need_no_warning(ontology, caplog):
    assert resolved(ontology, ["leukocyte"], {"leukocyte": None}) == [-1]
    assert caplog.text == ""


def test_a_map_to_a_node_that_is_not_there_is_a_usage_error(ontology):
    with pytest.raises(UsageError, match=r"'x': 'neutrofil' \(nearest: neutrophil") as caught:
        resolved(ontology, ["B cell"], {"x": "neutrofil"})
    assert caught.value.exit_code == 2


def test_a_map_that_means_two_nodes_by_one_label_is_a_usage_error(ontology):
    with pytest.raises(UsageError, match=r"'B-cell' twice"):
        resolved(ontology, ["B cell"], {"B cell": "B", "B-cell": "NK"})


def test_a_file_of_the_cellxgene_schema_needs_no_map(ontology):
    ids = ["CL:0000909", "CL:0000775", "CL:0002553", "CL:0000786", "unknown", "CL:0000738"]
    names = [
        "CD8-positive, alpha-beta memory T cell",
        "neutrophil",
        "fibroblast of lung",
        "plasma cell",
        "unknown",
        "leukocyte",
    ]
    assert resolved(ontology, ids) == resolved(ontology, names) == ["T_CD8", "NEUT", "FIB", "PLASMA", -1, -1]


def test_a_label_map_is_a_yaml_of_label_and_node(tmp_path):
    (tmp_path / "map.yaml").write_text("N1: N_MAT\n7: neutrophil\ndebris: null\nü: B\n", encoding="utf-8")
    assert load_label_map(tmp_path / "map.yaml") == {"N1": "N_MAT", "7": "neutrophil", "debris": None, "ü": "B"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"- a\n- b\n", "a list in map.yaml"),
        (b"", "a NoneType in map.yaml"),
        (b"a: [b]\nc: 3\n", r"'a': \['b'\], 'c': 3 in map.yaml"),
        (b"a: b: c\n", "mapping values are not allowed here"),
        (b"\xff\xfe\xfa", "cannot be read"),
        (None, r"FileNotFoundError"),
    ],
)
def test_a_file_that_is_no_label_map_is_a_usage_error(tmp_path, content, text):
    if content is not None:
        (tmp_path / "map.yaml").write_bytes(content)
    with pytest.raises(UsageError, match=text) as caught:
        load_label_map(tmp_path / "map.yaml")
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.real
@pytest.mark.parametrize(
    "name", ["kang2018_human_pbmc_ifn_subset", "wu2021_human_breast_CID4465", "zilionis2019_mouse_lung_kp_subset"]
)
def test_labels_of_real_data_resolve_without_a_map(real_data, ontology, name):
    with open_store(real_data / "single_cell" / f"{name}.h5ad") as store:
        assert (resolve_labels(store.obs("cell_type"), ontology, None, name) >= 0).all()
