import pytest

from schema.cl_terms import find_term, term_label
from schema.labels import UNLABELLED, CellOntology


def node_id(ontology, label):
    node = find_term(ontology, label)
    return node if node is None or node == UNLABELLED else ontology.nodes[node].id


@pytest.mark.parametrize(
    ("term", "node"),
    [
        ("CL:0000775", "NEUT"),  # exact
        ("CL:0000084", "L1_LYM"),  # T cell
        ("CL:0000094", "L1_MYE"),  # granulocyte
        ("CL:0000909", "T_CD8"),  # CD8-positive, alpha-beta memory T cell
        ("CL:0000860", "MONO"),  # classical monocyte
        ("CL:0000583", "MAC"),  # alveolar macrophage
        ("CL:0000560", "N_MAT"),  # band form neutrophil
        ("CL:0000582", "N_IMM"),  # neutrophilic metamyelocyte
        ("CL:0000787", "B"),  # memory B cell
        ("CL:0000765", "ERY"),  # erythroblast: erythroid is deeper than myeloid
        ("CL:2000059", "ENDO_V"),  # prostate gland microvascular endothelial cell
        ("CL:4030066", "L1_EPI"),  # ureteric bud cell
        ("CL:0002553", "FIB"),  # fibroblast of lung, through a wider term that the tree lists
        ("CL:0000556", "PLT"),  # megakaryocyte: platelet or megakaryocyte, not myeloid
        ("CL:0000792", "T_REG"),  # CD4+ CD25+ regulatory T cell
        ("CL:0002394", "CDC1"),  # CD141-positive DC hangs below plasmacytoid DC in the Cell Ontology
        ("CL:0008023", "FIB"),  # obsolete cardiac fibroblast, replaced by CL:0002548
        ("cl:0000909", "T_CD8"),
        (" CL_0000909 ", "T_CD8"),
    ],
)
def test_a_term_is_its_deepest_ancestor_in_the_tree(ontology, term, node):
    assert node_id(ontology, term) == node


@pytest.mark.parametrize(
    ("label", "node"),
    [
        ("CD8-positive, alpha-beta memory T cell", "T_CD8"),
        ("cd8 positive, alpha beta memory t lymphocyte", "T_CD8"),
        ("granulocyte", "L1_MYE"),
        ("Kupffer cell", "MAC"),
        ("hepatocyte", "L1_EPI"),
    ],
)
def test_labels_and_synonyms_of_the_cell_ontology_resolve(ontology, label, node):
    assert node_id(ontology, label) == node


@pytest.mark.parametrize("term", ["CL:0000738", "CL:0000000", "CL:0000003", "CL:0000540", "neuron", "leukocyte"])
def test_terms_wider_than_the_tree_or_outside_it_are_unlabelled(ontology, term):
    assert find_term(ontology, term) == UNLABELLED


@pytest.mark.parametrize("label", ["CL:9999999", "CL:12", "DC2", "xyzzy", "", "unknown", "UBERON:0000310"])
def test_what_is_no_term_is_none(ontology, label):
    assert find_term(ontology, label) is None


def tree(*nodes):
    roles = dict.fromkeys(("neutrophil", "malignant", "endothelial"), "A") | {
        "immune": [], "neutrophil_malignant_doublet": None, "pro_tumor_states": [], "outside_denominator": [],
    }  # fmt: skip
    listed = [
        {"id": id_, "name": id_, "level": level, "parent": parent, "cl_id": term, "cl_match": "exact" if term else None}
        for id_, level, parent, term in nodes
    ]
    return CellOntology.from_dict({"version": "t", "roles": roles, "unlabelled": [], "nodes": listed})


def test_of_two_as_deep_the_nearer_wins_and_a_tie_goes_to_their_common_node():
    # CL:0000792 is a CD4 T cell (CL:0000624) and a regulatory T cell (CL:0000815), one step each;
    # it is a T cell (CL:0000084) further up
    split = [("A", 1, None, None), ("CD4", 2, "A", "CL:0000624"), ("REG", 2, "A", "CL:0000815")]
    assert node_id(tree(*split), "CL:0000792") == "A"
    near = [("A", 1, None, None), ("CD4", 2, "A", "CL:0000624"), ("T", 2, "A", "CL:0000084")]
    assert node_id(tree(*near), "CL:0000792") == "CD4"
    apart = [("A", 1, None, "CL:0000624"), ("R", 1, None, "CL:0000815")]
    assert node_id(tree(*apart), "CL:0000792") == UNLABELLED


def test_a_term_has_its_label():
    assert term_label("CL:0000084") == "T cell"
    assert term_label("xyzzy") == "xyzzy"
