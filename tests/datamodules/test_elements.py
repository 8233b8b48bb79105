import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import write_elem

from datamodules.elements import Frame, texts
from schema.errors import InputError

COLUMNS = {
    "sample": pd.Categorical(["b", "a", None]),
    "label": np.array(["x", "y", "x"], dtype=object),
    "numbered": np.array([3.0, np.nan, 4.5]),
    "whole": np.array([3, 1, 3]),
    "flag": np.array([True, False, True]),
    "counted": pd.array([1, None, 2], dtype="Int64"),
}
EXPECTED = {
    "sample": ["b", "a", None],
    "label": ["x", "y", "x"],
    "numbered": ["3", None, "4.5"],
    "whole": ["3", "1", "3"],
    "flag": ["True", "False", "True"],
    "counted": ["1", None, "2"],
}


@pytest.fixture
def group(tmp_path):
    frame = pd.DataFrame(COLUMNS, index=["c0", "c1", "ü\n"])
    with h5py.File(tmp_path / "f.h5", "w") as file:
        write_elem(file, "obs", frame)
        yield file["obs"]


def values_of(categorical):
    return [None if pd.isna(value) else value for value in categorical]


def test_the_columns_keep_their_order(group):
    frame = Frame(group, "f, obs")
    assert frame.columns == tuple(COLUMNS)
    assert frame.n_rows == 3


@pytest.mark.parametrize("name", list(COLUMNS))
def test_every_kind_of_column_becomes_categories_of_text(group, name):
    column = Frame(group, "f, obs").column(name)
    assert values_of(column) == EXPECTED[name]
    assert all(isinstance(category, str) for category in column.categories)


def test_missing_values_have_code_minus_one_and_empty_text(group):
    frame = Frame(group, "f, obs")
    assert frame.column("sample").codes.tolist() == [1, 0, -1]
    assert frame.texts("numbered") == ["3", "", "4.5"]


def test_names_are_read_by_slice(group):
    assert Frame(group, "f, obs").names(1, 3) == ["c1", "ü\n"]


def test_an_index_of_another_name_is_found(tmp_path):
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["c0", "c1"], name="barcode"))
    with h5py.File(tmp_path / "f.h5", "w") as file:
        write_elem(file, "obs", frame)
        assert Frame(file["obs"], "f, obs").names(0, 2) == ["c0", "c1"]
        assert Frame(file["obs"], "f, obs").columns == ("x",)


def test_a_long_column_is_read_in_slices(tmp_path, monkeypatch):
    monkeypatch.setattr("datamodules.elements._SLICE", 2)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        write_elem(file, "obs", pd.DataFrame({"label": list("abcab")}, index=list("vwxyz")))
        column = Frame(file["obs"], "f, obs").column("label")
    assert column.codes.tolist() == [0, 1, 2, 0, 1]
    assert list(column.categories) == ["a", "b", "c"]


def test_categories_of_anndata_0_7_are_found(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        obs = file.create_group("obs")
        obs.attrs["_index"], obs.attrs["column-order"] = "index", ["leiden"]
        obs["index"] = [b"c0", b"c1"]
        obs["__categories/leiden"] = [b"zero", b"one"]
        obs["leiden"] = np.array([1, 0], dtype=np.int8)
        obs["leiden"].attrs["categories"] = obs["__categories/leiden"].ref
        frame = Frame(obs, "f, obs")
        assert (frame.columns, list(frame.column("leiden"))) == (("leiden",), ["one", "zero"])


def test_categories_that_read_alike_are_one(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        write_elem(file, "obs", pd.DataFrame({"x": pd.Categorical([1.0, 2.0, 1.0])}, index=list("abc")))
        del file["obs/x/categories"]
        file["obs/x/categories"] = [b"1", b"1"]
        column = Frame(file["obs"], "f, obs").column("x")
    assert (column.codes.tolist(), list(column.categories)) == ([0, 0, 0], ["1"])


def test_text_that_is_not_utf8_is_shown_as_far_as_it_goes(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["x"] = np.array([b"caf\xe9"])
        assert texts(file["x"], 0, 1) == ["caf\ufffd"]


def test_codes_without_category_are_refused(group):
    group["sample/codes"][0] = 2
    with pytest.raises(InputError, match=r"codes -1 to 2 for 2 categories in f, obs/sample"):
        Frame(group, "f, obs").column("sample")


def test_a_column_of_another_length_is_refused(group):
    del group["whole"]
    write_elem(group, "whole", np.arange(2))
    with pytest.raises(InputError, match=r"2 values for 3 rows in f, obs/whole"):
        Frame(group, "f, obs").column("whole")


def test_a_frame_without_its_index_is_refused(group):
    del group["_index"]
    with pytest.raises(InputError, match=r"no '_index' in f, obs"):
        Frame(group, "f, obs")


def test_one_compound_table_is_refused_with_the_way_out(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["obs"] = np.zeros(2, dtype=[("index", "S3"), ("x", "f4")])
        with pytest.raises(InputError, match=r"anndata before 0.7.*current anndata"):
            Frame(file["obs"], "f, obs")
