from model.droplets import DropletLabels
from schema.labels import UNLABELLED, CellOntology


def test_labels_say_what_a_droplet_holds(ontology):
    droplets, node = DropletLabels(ontology), ontology.index_by_id
    type_of = {"N_ANG": "NEUT", "NEUT": "NEUT", "MAL": "MAL", "EC_TIP": "ENDO_V"}
    assert {name: int(droplets.part_type[node[name]]) for name in type_of} == {k: node[v] for k, v in type_of.items()}
    for name in ("L1_MYE", "L1_TECH", "AMBIENT", "DOUBLET", "DBL_NEUT_MAL", "DBL_OTHER"):
        assert int(droplets.part_type[node[name]]) == UNLABELLED, name
    technical = {n.id for n, is_technical in zip(ontology.nodes, droplets.is_technical, strict=False) if is_technical}
    assert technical == {"L1_TECH", "AMBIENT", "DOUBLET", "DBL_NEUT_MAL", "DBL_OTHER"}
    assert [bool(droplets.is_neutrophil[node[name]]) for name in ("NEUT", "N_INF", "L1_MYE", "MAL")] == [1, 1, 0, 0]
    assert [bool(droplets.is_malignant[node[name]]) for name in ("MAL", "L1_EPI", "NEUT")] == [1, 0, 0]
    assert [node[name] for name in ("AMBIENT", "DBL_NEUT_MAL", "DBL_OTHER")] == [
        droplets.ambient,
        droplets.pair,
        droplets.other_pair,
    ]


def test_an_unlabelled_cell_is_nothing_of_the_sort(ontology):
    droplets = DropletLabels(ontology)
    assert int(droplets.part_type[UNLABELLED]) == UNLABELLED
    assert not any(bool(t[UNLABELLED]) for t in (droplets.is_technical, droplets.is_neutrophil, droplets.is_malignant))


def changed_roles(ontology, **roles):
    content = ontology.to_dict()
    return DropletLabels(CellOntology.from_dict(content | {"roles": content["roles"] | roles}))


def test_a_tree_without_a_role_does_without(ontology):
    node = ontology.index_by_id
    assert changed_roles(ontology, ambient=None).ambient == UNLABELLED
    plain = changed_roles(ontology, other_doublet=None)
    assert (plain.pair, plain.other_pair) == (node["DBL_NEUT_MAL"], node["DOUBLET"])
    untyped = changed_roles(ontology, neutrophil_malignant_doublet=None)
    assert untyped.pair == untyped.other_pair == node["DBL_OTHER"]
    none = changed_roles(ontology, doublet=None)
    assert none.pair == none.other_pair == UNLABELLED


def test_no_name_of_a_node_is_special():
    """A tree of other names, without any of the optional roles."""
    roles = {"neutrophil": "a", "malignant": "b", "endothelial": "c", "immune": ["a"], "pro_tumor_states": []}
    roles |= {"neutrophil_malignant_doublet": None, "outside_denominator": []}
    nodes = [{"id": name, "name": f"cell {name}", "level": 1} for name in "abc"]
    droplets = DropletLabels(CellOntology.from_dict({"version": "t", "roles": roles, "unlabelled": [], "nodes": nodes}))
    assert droplets.part_type.tolist() == [0, 1, 2, UNLABELLED]
    assert droplets.ambient == droplets.pair == droplets.other_pair == UNLABELLED
    assert not bool(droplets.is_technical.any())
