import numpy as np

from benchmarks.calls import call_states, call_types, node_probabilities


def test_a_node_gets_the_classes_at_and_below_it(ontology, nodes):
    of_nodes = node_probabilities(["ZN4", "NEUT", "B"], np.array([[0.5, 0.3, 0.2]]), ontology)
    wanted = nodes("ZN4", "N_ANG", "NEUT", "L1_MYE", "L1_LYM", "ZN1")
    np.testing.assert_allclose(of_nodes[0, wanted], [0.5, 0.5, 0.8, 0.8, 0.2, 0.0])


def test_states_are_called_among_neutrophils_only(ontology, nodes):
    of_nodes = node_probabilities(["ZN4", "ZN1", "B"], np.array([[0.4, 0.3, 0.3], [0.3, 0.1, 0.6]]), ontology)
    types = call_types(of_nodes, ontology)
    assert types.tolist() == nodes("NEUT", "B")
    assert call_states(of_nodes, types, ontology).tolist() == [*nodes("ZN4"), -1]
