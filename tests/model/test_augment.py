import numpy as np
import pytest
import torch

from model.augment import Augmentation, AugmentationConfig, disjoint_rows
from model.preprocess import to_dense
from schema.errors import UsageError
from schema.labels import CellOntology

SHARES = ("thin_share", "doublet_share", "ambient_share", "mixing_share", "donor_share", "panel_share")
OFF = dict.fromkeys(SHARES, 0.0)
ALL = {"thin_share": 0.2, "doublet_share": 0.2, "ambient_share": 0.1, "mixing_share": 0.5, "donor_share": 0.2}
ALL |= {"panel_share": 0.3}


@pytest.fixture
def cells(make_batch, ontology):
    """Sixty cells and droplets of three samples, some unlabelled."""
    names = ["MAL", "N_ANG", "B", "AMBIENT", "DBL_OTHER", "MAL"]
    label = [ontology.index_by_id[name] for name in names * 9] + [-1] * 6
    counts = np.random.default_rng(0).poisson(40.0, size=(60, 8)) * 10
    return make_batch(counts, cell_type=label, sample=np.arange(60) % 3)


@pytest.fixture
def augmentation(ontology):
    def make(tree=None, **shares):
        return Augmentation(tree or ontology, AugmentationConfig(**(OFF | shares)))

    return make


def test_without_any_share_a_batch_stays_as_it_is_and_nothing_is_drawn(cells, augmentation):
    torch.manual_seed(3)
    dense, drawn = augmentation()(cells), torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    assert torch.equal(dense.expression, to_dense(cells))
    for name in ("library_size", "present", "file", "cell_type", "sample"):
        assert getattr(dense, name) is getattr(cells, name)


@pytest.mark.parametrize("share", SHARES)
def test_every_share_makes_something_and_leaves_the_batch_alone(cells, augmentation, share):
    torch.manual_seed(0)
    before = [part.clone() for part in cells]
    dense = augmentation(**{share: 0.5})(cells)
    changed = (dense.expression != to_dense(cells)).any(dim=1)
    assert 5 < int(changed.sum()) <= 31
    assert all(torch.equal(part, old) for part, old in zip(cells, before, strict=True))
    made = dense.cell_type != cells.cell_type
    assert bool(made.any()) is (share in ("doublet_share", "ambient_share"))


def test_the_same_seed_makes_the_same_cells(cells, augmentation):
    def made(seed):
        torch.manual_seed(seed)
        return augmentation(**ALL)(cells)

    first, again, other = made(1), made(1), made(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.expression, other.expression)


def test_thinning_leaves_ambient_droplets_and_doublets_alone(cells, augmentation, ontology):
    torch.manual_seed(0)
    dense = augmentation(thin_share=1.0, thin_least=0.01)(cells)
    technical = torch.isin(cells.cell_type, torch.tensor([ontology.index_by_id[n] for n in ("AMBIENT", "DBL_OTHER")]))
    assert torch.equal(dense.library_size[technical], cells.library_size[technical])
    assert torch.equal(dense.expression[technical], to_dense(cells)[technical])
    assert bool((dense.library_size < cells.library_size)[~technical].all())
    assert torch.equal(dense.cell_type, cells.cell_type)


def test_labelled_droplets_and_unlabelled_cells_are_never_replaced(cells, augmentation, ontology):
    torch.manual_seed(0)
    dense = augmentation(doublet_share=0.5, ambient_share=0.5)(cells)
    node = ontology.index_by_id
    kept = (cells.cell_type < 0) | torch.isin(cells.cell_type, torch.tensor([node["AMBIENT"], node["DBL_OTHER"]]))
    assert torch.equal(dense.cell_type[kept], cells.cell_type[kept])
    assert torch.equal(dense.expression[kept], to_dense(cells)[kept])
    made = {ontology.nodes[i].id for i in dense.cell_type[~kept].tolist()}
    assert made == {"AMBIENT", "DBL_NEUT_MAL", "DBL_OTHER"}


def test_a_tree_without_the_roles_makes_no_droplets(cells, augmentation, ontology):
    content = ontology.to_dict()
    without = {key: value for key, value in content["roles"].items() if key not in ("ambient", "doublet")}
    dense = augmentation(CellOntology.from_dict(content | {"roles": without}), doublet_share=0.5, ambient_share=0.5)(
        cells
    )
    assert torch.equal(dense.expression, to_dense(cells))
    assert torch.equal(dense.cell_type, cells.cell_type)


def test_a_batch_too_small_for_a_profile_gets_no_ambient_rna(make_batch, augmentation, ontology):
    few = make_batch(np.full((31, 4), 50), cell_type=[ontology.index_by_id["MAL"]] * 31)
    assert torch.equal(augmentation(mixing_share=1.0, ambient_share=0.5)(few).expression, to_dense(few))


@pytest.mark.parametrize("n_cells", [1, 3, 8, 100])
def test_rows_are_drawn_once_and_as_many_as_asked_on_average(n_cells):
    torch.manual_seed(0)
    sizes = []
    for _ in range(400):
        parts = disjoint_rows(n_cells, (0.3, 0.0, 0.7), torch.device("cpu"))
        rows = torch.cat(parts).tolist()
        assert len(set(rows)) == len(rows)
        assert set(rows) <= set(range(n_cells))
        sizes.append([len(part) for part in parts])
    mean = np.mean(sizes, axis=0)
    assert mean[0] == pytest.approx(0.3 * n_cells, abs=0.1)
    assert mean[1] == 0
    assert mean[2] == pytest.approx(0.7 * n_cells, abs=0.35)


@pytest.mark.parametrize(
    "option",
    [
        {"thin_share": 1.5},
        {"panel_share": -0.1},
        {"thin_share": 0.6, "doublet_share": 0.5},
        {"mixing_max": 1.0},
        {"thin_least": 0.0},
        {"ambient_min": 300.0},
        {"expected_doublets": 0.0},
        {"expected_doublets": 0.6, "expected_ambient": 0.5},
        {"contact_share": 2.0},
    ],
)
def test_a_wrong_option_is_refused(option):
    with pytest.raises(UsageError, match="shares lie between 0 and 1"):
        AugmentationConfig(**(OFF | option))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_makes_cells_without_waiting(cells, augmentation, dtype):
    on_device, pieces = type(cells)(*(part.cuda() for part in cells)), augmentation(**ALL).cuda()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", dtype=dtype, enabled=dtype != torch.float32):
            dense = pieces(on_device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert dense.expression.dtype == dtype
    assert bool(torch.isfinite(dense.expression).all())
