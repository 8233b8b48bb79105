import re
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from datamodules.packed_maker import PartMaker
from datamodules.packed_part import parts_of
from datamodules.payback import Payback
from datamodules.prepare import PrepareConfig, pays_back, prepare
from datamodules.samples import ColumnsConfig, sample_table
from datamodules.store import open_store
from schema.errors import InputError, OutputError, UsageError


def rows_of(store):
    return [int(name.rsplit(":", 1)[1]) for name in store.cell_ids(0, store.n_cells)]


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_one_part_per_file_with_genes_and_categories_of_its_own(tmp_path, write_cohort, dense):
    first = write_cohort(tmp_path / "a.h5ad", n_cells=100, n_genes=12)
    second = write_cohort(tmp_path / "b.h5ad", n_cells=80, n_genes=9, seed=1)
    store = prepare(PrepareConfig(files=(tmp_path / "*.h5ad",), output=tmp_path / "store"))
    assert [part.name for part in parts_of(store)] == ["part-000", "part-001"]
    for part, counts, seed in zip(parts_of(store), (first, second), (0, 1), strict=True):
        with open_store(part) as packed:
            assert packed.gene_symbols[:2] == (f"Gene{seed}x0", f"Gene{seed}x1")
            np.testing.assert_array_equal(dense(packed.read(0, len(counts)), counts.shape[1]), counts[rows_of(packed)])
    with pytest.raises(InputError, match=r"a store of 2 parts in store. Give one of them: store/part-000"):
        open_store(store)


def write_by_genes(counts, path):
    ad.AnnData(sp.csc_matrix(counts)).write_h5ad(path)


def write_dense(counts, path):
    ad.AnnData(counts).write_h5ad(path)


def write_layer(counts, path):
    ad.AnnData(sp.csr_matrix(np.log1p(counts)), layers={"counts": sp.csr_matrix(counts)}).write_h5ad(path)


def write_tenx(counts, path):
    path.mkdir()
    rows, columns = np.nonzero(counts)
    lines = [f"{column + 1} {row + 1} {int(counts[row, column])}" for row, column in zip(rows, columns, strict=True)]
    head = f"%%MatrixMarket matrix coordinate integer general\n{counts.shape[1]} {counts.shape[0]} {len(lines)}\n"
    (path / "matrix.mtx").write_text(head + "\n".join(lines) + "\n")
    types = ["Antibody Capture", *["Gene Expression"] * (counts.shape[1] - 1)]
    (path / "features.tsv").write_text("".join(f"id{i}\tname{i}\t{kind}\n" for i, kind in enumerate(types)))
    (path / "barcodes.tsv").write_text("".join(f"barcode{row}\n" for row in range(len(counts))))


@pytest.mark.parametrize("write", [write_by_genes, write_dense, write_layer, write_tenx])
def test_any_format_becomes_the_same_store(tmp_path, coded, dense, write):
    write(coded, tmp_path / "cells")
    (part,) = parts_of(prepare(PrepareConfig(files=(tmp_path / "cells",), output=tmp_path / "store")))
    expected = coded[:, 1:] if write is write_tenx else coded
    with open_store(part) as store:
        assert sorted(rows_of(store)) == list(range(7))
        np.testing.assert_array_equal(dense(store.read(0, 7), expected.shape[1]), expected[rows_of(store)])


def test_a_zarr_becomes_the_same_store(tmp_path, make_adata, write_zarr, coded, dense):
    write_zarr(make_adata(), tmp_path / "a.zarr", 3)
    (part,) = parts_of(prepare(PrepareConfig(files=(tmp_path / "a.zarr",), output=tmp_path / "store")))
    with open_store(part) as store:
        np.testing.assert_array_equal(dense(store.read(0, 7), 5), coded[rows_of(store)])
        assert store.gene_ids[4] == "ENSMUSG00000000004.1"
        assert sorted(map(str, store.obs("weight"))) == ["1", "2.5", "4", "5", "6", "7", "nan"]


def test_a_store_can_be_prepared_again_in_another_form(tmp_path, write_cohort, dense):
    counts = write_cohort(tmp_path / "a.h5ad")
    store = prepare(PrepareConfig(files=(tmp_path / "a.h5ad",), output=tmp_path / "store"))
    again = prepare(PrepareConfig(files=(store,), output=tmp_path / "again", compress=True))
    with open_store(store) as first, open_store(again) as second:
        expected = counts[rows_of(first)][rows_of(second)]
        np.testing.assert_array_equal(dense(second.read(0, 300), 12), expected)


def test_gene_names_of_any_text_come_back(tmp_path):
    names = ["tab\there", 'quote"d', "new\nline", " space ", "é"]
    var = pd.DataFrame({"gene_id": ["", "ENSMUSG00000000001.2", "", "", ""]}, index=names)
    ad.AnnData(sp.csr_matrix(np.arange(10.0, dtype=np.float32).reshape(2, 5)), var=var).write_h5ad(tmp_path / "a.h5ad")
    with open_store(prepare(PrepareConfig(files=(tmp_path / "a.h5ad",), output=tmp_path / "store"))) as store:
        assert list(store.gene_symbols) == names
        assert store.gene_ids == ("", "ENSMUSG00000000001.2", "", "", "")


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_order(tmp_path, write_cohort):
    write_cohort(tmp_path / "a.h5ad")
    made = {
        name: prepare(PrepareConfig(files=(tmp_path / "a.h5ad",), output=tmp_path / name, seed=seed))
        for name, seed in (("first", 0), ("second", 0), ("third", 1))
    }
    assert contents(made["first"]) == contents(made["second"])
    orders = {}
    for name, store in made.items():
        with open_store(store) as opened:
            orders[name] = rows_of(opened)
    assert orders["first"] != orders["third"]
    assert sorted(orders["first"]) == sorted(orders["third"])


def test_cells_without_a_sample_are_kept_together(tmp_path, make_adata):
    make_adata().write_h5ad(tmp_path / "a.h5ad")
    with open_store(prepare(PrepareConfig(files=(tmp_path / "a.h5ad",), output=tmp_path / "store"))) as store:
        codes = np.asarray(store.obs("sample_id").codes)
        assert sorted(codes) == [-1, 0, 0, 1, 1, 1, 2]
        assert np.count_nonzero(np.diff(codes)) == 3


def test_a_named_sample_column_is_used(tmp_path, make_adata):
    make_adata().write_h5ad(tmp_path / "a.h5ad")
    config = {"files": (tmp_path / "a.h5ad",), "output": tmp_path / "store"}
    with open_store(prepare(PrepareConfig(**config, sample_column="donor"))) as store:
        assert np.count_nonzero(np.diff(store.obs("donor").codes)) == 1
    with pytest.raises(InputError, match="the sample column must exist"):
        prepare(PrepareConfig(**config, sample_column="patient"))


def test_the_same_command_again_does_nothing(tmp_path, write_cohort, capsys):
    write_cohort(tmp_path / "a.h5ad")
    config = PrepareConfig(files=(tmp_path / "a.h5ad",), output=tmp_path / "store")
    before = {file: file.stat().st_mtime_ns for file in prepare(config).rglob("*")}
    capsys.readouterr()
    prepare(config)
    assert {file: file.stat().st_mtime_ns for file in config.output.rglob("*")} == before
    assert "All parts were there already" in capsys.readouterr().err


def test_another_command_is_refused_and_allowed_to_replace(tmp_path, write_cohort):
    counts = write_cohort(tmp_path / "a.h5ad")
    config = {"files": (tmp_path / "a.h5ad",), "output": tmp_path / "store"}
    prepare(PrepareConfig(**config))
    before = contents(tmp_path / "store")
    for other in ({"seed": 1}, {"compress": True}, {"sample_column": "cell_type"}):
        with pytest.raises(OutputError, match=r"a store of other files or options.*in store. Give --overwrite true"):
            prepare(PrepareConfig(**config | other))
    write_cohort(tmp_path / "a.h5ad", n_cells=301)
    with pytest.raises(OutputError, match="of a file that has changed"):
        prepare(PrepareConfig(**config))
    assert contents(tmp_path / "store") == before
    with open_store(prepare(PrepareConfig(**config, overwrite=True))) as store:
        assert store.n_cells == len(counts) + 1


def test_a_finished_store_is_made_anew_where_that_is_asked(tmp_path, write_cohort):
    write_cohort(tmp_path / "a.h5ad")
    config = PrepareConfig(files=(tmp_path / "a.h5ad",), output=tmp_path / "store", overwrite=True)
    before = contents(prepare(config))
    (config.output / "part-000" / "counts.bin").write_bytes(b"damaged")
    assert contents(prepare(config)) == before


def test_a_folder_that_is_no_store_is_never_touched(tmp_path, write_cohort):
    write_cohort(tmp_path / "a.h5ad")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "part-000").write_text("mine")
    with pytest.raises(OutputError, match="a folder that is no store in mine"):
        prepare(PrepareConfig(files=(tmp_path / "a.h5ad",), output=tmp_path / "mine", overwrite=True))
    assert (tmp_path / "mine" / "part-000").read_text() == "mine"
    with pytest.raises(OutputError, match="must be writable"):
        prepare(PrepareConfig(files=(tmp_path / "a.h5ad",), output=tmp_path / "a.h5ad"))


def test_two_processes_do_not_write_one_store(tmp_path, monkeypatch, write_cohort):
    write_cohort(tmp_path / "a.h5ad")
    config = PrepareConfig(files=(tmp_path / "a.h5ad",), output=tmp_path / "store")
    make, tried = PartMaker.make, []

    def make_while_another_tries(self):
        if not tried:
            tried.append(True)
            with pytest.raises(OutputError, match="another process is writing in store"):
                prepare(config)
        make(self)

    monkeypatch.setattr(PartMaker, "make", make_while_another_tries)
    assert parts_of(prepare(config)) == [tmp_path / "store" / "part-000"]
    assert tried


def test_a_file_without_samples_trains_alike_from_its_store(tmp_path):
    ad.AnnData(np.arange(12, dtype=np.float32).reshape(4, 3)).write_h5ad(tmp_path / "lung.h5ad")
    store = prepare(PrepareConfig(files=(tmp_path / "lung.h5ad",), output=tmp_path / "store"))
    tables = []
    for path in (tmp_path / "lung.h5ad", store):
        with open_store(path) as opened:
            assert opened.name == "lung.h5ad"
            tables.append(sample_table([opened], ColumnsConfig(), None)[0])
    assert tables[0].to_dict() == tables[1].to_dict()
    assert tables[1]["sample_id"].tolist() == ["lung"]


def test_a_file_without_counts_is_refused_before_anything_is_written(tmp_path, write_cohort):
    write_cohort(tmp_path / "a.h5ad")
    ad.AnnData(np.full((4, 3), 0.5, dtype=np.float32)).write_h5ad(tmp_path / "b.h5ad")
    with pytest.raises(InputError, match=r"a file must hold raw counts.*in b.h5ad"):
        prepare(PrepareConfig(files=(tmp_path / "a.h5ad", tmp_path / "b.h5ad"), output=tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_a_value_that_only_reading_finds_stops_its_part_and_keeps_the_others(tmp_path, write_cohort):
    write_cohort(tmp_path / "a.h5ad")
    counts = np.tile(np.arange(5, dtype=np.float32), (4000, 1))
    counts[333, 2] = 0.5
    ad.AnnData(sp.csr_matrix(counts)).write_h5ad(tmp_path / "b.h5ad")
    config = PrepareConfig(files=(tmp_path / "a.h5ad", tmp_path / "b.h5ad"), output=tmp_path / "store")
    with pytest.raises(InputError, match=r"got 0.5 in b.h5ad, X"):
        prepare(config)
    assert (tmp_path / "store" / "part-000" / "part.json").exists()
    with pytest.raises(InputError, match=r"1 of 2 missing \(part-001\)"):
        parts_of(tmp_path / "store")


def test_a_negative_seed_is_refused():
    with pytest.raises(UsageError, match="seed is >= 0"):
        PrepareConfig(files=(), output="x", seed=-1)


def test_when_a_store_pays_back():
    text = pays_back(30.0, [Payback("a", 4.0, 1.0), Payback("b", 8.5, 1.5)])
    assert text.endswith(
        "reads 12.5 s from the files, 2.5 s from the store (one thread, sampled): it pays back after about 3 epochs."
    )
    assert "does not pay back" in pays_back(30.0, [Payback("a", 1.0, 1.0)])
    assert pays_back(3.0, [Payback("a", None, 1.0)]) == "Training cannot read a without it: stored gene by gene."


def test_the_command_line_puts_the_store_on_stdout_and_the_table_on_stderr(tmp_path, write_cohort):
    for name in ("a", "b"):
        write_cohort(tmp_path / f"{name}.h5ad", n_cells=50)
    command = [sys.executable, "-m", "datamodules.prepare", str(tmp_path / "a.h5ad"), str(tmp_path / "b.h5ad")]
    command += ["--output", str(tmp_path / "store"), "--compress", "true", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'store'}\n"), done.stderr
    assert re.search(r"part-001 b.h5ad .* 50 .* 12 ", done.stderr)
    assert len(parts_of(tmp_path / "store")) == 2
    again = subprocess.run([*command, "--seed", "4"], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (5, "")
    assert again.stderr.splitlines()[-1].startswith(
        "prepare: error: a store is written once: got a store of other files"
    )
