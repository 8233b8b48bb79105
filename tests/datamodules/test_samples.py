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


def test_an_age_is_read_with_the_strain_of_its_sample(store_of, caplog):
    ages, strains = ["week 7"] * 3 + ["5 weeks"] * 4, ["FVB/N"] * 3 + ["FVB"] * 4
    a = store_of("a.h5ad", sample=list("uuuvvvv"), stage=ages, mouse_strain=strains)
    b = store_of("b.h5ad", sample=["w"] * 7, stage=["M3"] * 7)
    table, _ = sample_table([a, b], ColumnsConfig(), SCALE)
    assert table["tumor_stage"].tolist() == [2, 1, 3]
    assert "a.h5ad: stages of 2 samples are what is usual at their age" in caplog.text
    assert "b.h5ad: stages" not in caplog.text


def test_the_column_of_the_strain_can_be_named(store_of):
    store = store_of(sample=["u"] * 7, stage=["week 7"] * 7, strain=["C57BL/6"] * 7, background=["FVB"] * 7)
    assert sample_table([store], ColumnsConfig(strain="background"), SCALE)[0]["tumor_stage"].tolist() == [2]
    with pytest.raises(InputError, match="progresses several weeks later"):
        sample_table([store], ColumnsConfig(), SCALE)
    with pytest.raises(InputError, match="the strain column must exist"):
        sample_table([store], ColumnsConfig(strain="breed"), SCALE)


def test_an_age_without_a_strain_column_or_value_is_refused(store_of):
    store = store_of("a.h5ad", sample=["u"] * 7, stage=["week 7"] * 7)
    blank = store_of("b.h5ad", sample=["u"] * 7, stage=["week 7"] * 7, strain=pd.Categorical([None] * 7, ["FVB"]))
    for one in (store, blank):
        with pytest.raises(InputError, match=r"'week 7' and no strain in .*data.columns.strain"):
            sample_table([one], ColumnsConfig(), SCALE)


def test_a_sample_with_two_strains_is_refused_on_a_scale_that_takes_ages(store_of):
    store = store_of(sample=["u"] * 7, stage=["healthy"] * 7, strain=["FVB"] * 6 + ["BALB/c"])
    with pytest.raises(InputError, match=r"a sample has one strain: got several in sample 'u' in .*strain"):
        sample_table([store], ColumnsConfig(), SCALE)
    for scale in (None, StageScale.load("healthy_vs_tumor")):
        assert len(sample_table([store], ColumnsConfig(), scale)[0]) == 1


def test_samples_beside_a_tumour_go_on_without_a_stage(store_of):
    beside = store_of("a.h5ad", sample=["u"] * 7, stage=["normal-adjacent"] * 7)
    blank = store_of("b.h5ad", sample=["u"] * 7, stage=[""] * 7)
    with pytest.raises(InputError, match="tissue beside a tumour is not healthy"):
        sample_table([beside], ColumnsConfig(), SCALE)
    assert sample_table([blank], ColumnsConfig(), SCALE)[0]["tumor_stage"].tolist() == [-1]


def test_files_of_two_species_meet_on_the_harmonised_scale(store_of):
    mouse = store_of("mouse.h5ad", sample=list("uuuvvvv"), stage=["M1"] * 3 + ["late carcinoma"] * 4)
    human = store_of("human.h5ad", sample=["w"] * 7, stage=["Stage IIB"] * 7)
    scale = StageScale.load("harmonised_progression")
    table, _ = sample_table([mouse, human], ColumnsConfig(), scale, ["mouse", "human"])
    assert table["tumor_stage"].tolist() == [1, 3, 3]
    with pytest.raises(InputError, match=r"species of its file \(mouse\): got 'Stage IIB'.* in human.h5ad"):
        sample_table([human, mouse], ColumnsConfig(), scale, ["mouse", "human"])
