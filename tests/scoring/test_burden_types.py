import numpy as np
import pytest

from scoring.burden_types import BurdenTypes


def names(ontology, chosen):
    return {ontology.nodes[i].id for i in ontology.nodes_at(2)[chosen]}


def test_what_is_counted(ontology):
    assert names(ontology, ~BurdenTypes.of(ontology).counted) == {"ERY", "PLT", "AMBIENT", "DOUBLET"}
    assert names(ontology, BurdenTypes.of(ontology, immune_only=True).counted) == {
        *("NEUT", "MONO", "MAC", "DC", "PDC", "MAST", "EOS", "BASO"),
        *("T_CD4", "T_CD8", "T_REG", "T_GD", "NK", "B", "PLASMA"),
    }


def test_the_neutrophil_has_its_leaves(ontology):
    types = BurdenTypes.of(ontology)
    np.testing.assert_array_equal(types.of_leaves[types.neutrophil], ontology.below("NEUT"))


def test_share_and_lumps(ontology):
    types = BurdenTypes.of(ontology)
    cells = np.zeros((2, types.n_types))
    cells[:, types.neutrophil] = [1.0, 2.0]
    cells[0, np.flatnonzero(types.counted)[0]] = 3.0
    cells[1, np.flatnonzero(~types.counted)[0]] = 5.0
    assert types.share(cells) == pytest.approx(0.5)
    assert types.lumped(cells).tolist() == [[1.0, 3.0, 0.0], [2.0, 0.0, 5.0]]
    assert np.isnan(types.share(np.zeros(types.n_types)))
