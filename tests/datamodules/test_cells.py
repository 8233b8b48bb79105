import numpy as np
import pytest

from datamodules.cells import CellDataModule, DataConfig, expand_files
from datamodules.simulate import SimulationConfig, simulate
from datamodules.splits import SplitConfig
from schema.errors import InputError, UsageError


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    return simulate(SimulationConfig(output=folder, n_mice=2, n_held_out_mice=1, n_cells=50, n_genes=600, seed=2))


@pytest.fixture(scope="module")
def cells(cohort):
    data = DataConfig(
        files=str(cohort[0]), stage_scale="mouse_carcinogenesis", batch_size=64, bag_samples=3, bag_cells=10
    )
    module = CellDataModule(data, SplitConfig(test_donors="donor-S1-M0-01"), seed=0)
    module.prepare()
    return module


def batches(loader, part):
    return [batch[part] for batch, _, _ in loader]


def test_each_training_cell_comes_once_and_no_other_cell_comes(cells):
    seen = np.concatenate([b.row.numpy() for b in batches(iter(cells.train_dataloader()), "cells")])
    split = cells.samples["split"].to_numpy()[cells.files[0].sample]
    assert sorted(seen) == np.flatnonzero(split == "train").tolist()
    validated = np.concatenate([b.row.numpy() for b in cells.val_dataloader()])
    assert validated.tolist() == np.flatnonzero(split == "val").tolist()
    assert (split == "test").sum() > 0


def test_bags_come_from_training_samples_with_a_stage(cells):
    for bag in batches(iter(cells.train_dataloader()), "bags"):
        samples, counts = np.unique(bag.sample.numpy(), return_counts=True)
        assert len(samples) == 3
        assert (counts == 10).all()
        assert set(cells.samples["split"].iloc[samples]) == {"train"}
        assert set(cells.files[0].sample[bag.row.numpy()]) == set(samples.tolist())


def test_the_vocabulary_is_made_of_training_cells_only(cells):
    rows = cells.rows("train")[0]
    block = cells.files[0].store.read(0, cells.files[0].store.n_cells)
    owner = np.repeat(np.arange(len(block.indptr) - 1), np.diff(block.indptr))
    shown = np.bincount(block.indices[np.isin(owner, rows)], minlength=600)
    expected = {name for name, n in zip(cells.files[0].store.gene_symbols, shown, strict=True) if n >= 3}
    assert set(cells.vocabulary.symbols) == expected


def test_the_mean_expression_is_that_of_the_training_cells(cells):
    total = np.zeros(cells.vocabulary.n_genes)
    for batch in batches(iter(cells.train_dataloader()), "cells"):
        rows = np.repeat(np.arange(batch.n_cells), batch.indptr.diff().numpy())
        values = np.log1p(batch.counts.numpy() * (1e4 / batch.library_size.numpy()[rows]))
        np.add.at(total, batch.indices.numpy(), values)
    np.testing.assert_allclose(cells.gene_mean, total / len(cells.rows("train")[0]), rtol=1e-3)


def test_training_labels_count_the_training_cells(cells):
    assert cells.training_labels().sum() == len(cells.rows("train")[0])


def test_without_labels_there_is_no_training(cohort):
    data = DataConfig(files=str(cohort[0]))
    module = CellDataModule(data, SplitConfig(), seed=0)
    module._labels = lambda store: np.full(store.n_cells, -1)
    with pytest.raises(InputError, match="needs labelled cells"):
        module.prepare()


def test_patterns_name_files(tmp_path):
    for name in ("b.h5ad", "a.h5ad"):
        (tmp_path / name).touch()
    found = expand_files([str(tmp_path / "*.h5ad"), str(tmp_path / "a.h5ad")])
    assert [path.name for path in found] == ["a.h5ad", "b.h5ad"]
    with pytest.raises(InputError, match=r"none\*"):
        expand_files([str(tmp_path / "none*")])
    with pytest.raises(UsageError, match="needs files"):
        expand_files([])
