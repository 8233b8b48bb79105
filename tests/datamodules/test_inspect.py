import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from datamodules.inspect import InspectConfig, inspect
from datamodules.inspection import inspect_source
from datamodules.prepare import PrepareConfig, prepare
from schema.errors import InputError, UsageError


def lines_of(text):
    """Return what stands beside each name, file by file; the first line as "name", lines without one as "more"."""
    return [
        {line[2:20].strip() or "more": line[20:] for line in lines} | {"name": name}
        for name, *lines in (block.splitlines() for block in text.split("\n\n"))
    ]


def test_a_file_says_what_it_holds(tmp_path, write_cohort):
    counts = write_cohort(tmp_path / "lung.h5ad")
    (found, joint) = lines_of(inspect(InspectConfig(files=(tmp_path / "lung.h5ad",))))
    assert found["name"] == "lung.h5ad"
    assert found["format"] == "h5ad"
    chunks = f"{np.count_nonzero(counts):,}"
    assert found["layout"] == f"CSR by cells, int32 and float32 in chunks of {chunks}, not compressed"
    assert found["read"] == "directly"
    assert (found["cells"], found["genes"]) == ("300", "12, mouse")
    assert found["counts"] == "X: raw counts (every value of 300 sampled rows)"
    assert found["entries per cell"] == f"{np.count_nonzero(counts) / 300:.0f}"
    assert found["bytes per cell"] == f"{(tmp_path / 'lung.h5ad').stat().st_size / 300:,.0f}"
    assert found["sample"] == "obs['sample_id'], 3 values; runs of 1 rows (median), 1 (longest)"
    assert found["cell_type"] == "obs['cell_type'], 2 values, 1 cell without; runs of 1 rows (median), 1 (longest)"
    assert found["donor"] == found["stage"] == found["strain"] == "none"
    assert joint["name"] == "1 source, 300 cells"
    assert joint["training batches"].startswith("of 128 cells: blocks of 32 rows")


@pytest.mark.parametrize("compress", [False, True])
def test_a_store_says_what_it_was_made_from_and_of_what(tmp_path, write_cohort, compress):
    write_cohort(tmp_path / "lung.h5ad")
    store = prepare(
        PrepareConfig(files=(tmp_path / "lung.h5ad",), output=tmp_path / "store", compress=compress, seed=5)
    )
    (found, joint) = lines_of(inspect(InspectConfig(files=(store,), verify=True)))
    assert found["name"] == "store/part-000"
    assert found["format"] == "packed (every byte as it was written)"
    form = "gaps of one byte and counts of half a byte" if compress else "genes and counts as they are used"
    assert (
        found["layout"] == f"{form}; rows of each obs['sample_id'] together, in random order (seed 5), from lung.h5ad"
    )
    assert found["sample"] == "obs['sample_id'], 3 values; runs of 100 rows (median), 100 (longest)"
    assert joint["training batches"] == "of 128 cells: blocks of 64 rows, 128 rows shuffled together"


def with_layout(layout, **options):
    def write(path):
        counts = np.arange(60, dtype=np.float32).reshape(12, 5)
        ad.AnnData(layout(counts)).write_h5ad(path, **options)

    return write


@pytest.mark.parametrize(
    ("write", "layout", "reading"),
    [
        (with_layout(sp.csr_matrix, compression="gzip"), "CSR by cells, int32 and float32 in chunks of", "inflated"),
        (with_layout(sp.csr_matrix, compression="lzf"), ", lzf", "through libhdf5, one thread"),
        (with_layout(sp.csc_matrix), "CSC by genes", "not by training"),
        (with_layout(np.asarray), "dense float32 in one piece", "directly"),
    ],
)
def test_layouts_and_how_they_are_read(tmp_path, write, layout, reading):
    write(tmp_path / "a.h5ad")
    found = inspect_source(tmp_path / "a.h5ad")
    assert layout in found.layout.words
    assert reading in found.layout.reading
    assert found.entries_per_cell == 59 / 12


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zarr(tmp_path, make_adata, write_zarr, zarr_format):
    write_zarr(make_adata(), tmp_path / "a.zarr", zarr_format)
    found = inspect_source(tmp_path / "a.zarr")
    assert found.layout.words.startswith("CSR by cells, int32 and float32 in chunks of")
    assert found.layout.reading == "through zarrs"
    assert (found.n_cells, found.layout.n_entries) == (7, 12)


def test_a_matrix_by_genes_is_not_transposed_to_look_at_it(tmp_path, monkeypatch):
    monkeypatch.setattr("datamodules.transposed.Spool", None)
    with_layout(sp.csc_matrix)(tmp_path / "a.h5ad")
    (found, _) = lines_of(inspect(InspectConfig(files=(tmp_path / "a.h5ad",))))
    assert found["counts"] == "X: raw counts (sampled values)"
    assert found["entries per cell"] == "5"


def test_a_folder_of_10x_text(tmp_path):
    folder = tmp_path / "tenx"
    folder.mkdir()
    (folder / "matrix.mtx").write_text("%%MatrixMarket matrix coordinate integer general\n2 3 2\n1 1 5\n2 3 7\n")
    (folder / "features.tsv").write_text("id0\tCxcr2\tGene Expression\nid1\tCd3e\tGene Expression\n")
    (folder / "barcodes.tsv").write_text("A\nB\nC\n")
    found = inspect_source(folder)
    assert found.layout == (
        "text, gene by gene",
        "not by training; transposed in a temporary folder by prediction and by prepare",
        2,
    )


def test_genes_of_several_files(tmp_path):
    genes = {"a": ["Cxcr2", "Cd3e", "Epcam", "Cd3e"], "b": ["Cd3e", "Pecam1"]}
    for name, symbols in genes.items():
        adata = ad.AnnData(np.arange(8, dtype=np.float32).reshape(2, 4)[:, : len(symbols)])
        adata.var = pd.DataFrame({"gene_symbol": symbols}, index=[str(i) for i in range(len(symbols))])
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
    text = inspect(InspectConfig(files=(tmp_path / "*.h5ad",)))
    assert "4, mouse, 1 named like an earlier one (summed)" in text
    assert "2 sources, 4 cells" in text
    assert "4 in all files together" in text
    assert "75% in a.h5ad" in text
    assert "50% in b.h5ad" in text


def test_labels_of_sorted_files_are_told_by_their_runs_and_their_mixing(tmp_path):
    labels = pd.Categorical(np.repeat(["T cell", "B cell"], 5_000))
    counts = sp.csr_matrix(np.tile(np.arange(1, 4, dtype=np.float32), (10_000, 1)))
    ad.AnnData(counts, obs=pd.DataFrame({"cell_type": labels}, index=[str(i) for i in range(10_000)])).write_h5ad(
        tmp_path / "a.h5ad"
    )
    (found, joint) = lines_of(inspect(InspectConfig(files=(tmp_path / "a.h5ad",), batch_size=100)))
    assert found["cell_type"] == "obs['cell_type'], 2 values; runs of 5,000 rows (median), 5,000 (longest)"
    assert joint["training batches"] == "of 100 cells: blocks of 32 rows, 2,048 rows shuffled together"
    # half the mean absolute deviation of two shares of 1/2, among 100 of 10,000 cells: sqrt(2/pi) * 0.05 * 0.995
    assert joint["more"] == "labels vary by 0.059 from the whole, 0.040 if drawn at random (1.5 times)"


def test_refused_files_are_listed_beside_the_others(tmp_path, write_cohort, capsys):
    write_cohort(tmp_path / "good.h5ad")
    ad.AnnData(np.full((4, 3), 0.5, dtype=np.float32)).write_h5ad(tmp_path / "bad.h5ad")
    with pytest.raises(InputError, match=r"1 of 2 refused in bad.h5ad") as caught:
        inspect(InspectConfig(files=(tmp_path / "good.h5ad", tmp_path / "bad.h5ad")))
    assert caught.value.exit_code == 3
    text = capsys.readouterr().out
    assert "good.h5ad\n" in text
    assert "refused: a file must hold raw counts: got X: fractions" in text


def test_a_damaged_store_is_refused_where_every_byte_is_asked_for(tmp_path, write_cohort):
    write_cohort(tmp_path / "lung.h5ad")
    store = prepare(PrepareConfig(files=(tmp_path / "lung.h5ad",), output=tmp_path / "store"))
    content = bytearray((store / "part-000" / "counts.bin").read_bytes())
    content[50] ^= 3
    (store / "part-000" / "counts.bin").write_bytes(content)
    inspect(InspectConfig(files=(store,)))
    with pytest.raises(InputError, match=r"other contents than were written in part-000/counts.bin"):
        inspect(InspectConfig(files=(store,), verify=True))


def test_a_batch_of_no_cells_is_refused():
    with pytest.raises(UsageError, match="batch_size is >= 1"):
        InspectConfig(files=(), batch_size=0)


def test_the_command_line(tmp_path, write_cohort):
    write_cohort(tmp_path / "lung.h5ad")
    ad.AnnData(np.full((4, 3), 0.5, dtype=np.float32)).write_h5ad(tmp_path / "bad.h5ad")
    command = [sys.executable, "-m", "datamodules.inspect", str(tmp_path / "lung.h5ad")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "lung.h5ad"), done.stderr
    again = subprocess.run([*command[:-1], str(tmp_path / "bad.h5ad")], capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (3, "")
    assert again.stderr.splitlines()[-1].startswith("inspect: error: a file must hold raw counts")
