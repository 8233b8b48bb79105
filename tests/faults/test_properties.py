"""The same counts give the same labels however they are stored; any one corruption is refused."""

from pathlib import Path
from tempfile import TemporaryDirectory

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import predict
from benchmarks.faults.sweep import QUICK_OPTIONS, differences, read_cells
from schema.command import parse_config
from schema.errors import InputError

pytestmark = pytest.mark.slow


def steady(n_examples):
    """Try as many examples, the same ones each time."""
    return settings(max_examples=n_examples, deadline=None, derandomize=True, database=None)


def predicted(path, bundle):
    with TemporaryDirectory() as scratch:
        arguments = [str(path), "--bundle", str(bundle), "--output", f"{scratch}/out", *QUICK_OPTIONS]
        predict.predict(parse_config(predict.PredictConfig, arguments, positional="input"))
        return read_cells(Path(scratch) / "out")


@pytest.fixture(scope="module")
def answer(materials):
    return predicted(materials.good, materials.bundle)


def stored_anew(good, rows, genes, n_padding, dtype, layout, slot):
    """Return the good counts with rows and genes in another order, more genes, and another way to store them."""
    padding = sp.csr_matrix((good.n_obs, n_padding), dtype=np.float32)
    counts = sp.hstack([good.X[rows][:, genes], padding]).tocsr()
    names = [*good.var_names[genes], *(f"Gm{number}" for number in range(n_padding))]
    obs, var = good.obs.iloc[rows], pd.DataFrame(index=pd.Index(names, dtype=object))
    counts = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": lambda m: m.toarray()}[layout](counts.astype(dtype))
    if slot == "X":
        return ad.AnnData(counts, obs=obs, var=var)
    logged = sp.csr_matrix(np.log1p(sp.csr_matrix(counts).toarray()).astype(np.float32))
    made = ad.AnnData(logged, obs=obs, var=var)
    if slot == "raw":
        made.raw = ad.AnnData(counts, obs=obs, var=var)
    else:
        made.layers["counts"] = counts
    return made


@steady(20)
@given(
    order=st.integers(0, 2**32 - 1),
    n_padding=st.integers(0, 300),
    dtype=st.sampled_from(["int16", "int32", "int64", "uint16", "uint32", "float32", "float64"]),
    layout=st.sampled_from(["csr", "csc", "dense"]),
    slot=st.sampled_from(["X", "layers", "raw"]),
)
def test_labels_do_not_depend_on_how_counts_are_stored(materials, answer, order, n_padding, dtype, layout, slot):
    good, rng = ad.read_h5ad(materials.good), np.random.default_rng(order)
    rows, genes = rng.permutation(good.n_obs), rng.permutation(good.n_vars)
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "anew.h5ad"
        stored_anew(good, rows, genes, n_padding, dtype, layout, slot).write_h5ad(path)
        found = predicted(path, materials.bundle)
    assert found["cell_id"].tolist() == answer["cell_id"].iloc[rows].tolist()
    assert differences(found.iloc[np.argsort(rows)], answer) == []


def corrupt_value(file, where, value):
    file["X/data"][where % len(file["X/data"])] = value


def corrupt_index(file, where, value):
    file["X/indices"][where % len(file["X/indices"])] = value


def corrupt_pointer(file, where, value):
    pointers = file["X/indptr"]
    pointers[where % len(pointers)] = value


def corrupt_length(file, where, _):
    names = ["X/data", "X/indices", "X/indptr", "obs/_index", "var/_index", "obs/sample_id/codes", "var/gene_id"]
    name = names[where % len(names)]
    values, attributes = file[name][()], dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=values[: len(values) - 1 - where % 5]).attrs.update(attributes)


def corrupt_part(file, where, _):
    names = ["X", "X/data", "X/indices", "X/indptr", "obs", "var", "obs/_index", "var/_index", "obs/sample_id"]
    del file[names[where % len(names)]]


def corrupt_code(file, where, value):
    codes = file["obs/sample_id/codes"]
    codes[where % len(codes)] = value


KINDS = st.one_of(
    st.tuples(st.just(corrupt_value), st.sampled_from([np.nan, np.inf, -np.inf, -1.0, 0.5, 1e-30, 2.0**24 + 2])),
    st.tuples(st.just(corrupt_index), st.sampled_from([-1, 700, 2**31 - 1, -(2**31)])),
    st.tuples(st.just(corrupt_pointer), st.sampled_from([-1, 2**30])),
    st.tuples(st.just(corrupt_length), st.none()),
    st.tuples(st.just(corrupt_part), st.none()),
    st.tuples(st.just(corrupt_code), st.sampled_from([11, 100, -2])),
)


@steady(60)
@given(kind=KINDS, where=st.integers(0, 10**6))
def test_any_one_corruption_is_refused(materials, kind, where):
    corrupt, value = kind
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "bad.h5ad"
        path.write_bytes(materials.good.read_bytes())
        with h5py.File(path, "r+") as file:
            corrupt(file, where, value)
        with pytest.raises(InputError, match=r"bad\.h5ad"):
            predicted(path, materials.bundle)


@steady(25)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_anywhere_is_refused(materials, share):
    with TemporaryDirectory() as scratch:
        path, whole = Path(scratch) / "bad.h5ad", materials.good.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match=r"bad\.h5ad"):
            predicted(path, materials.bundle)
