import numpy as np
import pytest

from schema.calls import CallRules, deepest_node, on_one_line
from schema.labels import UNLABELLED


def of_nodes(ontology, **of_leaf):
    leaves = np.array([[of_leaf.get(ontology.nodes[node].id, 0.0) for node in ontology.leaves]])
    return leaves @ ontology.leaves_below.T


@pytest.mark.parametrize(
    ("back_off", "called"), [(0.5, "N_MAT"), (0.6, "NEUT"), (0.8, "NEUT"), (0.9, "L1_MYE"), (0.95, None)]
)
def test_a_call_goes_as_deep_as_its_probability_carries(ontology, back_off, called):
    probabilities = of_nodes(ontology, N_MAT=0.55, N_ISG=0.3, MONO=0.08, T_CD4=0.07)
    expected = UNLABELLED if called is None else ontology.index_by_id[called]
    assert deepest_node(probabilities, ontology, back_off).tolist() == [expected]


def test_of_two_equal_halves_neither_is_called(ontology):
    assert deepest_node(of_nodes(ontology, N_MAT=0.5, B=0.5), ontology, 0.5).tolist() == [UNLABELLED]


@pytest.mark.parametrize(
    ("called", "label", "right"),
    [
        ("NEUT", "NEUT", True),
        ("L1_MYE", "N_MAT", True),
        ("N_MAT", "NEUT", True),
        ("N_MAT", "N_ISG", False),
        ("MONO", "NEUT", False),
        ("L1_LYM", "NEUT", False),
    ],
)
def test_a_call_is_right_on_the_line_of_its_label(ontology, called, label, right):
    at = ontology.index_by_id
    assert on_one_line(np.array([at[called]]), np.array([at[label]]), ontology).tolist() == [right]


@pytest.mark.parametrize("wrong", [{"back_off": 0.4}, {"back_off": 1.0}, {"novelty": float("nan")}])
def test_rules_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="Expected"):
        CallRules(**({"back_off": 0.5, "novelty": 1.0} | wrong))
