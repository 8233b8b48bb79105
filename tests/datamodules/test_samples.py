import numpy as np
import pandas as pd
import pytest

from datamodules.samples import ColumnsConfig, sample_of_cells, sample_table
from datamodules.store import open_store
from schema.errors import InputError
from schema.stages import StageScale

SCALE = StageScale.load("mouse_carcinogenesis")


@pytest.fixture
def store_of(make_adata, tmp_path):
    """Return a function that writes seven cells with other obs columns and opens the file."""
    stores = []

    def make(name="one.h5ad", **columns):
        adata = make_adata()
        adata.obs = pd.DataFrame(columns, index=adata.obs_names)
        adata.write_h5ad(tmp_path / name)
        stores.append(open_store(tmp_path / name))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def test_samples_of_several_files_are_numbered_through(store_of):
    a = store_of("a.h5ad", sample=list("uuuvvvv"), donor=list("1112222"), tumor_stage=["normal"] * 3 + ["M3"] * 4)
    b = store_of("b.h5ad", sample_id=list("wwwwwww"), study=["other"] * 7)
    table, of_cells = sample_table([a, b], ColumnsConfig(), SCALE)
    assert table["sample_id"].tolist() == ["u", "v", "w"]
    assert table["donor_id"].tolist() == ["1", "2", "w"]
    assert table["study"].tolist() == ["a", "a", "other"]
    assert table["tumor_stage"].tolist() == [0, 3, -1]
    assert table["n_cells"].tolist() == [3, 4, 7]
    assert [codes.tolist() for codes in of_cells] == [[0, 0, 0, 1, 1, 1, 1], [2] * 7]


def test_equal_names_in_two_files_stay_two_samples(store_of):
    stores = [store_of(f"{name}.h5ad", sample=["s"] * 7) for name in "ab"]
    table, _ = sample_table(stores, ColumnsConfig(), None)
    assert table["sample_id"].tolist() == ["s@a.h5ad", "s@b.h5ad"]


def test_a_file_without_samples_is_one_sample(store_of, caplog):
    sample = sample_of_cells(store_of("whole.h5ad", weight=np.arange(7)), "auto")
    assert sample.categories.tolist() == ["whole"]
    assert "taken as one sample" in caplog.text


def test_cells_without_a_sample_are_refused(store_of):
    store = store_of(sample=["u", None, "u", "u", "u", None, "u"])
    with pytest.raises(InputError, match="2 of 7 cells without one"):
        sample_of_cells(store, "auto")


@pytest.mark.parametrize("column", ["donor", "tumor_stage"])
def test_a_sample_with_two_donors_or_stages_is_refused(store_of, column):
    values = {"donor": list("1111112"), "tumor_stage": ["M0"] * 6 + ["M1"]}
    store = store_of(sample=["u"] * 7, **{column: values[column]})
    with pytest.raises(InputError, match=r"several in sample 'u'"):
        sample_table([store], ColumnsConfig(), SCALE)


def test_an_unknown_stage_names_the_nearest(store_of):
    store = store_of(sample=["u"] * 7, stage=["late carcinomma"] * 7)
    with pytest.raises(InputError, match="nearest: late carcinoma"):
        sample_table([store], ColumnsConfig(), SCALE)
