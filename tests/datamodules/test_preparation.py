import pandas as pd
import pytest

from datamodules.preparation import PreparationConfig, preparation_of
from datamodules.samples import sample_of_cells
from datamodules.store import open_store
from schema.errors import InputError, UsageError
from schema.preparation import Preparation


@pytest.fixture
def prepared(make_adata, tmp_path):
    """Return a function that says how two samples of seven cells were prepared, by obs columns and options."""

    def make(config=None, **columns):
        adata = make_adata()
        adata.obs = pd.DataFrame({"sample": list("aaabbbb")} | columns, index=adata.obs_names)
        adata.write_h5ad(tmp_path / "x.h5ad")
        with open_store(tmp_path / "x.h5ad") as store:
            return preparation_of(store, sample_of_cells(store, "auto"), config or PreparationConfig())

    return make


def test_without_columns_cells_are_whole_and_unsorted(prepared):
    assert prepared() == Preparation(("unsorted", "unsorted"), ("cell", "cell"))


def test_obs_says_it_of_each_sample(prepared):
    found = prepared(sort_gate=["CD45 positive"] * 3 + [""] * 4, suspension_type=["cell"] * 3 + ["nucleus"] * 4)
    assert found == Preparation(("CD45+", "unsorted"), ("cell", "nucleus"))


def test_a_column_can_be_named(prepared):
    config = PreparationConfig(gate_column="facs")
    assert prepared(config, facs=["EPCAM+"] * 7, sort_gate=["CD45+"] * 7).gate == ("EPCAM+", "EPCAM+")


def test_the_user_says_it_of_all(prepared):
    config = PreparationConfig(gate="cd45+", suspension="nucleus")
    assert prepared(config, sort_gate=["nonsense"] * 7) == Preparation(("CD45+", "CD45+"), ("nucleus", "nucleus"))


def test_a_gate_that_is_not_known_is_refused(prepared):
    with pytest.raises(InputError, match=r"a gate must be known: got 'CD54\+'.* in x.h5ad, obs \(gate\)"):
        prepared(sort_gate=["CD54+"] * 7)


def test_several_gates_in_a_sample_are_refused(prepared):
    with pytest.raises(InputError, match="a sample has one gate: got several in sample 'a'"):
        prepared(sort_gate=["CD45+", "CD45-"] + ["CD45+"] * 5)


def test_a_gate_that_no_one_knows_is_a_usage_error():
    with pytest.raises(UsageError, match=r"preparation\.gate"):
        PreparationConfig(gate="CD54+")
