import pandas as pd
import pytest

from datamodules.columns import pick_column
from datamodules.store import open_store
from schema.errors import InputError


@pytest.fixture
def open_with(tmp_path, make_adata):
    """Return a function that opens a file with the named obs columns."""
    opened = []

    def make(*columns):
        adata = make_adata()
        adata.obs = pd.DataFrame({name: ["x"] * adata.n_obs for name in columns}, index=adata.obs_names)
        adata.write_h5ad(tmp_path / "a.h5ad")
        opened.append(open_store(tmp_path / "a.h5ad"))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.mark.parametrize(
    ("columns", "kind", "expected"),
    [
        (("sample", "sample_id"), "sample", "sample_id"),
        (("donor", "sample"), "sample", "sample"),
        (("donor", "donor_id"), "donor", "donor_id"),
        (("cell_type", "cell_type_ontology_term_id"), "cell_type", "cell_type_ontology_term_id"),
        (("cell_type",), "cell_type", "cell_type"),
        (("stage", "tumor_stage"), "stage", "tumor_stage"),
        (("Stage",), "stage", "Stage"),
        (("STAGE", "Stage"), "stage", "STAGE"),
        (("Stage", "stage"), "stage", "stage"),
        (("genetic_background", "mouse_strain", "Strain"), "strain", "Strain"),
        (("genetic_background", "mouse_strain"), "strain", "mouse_strain"),
        (("genetic_background",), "strain", "genetic_background"),
        (("study",), "study", "study"),
        (("batch",), "sample", None),
        ((), "cell_type", None),
    ],
)
def test_auto_takes_the_first_usual_column_and_says_so(open_with, caplog, columns, kind, expected):
    caplog.set_level("INFO")
    assert pick_column(open_with(*columns), "auto", kind) == expected
    place = "nowhere" if expected is None else f"obs['{expected}']"
    assert f"a.h5ad: {kind} is taken from {place}" in caplog.text


def test_donors_stand_in_for_samples_with_a_warning(open_with, caplog):
    assert pick_column(open_with("donor_id", "tissue"), "auto", "sample") == "donor_id"
    assert "all cells of a donor are taken as one sample" in caplog.text


def test_a_named_column_is_taken_and_none_asks_for_none(open_with):
    store = open_with("sample_id", "mouse")
    assert pick_column(store, "mouse", "sample") == "mouse"
    assert pick_column(store, None, "sample") is None


def test_a_named_column_that_is_missing_is_refused_with_the_nearest(open_with):
    with pytest.raises(InputError, match=r"got no column 'mouse_id' \(nearest: mouse_ids\) in obs of a.h5ad") as caught:
        pick_column(open_with("mouse_ids", "xyz"), "mouse_id", "donor")
    assert "Columns there: mouse_ids, xyz" in str(caught.value)
    assert caught.value.exit_code == 3
