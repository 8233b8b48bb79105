import gzip
import os
import signal
import warnings
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata.tests.helpers import assert_equal

from datamodules.annotated import AnnotatedWriter
from datamodules.lasting import LastingFile
from datamodules.store import open_store
from schema.errors import InputError, OutputError
from schema.signals import STOP, Stopped

PROBABILITIES = np.arange(14, dtype=np.float32).reshape(7, 2)
OBS = {
    "predicted_cell_type": pd.Categorical(["neutrophil", "B cell"] * 3 + ["neutrophil"]),
    "predicted_cell_type_conf": np.linspace(0, 1, 7, dtype=np.float32),
    "predicted_neutrophil_state": pd.Categorical(["mature", ""] * 3 + ["ü"]),
}
UNS = {"version": "1", "samples": np.array(["s1", "s<2>"]), "nested": {"threshold": 0.5}}


def annotate(source, target, *, overwrite=False, obs=OBS, obsm=PROBABILITIES, uns=UNS, step=3):
    with (
        open_store(source) as store,
        AnnotatedWriter(store, target, obsm={"probabilities": 2}, overwrite_columns=overwrite) as writer,
    ):
        for start in range(0, store.n_cells, step):
            rows = slice(start, start + step)
            block = {name: _used(values[rows]) for name, values in obs.items()}
            writer.write_rows(start, {"probabilities": obsm[rows]}, block)
        writer.finish(uns)
    return target


def _used(values):
    return values.remove_unused_categories() if isinstance(values, pd.Categorical) else values


@pytest.fixture
def rich(tmp_path, coded, make_adata):
    """An .h5ad with most of what AnnData can hold."""
    adata = make_adata(sp.csr_matrix(coded), layers={"dense": np.log1p(coded), "columns": sp.csc_matrix(coded)})
    adata.raw = adata
    adata.obs["ordered"] = pd.Categorical(list("abcabca"), categories=list("cba"), ordered=True)
    adata.obs["counted"] = pd.array([1, None, 3, 4, 5, 6, 7], dtype="Int64")
    adata.obsm["X_pca"], adata.obsp["near"] = coded[:, :2], sp.csr_matrix(coded @ coded.T)
    adata.varm["loadings"] = coded[:5]
    adata.uns["note"] = {"text": "ü", "list": np.array([1, 2])}
    adata.write_h5ad(tmp_path / "rich.h5ad", compression="gzip")
    return tmp_path / "rich.h5ad"


def without_ours(adata):
    adata = adata.copy()
    adata.obs = adata.obs.drop(columns=list(OBS))
    del adata.obsm["probabilities"], adata.uns["neutrostage"]
    return adata


def check_ours(adata):
    assert list(adata.obs.columns[-3:]) == list(OBS)
    assert list(adata.obs["predicted_cell_type"]) == ["neutrophil", "B cell"] * 3 + ["neutrophil"]
    np.testing.assert_array_equal(adata.obs["predicted_cell_type_conf"], np.linspace(0, 1, 7, dtype=np.float32))
    assert list(adata.obs["predicted_neutrophil_state"]) == ["mature", ""] * 3 + ["ü"]
    np.testing.assert_array_equal(adata.obsm["probabilities"], PROBABILITIES)
    assert adata.obsm["probabilities"].dtype == np.float32
    assert adata.uns["neutrostage"]["version"] == "1"
    assert list(adata.uns["neutrostage"]["samples"]) == ["s1", "s<2>"]
    assert adata.uns["neutrostage"]["nested"] == {"threshold": 0.5}


def test_an_h5ad_comes_back_whole_with_ours_beside_and_is_itself_untouched(tmp_path, rich):
    before = rich.read_bytes()
    result = ad.read_h5ad(annotate(rich, tmp_path / "annotated.h5ad"))
    assert rich.read_bytes() == before
    check_ours(result)
    assert_equal(without_ours(result), ad.read_h5ad(rich), exact=True)


def test_the_stored_matrices_are_the_same_bytes(tmp_path, rich):
    target = annotate(rich, tmp_path / "annotated.h5ad")
    with h5py.File(rich) as old, h5py.File(target) as new:
        for name in ("X/data", "X/indices", "layers/dense", "raw/X/data"):
            assert old[name].compression == new[name].compression == "gzip"
            assert old[name].id.read_direct_chunk((0,) * old[name].ndim) == new[name].id.read_direct_chunk(
                (0,) * new[name].ndim
            )


def test_a_dense_file_without_obsm_and_uns_is_added_to(tmp_path, coded, make_adata):
    make_adata(coded).write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        del file["obsm"], file["uns"]
    result = ad.read_h5ad(annotate(tmp_path / "a.h5ad", tmp_path / "annotated.h5ad"))
    check_ours(result)
    np.testing.assert_array_equal(result.X, coded)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_zarr_comes_back_whole_as_h5ad(tmp_path, rich, write_zarr, zarr_format):
    adata = ad.read_h5ad(rich)
    write_zarr(adata, tmp_path / "a.zarr", zarr_format)
    result = ad.read_h5ad(annotate(tmp_path / "a.zarr", tmp_path / "annotated.h5ad"))
    check_ours(result)
    assert_equal(without_ours(result), adata, exact=True)


def test_a_zarr_is_copied_a_few_rows_at_a_time(tmp_path, rich, write_zarr, monkeypatch):
    monkeypatch.setattr("datamodules.carried._BYTES", 16)
    adata = ad.read_h5ad(rich)
    write_zarr(adata, tmp_path / "a.zarr", 2)
    result = ad.read_h5ad(annotate(tmp_path / "a.zarr", tmp_path / "annotated.h5ad"))
    assert_equal(without_ours(result), adata, exact=True)


def test_a_10x_folder_becomes_the_anndata_that_scanpy_makes(tmp_path, coded, monkeypatch):
    monkeypatch.setattr("datamodules.carried._ROWS", 2)
    folder = tmp_path / "mouse"
    folder.mkdir()
    cells, genes = np.nonzero(coded)
    lines = [f"{g + 1} {c + 1} {int(coded[c, g])}" for c, g in zip(cells, genes, strict=True)]
    head = f"%%MatrixMarket matrix coordinate integer general\n%\n5 7 {len(lines)}\n"
    symbols = ["Cxcr2", "Twin", "Cd3e", "Twin", "Pecam1"]
    tables = {
        "matrix.mtx.gz": head + "\n".join(lines) + "\n",
        "features.tsv.gz": "".join(f"ENSMUSG0000000000{g}\t{symbols[g]}\tGene Expression\n" for g in range(5)),
        "barcodes.tsv.gz": "".join(f"AAAC{row}-1\n" for row in range(7)),
    }
    for name, text in tables.items():
        (folder / name).write_bytes(gzip.compress(text.encode()))
    expected = sc.read_10x_mtx(folder)
    result = ad.read_h5ad(annotate(folder, tmp_path / "annotated.h5ad"))
    check_ours(result)
    assert list(result.obs_names) == list(expected.obs_names)
    assert list(result.var_names) == list(expected.var_names) == ["Cxcr2", "Twin", "Cd3e", "Twin-1", "Pecam1"]
    assert list(result.var["gene_ids"]) == list(expected.var["gene_ids"])
    assert sp.issparse(result.X)
    np.testing.assert_array_equal(result.X.toarray(), coded)


def test_a_10x_h5_becomes_anndata(tmp_path, coded):
    matrix = sp.csc_matrix(coded.T)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        for name, values in {
            "barcodes": np.array([f"c{row}" for row in range(7)], dtype="S"),
            "data": matrix.data,
            "indices": matrix.indices,
            "indptr": matrix.indptr,
            "shape": np.array([5, 7]),
            "features/id": np.array([f"g{g}" for g in range(5)], dtype="S"),
            "features/name": np.array([f"G{g}" for g in range(5)], dtype="S"),
        }.items():
            file[f"matrix/{name}"] = values
    result = ad.read_h5ad(annotate(tmp_path / "f.h5", tmp_path / "annotated.h5ad"))
    check_ours(result)
    np.testing.assert_array_equal(result.X.toarray(), coded)


def test_our_own_columns_are_replaced_only_when_asked(tmp_path, rich):
    first = annotate(rich, tmp_path / "first.h5ad")
    with pytest.raises(InputError, match=r"got obs/predicted_cell_type, .* in first.h5ad. Give --overwrite") as caught:
        annotate(first, tmp_path / "second.h5ad")
    assert caught.value.exit_code == 3
    assert not (tmp_path / "second.h5ad").exists()
    result = ad.read_h5ad(annotate(first, tmp_path / "second.h5ad", overwrite=True, obsm=PROBABILITIES + 1))
    np.testing.assert_array_equal(result.obsm["probabilities"], PROBABILITIES + 1)
    assert_equal(without_ours(result), ad.read_h5ad(rich), exact=True)


@pytest.mark.parametrize("entry", ["obsm/probabilities", "uns/neutrostage"])
def test_arrays_and_entries_of_ours_are_kept_too(tmp_path, make_adata, entry):
    adata = make_adata()
    adata.obsm["probabilities"], adata.uns["neutrostage"] = np.ones((7, 1)), {"x": 1}
    adata.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        del file["uns/neutrostage" if entry.startswith("obsm") else "obsm/probabilities"]
    with pytest.raises(InputError, match=f"got {entry} in a.h5ad"):
        annotate(tmp_path / "a.h5ad", tmp_path / "annotated.h5ad")
    assert not (tmp_path / "annotated.h5ad").exists()


def test_other_columns_of_the_same_name_are_kept_too(tmp_path, rich):
    with pytest.raises(InputError, match=r"got obs/donor in rich.h5ad"):
        annotate(rich, tmp_path / "annotated.h5ad", obs={"donor": np.zeros(7)})
    assert not (tmp_path / "annotated.h5ad").exists()


def test_a_run_that_ends_early_leaves_nothing(tmp_path, rich):
    with (
        open_store(rich) as store,
        AnnotatedWriter(store, tmp_path / "a.h5ad", obsm={"probabilities": 2}, overwrite_columns=False) as writer,
    ):
        writer.write_rows(0, {"probabilities": PROBABILITIES[:3]}, {"predicted_score": np.zeros(3)})
        with pytest.raises(ValueError, match=r"Expected 7 rows but got 3"):
            writer.finish(UNS)
    assert not (tmp_path / "a.h5ad").exists()


@pytest.mark.parametrize(("start", "shape"), [(1, (2, 2)), (0, (2, 3))])
def test_rows_out_of_order_or_shape_are_a_bug(tmp_path, rich, start, shape):
    with (
        open_store(rich) as store,
        AnnotatedWriter(store, tmp_path / "a.h5ad", obsm={"probabilities": 2}, overwrite_columns=False) as writer,
        pytest.raises(ValueError, match=r"from row 0 but got"),
    ):
        writer.write_rows(start, {"probabilities": np.zeros(shape, dtype=np.float32)}, {"score": np.zeros(2)})


@pytest.mark.parametrize("second", [{"x": np.zeros(2)}, {"y": np.zeros(3)}, {"x": np.zeros(3), "y": np.zeros(3)}])
def test_columns_that_change_on_the_way_are_a_bug(tmp_path, rich, second):
    with (
        open_store(rich) as store,
        AnnotatedWriter(store, tmp_path / "a.h5ad", obsm={"probabilities": 2}, overwrite_columns=False) as writer,
    ):
        writer.write_rows(0, {"probabilities": PROBABILITIES[:3]}, {"x": np.zeros(3)})
        with pytest.raises(ValueError, match=r"got \{"):
            writer.write_rows(3, {"probabilities": PROBABILITIES[3:6]}, second)
    assert not (tmp_path / "a.h5ad").exists()


def test_categories_are_those_that_occur_in_any_block_in_alphabetical_order(tmp_path, rich):
    names = pd.Categorical(["z", "b", "b", "a", "z", "a", "b"], categories=["z", "y", "b", "a"])
    result = ad.read_h5ad(annotate(rich, tmp_path / "a.h5ad", obs={"predicted_x": names}, step=2))
    assert list(result.obs["predicted_x"].cat.categories) == ["a", "b", "z"]
    assert list(result.obs["predicted_x"]) == ["z", "b", "b", "a", "z", "a", "b"]


def test_the_input_is_never_the_target(rich):
    before = rich.read_bytes()
    with pytest.raises(OutputError, match=r"the input file itself in rich.h5ad"):
        annotate(rich, rich)
    assert rich.read_bytes() == before


def test_a_folder_that_is_missing_is_an_output_fault(tmp_path, rich):
    with pytest.raises(OutputError, match=r"annotated.h5ad must be writable") as caught:
        annotate(rich, tmp_path / "nowhere" / "annotated.h5ad")
    assert caught.value.exit_code == 5


def test_a_disk_that_fills_is_an_output_fault_and_leaves_nothing(tmp_path, rich, monkeypatch):
    def fill(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("datamodules.annotated.write_elem", fill)
    with pytest.raises(OutputError, match=r"no space left in annotated.h5ad"):
        annotate(rich, tmp_path / "annotated.h5ad")
    assert not (tmp_path / "annotated.h5ad").exists()


def test_categories_of_anndata_0_7_survive(tmp_path, make_adata):
    make_adata().write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        obs = file["obs"]
        codes, names = obs["sample_id/codes"][:], obs["sample_id/categories"][:]
        del obs["sample_id"]
        obs["__categories/sample_id"], obs["sample_id"] = names, codes
        obs["sample_id"].attrs["categories"] = obs["__categories/sample_id"].ref
        obs.attrs["encoding-version"] = "0.1.0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata speaks of the old encoding
        before = ad.read_h5ad(tmp_path / "a.h5ad")
        result = ad.read_h5ad(annotate(tmp_path / "a.h5ad", tmp_path / "annotated.h5ad"))
    check_ours(result)
    assert list(result.obs["sample_id"].astype(object)) == list(before.obs["sample_id"].astype(object))


@pytest.mark.parametrize("place", ["copying", "rows"])
def test_a_signal_waits_for_hdf5_and_leaves_nothing(tmp_path, rich, monkeypatch, place):
    """Raised inside of libhdf5, while it calls our file, it would end the process with a crash."""
    raised, write = [], LastingFile.write

    def interrupted(self, data):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            return write(self, data)
        except Stopped:
            raised.append("inside of HDF5")
            raise

    if place == "rows":
        monkeypatch.setattr(LastingFile, "write", interrupted)
    else:
        monkeypatch.setattr(Path, "open", interrupted_open(Path.open))
    with STOP.heard(), pytest.raises(Stopped):
        annotate(rich, tmp_path / "annotated.h5ad")
    assert raised == []
    assert not (tmp_path / "annotated.h5ad").exists()


def interrupted_open(open_file):
    def opened(self, mode="r", **options):
        if mode == "wb":
            os.kill(os.getpid(), signal.SIGTERM)
        return open_file(self, mode, **options)

    return opened
