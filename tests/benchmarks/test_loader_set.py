import anndata as ad
import numpy as np
import pytest
from scipy import sparse

from benchmarks.loader_files import DESCRIPTION, WorkFolder
from benchmarks.loader_set import LabelSortedSet, SetConfig, gene_names, label_names
from schema.genes import find_species

CONFIG = SetConfig(n_cells=600, n_genes=700, n_entries=60, n_labels=3, n_donors=2, seed=4)


@pytest.fixture(scope="module")
def cells():
    return LabelSortedSet(CONFIG)


def test_the_set_is_sorted_by_label_and_every_donor_has_every_label(cells):
    obs = cells.obs()
    assert obs.shape == (600, 3)
    assert (np.diff(cells.label) >= 0).all()
    assert list(obs["cell_type"].cat.categories) == label_names(3)
    assert (obs.groupby(["donor_id", "cell_type"], observed=False).size() >= 2).all()
    assert obs.groupby("sample_id", observed=True)["donor_id"].nunique().eq(1).all()
    of_first_label = obs["donor_id"].cat.codes[cells.label == 0]
    assert 0 < np.abs(np.diff(of_first_label)).mean() < 1  # donors change along the rows, and not by turns


def test_counts_have_the_shape_asked_for_and_look_like_umi(cells):
    counts = sparse.vstack(list(cells.blocks()), format="csr")
    assert counts.shape == (600, 700)
    assert counts.nnz / 600 == pytest.approx(60, rel=0.1)
    assert counts.has_canonical_format
    assert np.array_equal(counts.data, np.round(counts.data))
    assert counts.data.min() == 1
    assert 0.95 < (counts.data <= 5).mean() < 1
    assert counts.data.max() > 255


def test_the_same_config_gives_the_same_counts_and_another_seed_others():
    first, again = (next(LabelSortedSet(CONFIG).blocks()) for _ in range(2))
    other = next(LabelSortedSet(SetConfig(**vars(CONFIG) | {"seed": 5})).blocks())
    assert (first != again).nnz == 0
    assert (first != other).nnz > 0


def test_genes_read_as_mouse_and_are_unique():
    names = gene_names(2_000)
    assert find_species(names) == "mouse"
    assert len(set(names)) == 2_000


def test_a_set_in_which_a_donor_could_miss_a_label_is_refused():
    with pytest.raises(ValueError, match=">= 4 cells"):
        SetConfig(n_cells=100, n_labels=10, n_donors=3)


def test_all_formats_hold_the_same_cells_and_are_made_once(cells, tmp_path):
    folder = WorkFolder.of(tmp_path, CONFIG)
    folder.prepare()
    wanted = sparse.vstack(list(cells.blocks()), format="csr")
    for kind, read in (("raw h5ad", ad.read_h5ad), ("gzip h5ad", ad.read_h5ad), ("zarr", ad.read_zarr)):
        got = read(folder.path(kind))
        assert (wanted != got.X).nnz == 0, kind
        assert got.obs["cell_type"].tolist() == cells.obs()["cell_type"].tolist()
    assert not (folder.folder / "spool").exists()
    made = folder.path("zarr").stat().st_ino
    folder.prepare()
    assert folder.path("zarr").stat().st_ino == made
    (folder.folder / DESCRIPTION).write_text("{}")
    folder.path("raw h5ad").write_text("of another set")
    folder.prepare()
    assert ad.read_h5ad(folder.path("raw h5ad")).shape == (600, 700)


def test_bytes_per_cell_are_those_on_disk(tmp_path):
    folder = WorkFolder.of(tmp_path, CONFIG)
    packed = folder.path("packed") / "part"
    packed.mkdir(parents=True)
    (packed / "a").write_bytes(b"1" * 1_000)
    (packed.parent / "b").write_bytes(b"1" * 200)
    assert folder.bytes_per_cell("packed") == 2.0
