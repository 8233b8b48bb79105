import numpy as np
import pytest
import yaml

from schema.errors import InputError, UsageError
from schema.labels import DEFAULT_ONTOLOGY, UNLABELLED, CellOntology, unresolved_labels

SMALL = {
    "version": "t",
    "roles": {
        "neutrophil": "N",
        "malignant": "M",
        "endothelial": "E",
        "immune": ["I"],
        "neutrophil_malignant_doublet": None,
        "pro_tumor_states": ["N2"],
        "outside_denominator": [],
    },
    "unlabelled": ["", "unknown"],
    "nodes": [
        {"id": "E", "name": "epithelium", "level": 1},
        {"id": "M", "name": "malignant", "level": 2, "parent": "E", "cl_id": "CL:0001064", "cl_match": "nearest"},
        {"id": "I", "name": "immune", "level": 1, "cl_id": "CL:0000738", "cl_match": "exact"},
        {"id": "N", "name": "neutrophil", "level": 2, "parent": "I", "synonyms": ["PMN"]},
        {"id": "N1", "name": "state one", "level": 3, "parent": "N"},
        {"id": "N2", "name": "state two", "level": 3, "parent": "N"},
        {"id": "O", "name": "other", "level": 1},
    ],
}
EPI, MAL, IMM, NEU, ONE, TWO, OTH = range(7)


def small(**changed):
    return CellOntology.from_dict(SMALL | changed)


def with_node(**fields):
    return small(nodes=[*SMALL["nodes"], fields])


def test_nodes_are_numbered_in_order_and_leaves_follow():
    tree = small()
    assert tree.parents.tolist() == [-1, EPI, -1, IMM, NEU, NEU, -1]
    assert tree.levels.tolist() == [1, 2, 1, 2, 3, 3, 1]
    assert tree.leaves.tolist() == [MAL, ONE, TWO, OTH]
    assert tree.parents.dtype == tree.leaves.dtype == np.int64


def test_a_node_holds_the_leaves_below_it():
    below = small().leaves_below
    assert below.astype(int).tolist() == [
        [1, 0, 0, 0],
        [1, 0, 0, 0],
        [0, 1, 1, 0],
        [0, 1, 1, 0],
        [0, 1, 0, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 1],
    ]
    assert small().below("M", "N2").tolist() == [True, False, True, False]
    assert small().below().tolist() == [False] * 4


def test_a_level_is_answered_by_its_nodes_and_by_leaves_above_it():
    tree = small()
    assert tree.nodes_at(1).tolist() == [EPI, IMM, OTH]
    assert tree.nodes_at(2).tolist() == [MAL, NEU, OTH]
    assert tree.nodes_at(3).tolist() == [MAL, ONE, TWO, OTH]


def test_the_ancestor_at_a_level_is_missing_for_nodes_above_it():
    tree = small()
    assert tree.ancestor_at(1).tolist() == [EPI, EPI, IMM, IMM, IMM, IMM, OTH]
    assert tree.ancestor_at(2).tolist() == [-1, MAL, -1, NEU, NEU, NEU, OTH]
    assert tree.ancestor_at(3).tolist() == [-1, MAL, -1, -1, ONE, TWO, OTH]


@pytest.mark.parametrize(
    ("label", "node"),
    [
        ("N2", TWO),
        ("State_Two", TWO),
        ("pmn", NEU),
        ("CL:0000738", IMM),
        ("CL:0001064", None),
        ("Unknown", UNLABELLED),
        ("", UNLABELLED),
        ("lymphocyte", None),
    ],
)
def test_a_label_is_found_by_id_name_synonym_or_exact_term(label, node):
    assert small().find(label) == node


def test_the_term_to_report_is_the_own_or_the_nearest_above():
    tree = small()
    assert [tree.reported_cl_id(node) for node in (MAL, TWO, IMM, OTH)] == [
        "CL:0001064",
        "CL:0000738",
        "CL:0000738",
        "unknown",
    ]


def test_a_tree_survives_its_dict():
    assert CellOntology.from_dict(small().to_dict()) == small()
    assert CellOntology.from_dict(CellOntology.load().to_dict()) == CellOntology.load()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: with_node(id="N", name="again", level=1), "the id N twice"),
        (lambda: with_node(id="X", name="x", level=2, parent="Y"), "the parent Y of X not before it"),
        (lambda: with_node(id="X", name="x", level=3, parent="I"), "level 3 at X"),
        (lambda: with_node(id="X", name="x", level=2), "level 2 at X"),
        (lambda: with_node(id="X", name="P.M.N", level=1, synonyms=["pmn"]), "the name 'pmn' at N and at X"),
        (lambda: with_node(id="X", name="x", level=1, cl_id="CL:1", cl_match="same"), "cl_match: same at X"),
        (lambda: with_node(id="X", name="x", level=1, colour="red"), "colour"),
        (lambda: with_node(id="X", level=1), "name"),
        (lambda: small(roles=SMALL["roles"] | {"malignant": "Z"}), "a role that names Z"),
        (lambda: small(roles={"neutrophil": "N"}), "malignant"),
        (lambda: CellOntology.from_dict({}), "nodes"),
        (lambda: CellOntology.from_dict([]), "TypeError"),
    ],
)
def test_a_tree_that_contradicts_itself_is_a_usage_error(make, text):
    with pytest.raises(UsageError, match=text):
        make()


def test_a_user_extends_the_default_tree(tmp_path, ontology):
    mine = {
        "extends": "default",
        "version": "mine",
        "nodes": [{"id": "N_NEW", "name": "new state", "level": 3, "parent": "NEUT"}],
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    tree = CellOntology.load(tmp_path / "mine.yaml")
    assert (tree.version, tree.nodes[-1].id) == ("mine", "N_NEW")
    assert tree.nodes[:-1] == ontology.nodes
    (tmp_path / "bare.yaml").write_text("extends: default\n")
    assert CellOntology.load(tmp_path / "bare.yaml").nodes == ontology.nodes


@pytest.mark.parametrize("content", [b"nodes: [", b"", b"- a\n", b"\xff\xfe", b"extends: default\nnodes: 5\n", None])
def test_a_file_that_is_no_tree_is_a_usage_error(tmp_path, content):
    if content is not None:
        (tmp_path / "mine.yaml").write_bytes(content)
    with pytest.raises(UsageError, match="one consistent tree") as caught:
        CellOntology.load(tmp_path / "mine.yaml")
    assert caught.value.exit_code == 2


def test_the_default_tree_has_the_types_and_states_of_the_field(ontology):
    assert DEFAULT_ONTOLOGY.is_file()
    name_of = {node.id: node for node in ontology.nodes}
    assert name_of["NEUT"].parent == "L1_MYE"
    assert {node.id for node in ontology.nodes if node.parent == "NEUT"} == {
        "N_PRO", "N_IMM", "N_MAT", "N_QUI", "N_ISG", "N_INF", "N_ANG", "N_APC", "N_LQ",
    }  # fmt: skip
    assert {"AMBIENT", "DBL_NEUT_MAL"} <= {ontology.nodes[leaf].id for leaf in ontology.leaves}
    assert ontology.below("ERY", "PLT", "L1_TECH").sum() == 5


def test_the_authors_of_real_data_are_understood(ontology):
    expected = {
        "T cells CD8+": "T_CD8",
        "Cancer Basal SC": "MAL",
        "tNeutrophils": "NEUT",
        "CAFs myCAF-like": "CAF_MY",
        "PVL": "PERI",
        "CL:0000775": "NEUT",
    }
    assert {label: ontology.nodes[ontology.find(label)].id for label in expected} == expected


def test_unresolved_labels_are_listed_with_the_nearest_names(ontology):
    error = unresolved_labels(ontology, ["neutrophl", "xyzzy"], "a.h5ad, obs['x']")
    assert isinstance(error, InputError)
    assert "got 2 unknown: 'neutrophl' (nearest: neutrophil" in str(error)
    assert "'xyzzy' in a.h5ad" in str(error)


def test_at_most_twenty_labels_are_listed(ontology):
    error = unresolved_labels(ontology, [f"xyzzy{i}" for i in range(25)], "a.h5ad")
    assert "'xyzzy19' and 5 more" in str(error)
    assert "xyzzy20" not in str(error)


def test_roles_of_droplets_are_optional_and_checked():
    assert (small().roles.ambient, small().roles.doublet, small().roles.other_doublet) == (None, None, None)
    with_role = small(roles=SMALL["roles"] | {"ambient": "O"})
    assert CellOntology.from_dict(with_role.to_dict()).roles.ambient == "O"
    with pytest.raises(UsageError, match="a role that names Z"):
        small(roles=SMALL["roles"] | {"doublet": "Z"})
    ours = CellOntology.load().roles
    assert (ours.ambient, ours.doublet, ours.other_doublet) == ("AMBIENT", "DOUBLET", "DBL_OTHER")
