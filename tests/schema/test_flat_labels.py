import pytest

from schema.flat_labels import flat_ontology
from schema.labels import TYPE_LEVEL, UNLABELLED, CellOntology

UNNAMED_ROLES = {"malignant epithelial cell", "endothelial cell"}


@pytest.fixture(scope="module")
def default():
    return CellOntology.load()


def leaves(ontology):
    return [ontology.nodes[leaf].name for leaf in ontology.leaves]


def test_labels_become_the_leaves_and_keep_what_their_names_mean(default):
    flat = flat_ontology(
        ["B cells", "Neutrophils", "cluster 7", "unknown", "erythroid cell", "Cancer Epithelial"], default
    )
    assert set(leaves(flat)) == {
        *("B cells", "Neutrophils", "cluster 7", "erythroid cell", "Cancer Epithelial"),
        "endothelial cell",  # a role that no label has
    }
    at = {node.name: node for node in flat.nodes}
    assert flat.roles.neutrophil == at["Neutrophils"].id
    assert flat.roles.malignant == at["Cancer Epithelial"].id
    assert flat.roles.outside_denominator == (at["erythroid cell"].id,)
    assert flat.roles.immune == (at["B cells"].id, at["Neutrophils"].id)
    assert at["B cells"].cl_id == "CL:0000236"
    assert at["cluster 7"].cl_id is None
    assert flat.find("cluster 7") == flat.index_by_id["cluster_7"]
    assert flat.find("unknown") == UNLABELLED


def test_neutrophil_states_come_under_one_node(default):
    flat = flat_ontology(["mature neutrophil", "angiogenic neutrophil", "B cell"], default)
    children = [node.name for node in flat.nodes if node.parent == flat.roles.neutrophil]
    assert children == ["angiogenic neutrophil", "mature neutrophil"]
    assert flat.index_by_id[flat.roles.neutrophil] in flat.nodes_at(TYPE_LEVEL)
    assert flat.index_by_id[flat.roles.neutrophil] == flat.find("neutrophil")


def test_cells_labelled_neutrophil_stand_above_the_states(default):
    flat = flat_ontology(["neutrophil", "Neutrophils", "angiogenic neutrophil", "mature neutrophil"], default)
    assert flat.find("neutrophil") == flat.find("Neutrophils") == flat.index_by_id[flat.roles.neutrophil]
    assert set(leaves(flat)) == {"angiogenic neutrophil", "mature neutrophil"} | UNNAMED_ROLES


def test_the_only_label_of_a_role_has_it(default):
    flat = flat_ontology(["tip endothelial cell", "B cell"], default)
    assert flat.find("tip endothelial cell") == flat.index_by_id[flat.roles.endothelial]


def test_labels_that_differ_in_spelling_only_are_one(default):
    flat = flat_ontology(["my-cell", "My cell", "my_cell"], default)
    assert len([name for name in leaves(flat) if "my" in name.lower()]) == 1


def test_a_flat_tree_survives_a_bundle(default):
    flat = flat_ontology(["a", "b!", "b?"], default)
    assert CellOntology.from_dict(flat.to_dict()) == flat
    assert {"a", "b", "b_2"} <= set(flat.index_by_id)
