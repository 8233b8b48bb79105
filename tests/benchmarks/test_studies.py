import os
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest
import yaml

from benchmarks.calls import STATES
from benchmarks.folds import cross_folds
from benchmarks.real_mice import mouse_folds
from benchmarks.studies import (
    LABELS_FOLDER,
    OTHER_MOUSE,
    WU,
    ZILIONIS_HUMAN,
    ZILIONIS_MOUSE,
    Study,
    harmonised_obs,
    node_indices,
)
from schema.labels import CellOntology

ROOT = Path(__file__).resolve().parents[2]
REAL_DATA = Path(os.environ.get("NEUTROSTAGE_REAL_DATA", ROOT.parent / "shared" / "data"))


def test_every_mouse_is_tested_twice_and_never_trained_on_in_the_same_fold():
    folds = mouse_folds()
    assert len(folds) == 4
    assert all(not set(fold.train_donors) & set(fold.test_donors) for fold in folds)
    tested = [donor for fold in folds for donor in fold.test_donors]
    assert sorted(tested) == sorted([f"zilionis_mouse_{mouse}" for mouse in ("h_1", "h_2", "t_1", "t_2")] * 2)
    assert cross_folds(["a"], ["b", "c"])[0].test_donors == ("c",)


def test_columns_of_a_study_get_the_projects_names():
    obs = pd.DataFrame(
        {"sample": ["s1", "s2"], "donor": ["d", "d"], "stage": ["tumor", "in vitro"], "cell_type": ["N4", "odd"]},
        index=["c0", "c1"],
    )
    found = harmonised_obs(obs, Study(name="x", file="x"), {"N4": "ZN4", "odd": None})
    assert found.to_dict("list") == {
        "sample_id": ["x_s1", "x_s2"],
        "donor_id": ["x_d", "x_d"],
        "cell_type": ["ZN4", "unlabelled"],
        "tumor_stage": ["tumor", "unknown"],
        "study": ["x", "x"],
    }
    with pytest.raises(ValueError, match=r"\['odd'\]"):
        harmonised_obs(obs, Study(name="x", file="x"), {"N4": "ZN4"})


@pytest.mark.parametrize("path", sorted(LABELS_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_label_map_names_nodes_of_the_tree_it_is_for(path, ontology):
    tree = ontology if path.stem.startswith("zilionis") else CellOntology.load()
    content = yaml.safe_load(path.read_text())
    assert {node for node in content.values() if node is not None} <= set(tree.index_by_id)


def test_the_states_of_zilionis_resolve_by_their_own_names(ontology, nodes):
    assert [ontology.nodes[ontology.find(f"N{i}")].id for i in range(1, 7)] == list(STATES)
    assert [ontology.nodes[i].level for i in nodes(*STATES)] == [4] * 6
    assert [ontology.nodes[ontology.parents[i]].id for i in nodes(*STATES)] == [
        "N_MAT",
        "N_ISG",
        "N_INF",
        "N_ANG",
        "N_ANG",
        "N_ANG",
    ]


@pytest.mark.real
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="real data not found: set NEUTROSTAGE_REAL_DATA")
@pytest.mark.parametrize("study", [ZILIONIS_MOUSE, *OTHER_MOUSE, ZILIONIS_HUMAN, WU], ids=lambda study: study.name)
def test_every_label_of_the_real_studies_is_mapped(study):
    with (LABELS_FOLDER / f"{study.name}.yaml").open() as stream:
        label_map = yaml.safe_load(stream)
    obs = ad.read_h5ad(REAL_DATA / "single_cell" / f"{study.file}.h5ad", backed="r").obs
    assert len(harmonised_obs(obs, study, label_map)) == len(obs)


def test_unlabelled_cells_have_no_node(ontology, nodes):
    assert node_indices(pd.Series(["unlabelled", "B"]), ontology).tolist() == [-1, *nodes("B")]
