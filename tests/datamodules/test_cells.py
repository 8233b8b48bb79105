import anndata as ad
import numpy as np
import pytest
from scipy import sparse

from datamodules.cells import CellDataModule
from datamodules.data_config import DataConfig
from datamodules.files import expand_files
from datamodules.order import Share
from datamodules.simulate import SimulationConfig, simulate
from datamodules.splits import SplitConfig
from schema.errors import InputError, UsageError


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    return simulate(SimulationConfig(output=folder, n_mice=2, n_held_out_mice=1, n_cells=50, n_genes=600, seed=2))


@pytest.fixture(scope="module")
def cells(cohort):
    data = DataConfig(files=str(cohort[0]), stage_scale="mouse_carcinogenesis", batch_size=64)
    module = CellDataModule(data, SplitConfig(test_donors="donor-S1-M0-01"), seed=0)
    module.prepare()
    return module


def test_each_training_cell_comes_once_and_no_other_cell_comes(cells):
    seen = np.concatenate([b.row.numpy() for b in cells.train_dataloader()])
    split = cells.dataset.samples["split"].to_numpy()[cells.dataset.files[0].sample]
    assert sorted(seen) == np.flatnonzero(split == "train").tolist()
    validated = np.concatenate([b.row.numpy() for b in cells.val_dataloader()])
    assert validated.tolist() == np.flatnonzero(split == "val").tolist()
    assert (split == "test").sum() > 0


def test_staged_samples_train_and_have_a_stage(cells):
    table, staged = cells.dataset.samples, cells.dataset.staged_samples()
    assert set(staged["split"]) == {"train"}
    assert (staged["tumor_stage"] >= 0).all()
    assert len(staged) == ((table["split"] == "train") & (table["tumor_stage"] >= 0)).sum() > 0
    assert table.loc[staged.index, "sample_id"].tolist() == staged["sample_id"].tolist()


def test_joined_data_train_on_the_validation_donors_too_and_never_on_test_donors(cells):
    joined, split = cells.joined(), cells.dataset.samples["split"].to_numpy()[cells.dataset.files[0].sample]
    seen = np.concatenate([b.row.numpy() for b in joined.train_dataloader()])
    assert sorted(seen) == np.flatnonzero(split != "test").tolist()
    assert joined.dataset.n_rows("val") == [0]
    assert (joined.dataset.samples["split"] == "test").sum() == (cells.dataset.samples["split"] == "test").sum() > 0


def test_the_vocabulary_is_made_of_training_cells_only(cells):
    rows = cells.dataset.rows["train"][0]
    block = cells.dataset.files[0].store.read(0, cells.dataset.files[0].store.n_cells)
    owner = np.repeat(np.arange(len(block.indptr) - 1), np.diff(block.indptr))
    shown = np.bincount(block.indices[np.isin(owner, rows)], minlength=600)
    expected = {name for name, n in zip(cells.dataset.files[0].store.gene_symbols, shown, strict=True) if n >= 3}
    assert set(cells.dataset.vocabulary.symbols) == expected


def test_the_mean_expression_is_that_of_the_training_cells(cells):
    file, rows = cells.dataset.files[0], cells.dataset.rows["train"][0]
    block = file.store.read(0, file.store.n_cells)
    counts = sparse.csr_matrix((block.counts, block.indices, block.indptr)).toarray()[rows]
    scaled = np.log1p(counts * (1e4 / counts.sum(axis=1, keepdims=True)))
    known = np.flatnonzero(file.match.column >= 0)
    np.testing.assert_allclose(cells.dataset.gene_mean[file.match.column[known]], scaled[:, known].mean(0), rtol=1e-3)


def test_training_labels_count_the_training_cells(cells):
    assert cells.dataset.training_labels().sum() == len(cells.dataset.rows["train"][0])


def test_without_labels_there_is_no_training(cohort, tmp_path):
    adata = ad.read_h5ad(cohort[0])
    adata.obs = adata.obs.drop(columns=[name for name in adata.obs if name.startswith("cell_type")])
    adata.write_h5ad(tmp_path / "unlabelled.h5ad")
    with pytest.raises(InputError, match="needs labelled cells"):
        CellDataModule(DataConfig(files=str(tmp_path / "unlabelled.h5ad")), SplitConfig(), seed=0).prepare()


def test_counts_stored_by_genes_are_refused_for_training(cohort, tmp_path):
    adata = ad.read_h5ad(cohort[0])
    adata.X = sparse.csc_matrix(adata.X)
    adata.write_h5ad(tmp_path / "by_genes.h5ad")
    with pytest.raises(InputError, match=r"by_genes\.h5ad.*datamodules\.prepare"):
        CellDataModule(DataConfig(files=str(tmp_path / "by_genes.h5ad")), SplitConfig(), seed=0).prepare()


def test_a_checkpoint_of_a_run_that_read_otherwise_is_refused(cells):
    state = cells.state_dict()
    cells.load_state_dict(state)
    with pytest.raises(UsageError, match="processes 1 instead of 4"):
        cells.load_state_dict(state | {"processes": 4})
    with pytest.raises(UsageError, match="batch_size 64 instead of 32, rows"):
        cells.load_state_dict(state | {"batch_size": 32, "rows": "other"})


def test_the_number_of_batches_is_known_before_training(cells):
    n_rows = len(cells.dataset.rows["train"][0])
    loader = cells.train_dataloader()
    iter(loader)
    assert len(loader) == cells.n_training_batches(1) >= n_rows / 64
    assert cells.n_training_batches(2) == cells.training_plan(Share(seed=0, epoch=3, rank=1, world=2)).n_batches


def test_balanced_drawing_raises_rare_labels(cohort):
    data = DataConfig(files=str(cohort[0]), batch_size=64, balance=1.0)
    module = CellDataModule(data, SplitConfig(), seed=0)
    module.prepare()
    counts, drawn = module.dataset.training_labels(), module.drawn_labels()
    shown = counts > 0
    np.testing.assert_allclose(drawn[shown], counts.sum() / shown.sum())
    assert (drawn[~shown] == 0).all()
    codes, found_labels = module.dataset.training_codes()[0], []
    for epoch in range(20):
        for window in module.training_plan(Share(seed=0, epoch=epoch)).windows():
            laid = np.concatenate([codes[start:stop] for _, start, stop in window.blocks])
            found_labels.append(laid[np.concatenate(window.batches)])
    labels = np.concatenate(found_labels)
    found = np.bincount(labels, minlength=len(counts))[shown] / len(labels)
    assert abs(found - 1 / shown.sum()).max() < 0.4 / shown.sum()


def test_patterns_name_files(tmp_path):
    for name in ("b.h5ad", "a.h5ad"):
        (tmp_path / name).touch()
    found = expand_files([str(tmp_path / "*.h5ad"), str(tmp_path / "a.h5ad")])
    assert [path.name for path in found] == ["a.h5ad", "b.h5ad"]
    with pytest.raises(InputError, match=r"none\*"):
        expand_files([str(tmp_path / "none*")])
    with pytest.raises(UsageError, match="must be files"):
        expand_files([])


def test_stages_are_read_by_the_names_of_the_species_of_the_genes(cohort, tmp_path):
    adata = ad.read_h5ad(cohort[0])
    adata.obs["tumor_stage"] = "IIIA"
    adata.write_h5ad(tmp_path / "mouse.h5ad")
    data = DataConfig(files=str(tmp_path / "mouse.h5ad"), stage_scale="harmonised_progression")
    with pytest.raises(InputError, match=r"one of the species of its file \(mouse\): got 'IIIA'"):
        CellDataModule(data, SplitConfig(), seed=0).prepare()
