import numpy as np
import pytest
import torch

from model.doublets import make_doublets
from model.droplets import DropletLabels


@pytest.fixture
def doubled(ontology):
    """Return a function that makes doublets of some rows and returns the cells and the ids of their labels."""
    droplets = DropletLabels(ontology)

    def make(cells, rows, contact_share=0.0, spared=()):
        part_type = droplets.part_type[cells.cell_type].index_fill(0, torch.tensor(spared, dtype=torch.int64), -1)
        made = make_doublets(cells, torch.tensor(rows), part_type, droplets, contact_share)
        return made, [None if node < 0 else ontology.nodes[node].id for node in made.cell_type.tolist()]

    return make


def test_a_doublet_is_the_normalised_sum_of_the_counts(make_cells, doubled):
    counts = np.array([[5, 0, 3, 2], [0, 7, 1, 400]], dtype=np.float32)
    cells = make_cells(counts, ["MAL", "N_ANG"], library_size=[20.0, 500.0])
    made, labels = doubled(cells, [0])
    np.testing.assert_allclose(made.expression[0], np.log1p((counts[0] + counts[1]) * 1e4 / 520), rtol=1e-5)
    np.testing.assert_allclose(made.expression[1], np.log1p(counts[1] * 1e4 / 500), rtol=1e-6)
    assert made.library_size.tolist() == [520.0, 500.0]
    assert labels == ["DBL_NEUT_MAL", "N_ANG"]


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (["NEUT", "MAL"], "DBL_NEUT_MAL"),
        (["MAL", "N_INF"], "DBL_NEUT_MAL"),
        (["NEUT", "MAC"], "DBL_OTHER"),
        (["MAL", "T_CD4"], "DBL_OTHER"),
        (["B", "EC_TIP"], "DBL_OTHER"),
        (["N_ANG", "N_INF"], "N_ANG"),
        (["NEUT", "L1_EPI"], "NEUT"),
        (["NEUT", "AMBIENT"], "NEUT"),
        (["DBL_OTHER", "MAL"], "DBL_OTHER"),
        ([None, "MAL"], None),
        (["MAL", None], "MAL"),
    ],
)
def test_made_doublets_are_called_by_their_parts_and_others_stay(make_cells, doubled, pair, expected):
    cells = make_cells([[5, 0, 3], [1, 7, 1]], pair)
    before = cells.expression[0].clone()
    made, labels = doubled(cells, [0])
    assert labels[0] == expected
    is_made = labels[0] != pair[0]
    assert torch.equal(made.expression[0], before) is not is_made
    assert made.library_size[0] == (17.0 if is_made else 8.0)


def test_partners_are_of_the_same_file_and_of_the_same_sample_where_there_is_one(make_cells, doubled):
    """Genes say who is in the droplet: each cell has counts of a gene of its own."""
    known = {"file": [0, 0, 0, 1], "sample": [0, 0, 1, 0], "present": [[True] * 4] * 2, "columns": [range(4)] * 2}
    for _ in range(20):
        made, _ = doubled(make_cells(np.eye(4) * 9, ["MAL", "B", "MAC", "T_CD4"], **known), [0])
        assert (made.expression[0] > 0).tolist() == [True, True, False, False]
    for _ in range(20):
        made, _ = doubled(make_cells(np.eye(4) * 9, ["MAL", "MAL", "MAC", "T_CD4"], **known), [0])
        assert (made.expression[0] > 0).tolist() == [True, False, True, False]
    made, labels = doubled(make_cells(np.eye(4) * 9, ["MAL", "MAL", "MAL", "T_CD4"], **known), [0])
    assert labels[0] == "MAL"


def test_spared_cells_are_no_partners(make_cells, doubled):
    _, labels = doubled(make_cells(np.eye(2), ["MAL", "B"]), [0], spared=[1])
    assert labels == ["MAL", "B"]


def test_contacts_are_as_frequent_as_asked(make_cells, doubled):
    torch.manual_seed(0)
    labels = ["NEUT", "MAL"] * 100 + ["B"] * 800
    shares = []
    for contact_share in (0.0, 0.5, 1.0):
        _, made = doubled(make_cells(np.ones((1000, 2)), labels), list(range(200)), contact_share)
        shares.append(sum(name == "DBL_NEUT_MAL" for name in made[:200]) / 200)
    assert shares == pytest.approx([1 / 9, 1 / 2 + 1 / 18, 1], abs=0.08)


def test_half_precision_is_kept(make_cells, doubled):
    cells = make_cells([[5, 0, 3], [1, 7, 1]], ["MAL", "B"])
    exact = cells.expression.clone()
    made, labels = doubled(cells._replace(expression=exact.bfloat16()), [0])
    assert made.expression.dtype == torch.bfloat16
    expected = np.log1p(np.array([6, 7, 4]) * 1e4 / 17)
    np.testing.assert_allclose(made.expression[0].float(), expected, rtol=1e-2)
    assert labels[0] == "DBL_OTHER"
