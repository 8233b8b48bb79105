import gzip

import numpy as np
import pytest
import scanpy as sc

from datamodules.store import open_store
from schema.errors import InputError

IDS = [f"ENSMUSG0000000000{column}" for column in range(5)]
SYMBOLS = ["Cxcr2", "S100a8", "Cd3e", "Epcam", "CD45-TotalSeq"]
TYPES = ["Gene Expression"] * 4 + ["Antibody Capture"]
BARCODES = [f"AAAC{row}-1" for row in range(7)]
BANNER = "%%MatrixMarket matrix coordinate integer general\n%metadata_json: {}\n"


def mtx(counts, banner=BANNER, n_declared=None):
    cells, genes = np.nonzero(counts)
    order = np.random.default_rng(0).permutation(len(cells))  # no order is promised
    lines = [f"{genes[i] + 1} {cells[i] + 1} {int(counts[cells[i], genes[i]])}" for i in order]
    n_cells, n_genes = counts.shape
    return f"{banner}{n_genes} {n_cells} {len(lines) if n_declared is None else n_declared}\n" + "\n".join(lines) + "\n"


def table(*columns):
    return "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True))


def v2(counts):
    return {"matrix.mtx": mtx(counts), "genes.tsv": table(IDS, SYMBOLS), "barcodes.tsv": table(BARCODES)}


def v3(counts):
    return {
        "matrix.mtx.gz": mtx(counts),
        "features.tsv.gz": table(IDS, SYMBOLS, TYPES),
        "barcodes.tsv.gz": table(BARCODES),
    }


def write(folder, files):
    folder.mkdir()
    for name, text in files.items():
        content = text if isinstance(text, bytes) else text.encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


def test_v2_agrees_with_scanpy(tmp_path, coded, dense):
    folder = write(tmp_path / "mouse", v2(coded))
    expected = sc.read_10x_mtx(folder)
    with open_store(folder) as store:
        assert (store.kind, store.name, store.counts_location) == ("10x folder", "mouse", "matrix.mtx")
        assert store.gene_symbols == tuple(expected.var_names)
        assert store.gene_ids == tuple(expected.var["gene_ids"])
        assert store.cell_ids(0, 7) == list(expected.obs_names)
        assert store.cell_ids(2, 4) == BARCODES[2:4]
        np.testing.assert_array_equal(dense(store.read(0, 7), 5), expected.X.toarray())
        np.testing.assert_array_equal(dense(store.read(0, 7), 5), coded)
        np.testing.assert_array_equal(dense(store.read(5, 7), 5), coded[5:])


def test_v3_gives_genes_alone_and_agrees_with_scanpy(tmp_path, coded, dense):
    folder = write(tmp_path / "mouse", v3(coded))
    expected = sc.read_10x_mtx(folder)
    with open_store(folder) as store:
        assert (store.gene_symbols, store.gene_ids) == (tuple(SYMBOLS[:4]), tuple(IDS[:4]))
        np.testing.assert_array_equal(dense(store.read(0, 7), 4), expected.X.toarray())


@pytest.mark.parametrize(
    "change",
    [
        lambda files: {name: text.replace("\n", "\r\n") for name, text in files.items()},
        lambda files: {f"GSM1_{name}": text for name, text in files.items()},
        lambda files: {name + ".gz": text for name, text in files.items()},
        lambda files: {("features.tsv" if name == "genes.tsv" else name): text for name, text in files.items()},
        lambda files: {name: text.rstrip("\n") for name, text in files.items()},
        lambda files: files | {"matrix.mtx": files["matrix.mtx"].replace("integer", "real").replace(" ", "\t", 9)},
        lambda files: files | {"barcodes.tsv": table(BARCODES, BARCODES)},
    ],
    ids=["CRLF", "prefix", "gzipped", "plain features", "no last newline", "real", "more columns"],
)
def test_other_ways_to_write_it_read_alike(tmp_path, coded, dense, change):
    with open_store(write(tmp_path / "mouse", change(v2(coded)))) as store:
        assert (store.gene_symbols, store.gene_ids) == (tuple(SYMBOLS), tuple(IDS))
        assert store.cell_ids(0, 7) == BARCODES
        np.testing.assert_array_equal(dense(store.read(0, 7), 5), coded)


def test_one_column_of_symbols_and_latin_text_are_read(tmp_path, coded):
    names = [b"Cxcr2", b"caf\xe9", b"Cd3e", b"Epcam", b"a\0b"]
    files = v2(coded) | {"genes.tsv": b"\n".join(names) + b"\n"}
    with open_store(write(tmp_path / "mouse", files)) as store:
        assert store.gene_symbols == ("Cxcr2", "café", "Cd3e", "Epcam", "ab")
        assert store.gene_ids == ("",) * 5


def test_the_text_is_read_a_few_lines_at_a_time(tmp_path, coded, dense, monkeypatch):
    monkeypatch.setattr("datamodules.tenx_folder._LINES", 3)
    with open_store(write(tmp_path / "mouse", v2(coded))) as store:
        np.testing.assert_array_equal(dense(store.read(0, 7), 5), coded)
        assert store.cell_ids(2, 5) == BARCODES[2:5]


def test_a_folder_without_counts_has_empty_cells(tmp_path, coded, dense):
    with open_store(write(tmp_path / "mouse", v2(coded * 0))) as store:
        assert dense(store.read(0, 7), 5).tolist() == [[0] * 5] * 7


@pytest.mark.parametrize("part", ["matrix.mtx", "genes.tsv", "barcodes.tsv"])
def test_a_missing_part_is_named(tmp_path, coded, part):
    files = v2(coded)
    del files[part]
    with pytest.raises(InputError, match=f"got no .*{part} in mouse") as caught:
        open_store(write(tmp_path / "mouse", files))
    assert caught.value.exit_code == 3


def test_two_matrices_in_a_folder_are_refused(tmp_path, coded):
    files = v2(coded) | {f"b_{name}": text for name, text in v2(coded).items()}
    with pytest.raises(InputError, match=r"got b_matrix.mtx, matrix.mtx in mouse"):
        open_store(write(tmp_path / "mouse", files))


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("genes.tsv", lambda _: table(IDS[:4], SYMBOLS[:4]), "4 lines in genes.tsv for 5 in the matrix"),
        ("barcodes.tsv", lambda _: table(BARCODES[:6]), "6 lines in barcodes.tsv for 7 in the matrix"),
        ("matrix.mtx", lambda text: text.replace("coordinate", "array"), "the first line '%%MatrixMarket matrix array"),
        ("matrix.mtx", lambda text: text.replace("integer", "pattern"), "the first line"),
        ("matrix.mtx", lambda _: "", "the first line ''"),
        ("matrix.mtx", lambda text: text.replace("5 7 12\n", "5 7\n"), "the size line '5 7'"),
        ("matrix.mtx", lambda text: text.replace("5 7 12\n", "5 x 12\n"), "the size line '5 x 12'"),
    ],
)
def test_heads_and_lengths_that_lie_are_refused_at_once(tmp_path, coded, name, change, text):
    files = v2(coded)
    with pytest.raises(InputError, match=text):
        open_store(write(tmp_path / "mouse", files | {name: change(files[name])}))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda text: text.replace("5 7 12\n", "5 7 13\n"), "12 entries where its head declares 13"),
        (lambda text: text.replace("5 7 12\n", "5 7 11\n"), "12 entries where its head declares 11"),
        (lambda text: text + "6 1 1\n", "index 5 for 5 genes"),
        (lambda text: text + "1 8 1\n", "index 7 for 7 cells"),
        (lambda text: text + "0 1 1\n", "index -1 for 5 genes"),
        (lambda text: text + "1 1 0.5\n", "got 0.5"),
        (lambda text: text + "1 1 -2\n", "got -2"),
        (lambda text: text + "1 1 nan\n", "got nan"),
        (lambda text: text + "1 1\n", "got nan"),
        (lambda text: text + "1 one 1\n", "not three numbers"),
        (lambda text: text + "1 1 1 1\n", "more than three numbers"),
        (lambda text: text + "1.5 1 1\n", "not three numbers"),
    ],
)
def test_entries_that_lie_are_refused_on_reading(tmp_path, coded, change, text):
    files = v2(coded)
    files["matrix.mtx"] = change(files["matrix.mtx"])
    with open_store(write(tmp_path / "mouse", files)) as store, pytest.raises(InputError, match=text) as caught:
        store.read(0, 7)
    assert "mouse/matrix.mtx" in str(caught.value)


def test_a_cut_gzip_is_refused(tmp_path, coded):
    folder = write(tmp_path / "mouse", v3(coded))
    whole = (folder / "matrix.mtx.gz").read_bytes()
    (folder / "matrix.mtx.gz").write_bytes(whole[: len(whole) - 12])
    with pytest.raises(InputError, match=r"EOFError.*mouse/matrix.mtx.gz"):
        open_store(folder)
    (folder / "matrix.mtx.gz").write_bytes(whole)
    (folder / "barcodes.tsv.gz").write_bytes((folder / "barcodes.tsv.gz").read_bytes()[:20])
    with pytest.raises(InputError, match=r"EOFError.*mouse/barcodes.tsv.gz"):
        open_store(folder)


def test_the_folder_above_is_refused_with_the_way_out(tmp_path, coded):
    write(tmp_path / "filtered_feature_bc_matrix", v3(coded))
    with pytest.raises(InputError, match=r"Give one of them: .*/filtered_feature_bc_matrix"):
        open_store(tmp_path)
