import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from datamodules.packed_check import verify
from datamodules.packed_part import parts_of
from datamodules.prepare import PrepareConfig, prepare
from datamodules.space import RowSpace
from datamodules.store import open_store
from schema.errors import InputError


@pytest.fixture(scope="module")
def prepared():
    """Stores by what they were made with: they are copied, source and times included, as preparing takes longer."""
    return {}


@pytest.fixture
def packed(tmp_path, write_cohort, prepared, tmp_path_factory):
    """Return a function that prepares a cohort: its part, and its counts in the order of the source."""

    def make(*, compress=False, **cohort):
        key = str((compress, cohort))
        if key not in prepared:
            folder = tmp_path_factory.mktemp("prepared")
            counts = write_cohort(folder / "lung.h5ad", **cohort)
            prepare(PrepareConfig(files=(folder / "lung.h5ad",), output=folder / "store", compress=compress))
            prepared[key] = folder, counts
        folder, counts = prepared[key]
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        return tmp_path / "store" / "part-000", counts

    return make


def source_rows(store):
    names = [name.rsplit(":", 1) for name in store.cell_ids(0, store.n_cells)]
    assert {name for name, _ in names} == {"lung.h5ad"}
    return np.array([int(row) for _, row in names])


def read_all(store, rows, dtype=np.uint16, merge=None):
    """Rows as read_packed gives them, as a dense array with large counts in place."""
    n_genes, n_entries = len(store.gene_symbols), store.max_entries(rows)
    space = RowSpace(np.full(n_entries + 3, 7, dtype), np.full(n_entries + 3, 7, np.uint8), len(rows) + 2)
    large = store.read_packed(rows, space, 1, 2, merge)
    values = space.counts.astype(np.float64)
    values[space.start[large.row] + large.offset] = large.value
    assert (space.counts[space.start[large.row] + large.offset] == 255).all()
    counts = np.zeros((len(rows), n_genes))
    for i, (start, length) in enumerate(zip(space.start[1:-1], space.length[1:-1], strict=True)):
        assert (np.diff(space.indices[start : start + length].astype(int)) > 0).all()
        counts[i, space.indices[start : start + length]] = values[start : start + length]
    return counts, space


@pytest.mark.parametrize("compress", [False, True])
def test_every_row_of_the_source_is_there_once_as_it_was(packed, dense, compress):
    part, counts = packed(compress=compress)
    with open_store(part) as store:
        rows = source_rows(store)
        assert sorted(rows) == list(range(300))
        assert (store.kind, store.n_cells, store.counts_location) == ("packed", 300, "X")
        assert store.gene_symbols == tuple(f"Gene0x{column}" for column in range(12))
        np.testing.assert_array_equal(dense(store.read(0, 300), 12), counts[rows])
        np.testing.assert_array_equal(dense(store.read(70, 141), 12), counts[rows[70:141]])


@pytest.mark.parametrize("compress", [False, True])
def test_rows_are_read_into_a_space_end_to_end(packed, compress):
    part, counts = packed(compress=compress)
    with open_store(part) as store:
        rows = source_rows(store)
        found, space = read_all(store, np.arange(60, 200))
        np.testing.assert_array_equal(found, counts[rows[60:200]])
        assert store.is_exact
        assert store.is_by_rows
        length = (counts[rows[60:200]] > 0).sum(axis=1)
        np.testing.assert_array_equal(space.length[1:-1], length)
        np.testing.assert_array_equal(space.start[1:-1], 2 + np.cumsum(length) - length)
        np.testing.assert_array_equal(space.library_size[1:-1], counts[rows[60:200]].sum(axis=1))
        outside = [*space.indices[:2], space.indices[-1], *space.counts[:2], space.counts[-1]]
        assert outside == [7] * 6


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("chosen", [[0], [5], [63, 64], [0, 2, 4, 65, 66, 129, 299], list(range(0, 300, 7)), []])
def test_rows_with_gaps_between_them(packed, compress, chosen):
    part, counts = packed(compress=compress)
    with open_store(part) as store:
        rows = source_rows(store)
        found, _ = read_all(store, np.array(chosen, dtype=np.int64))
        np.testing.assert_array_equal(found, counts[rows[chosen]])


def test_the_cohort_has_what_can_go_wrong(packed):
    _, counts = packed()
    assert (counts == 255).sum() > 20
    assert (counts >= 1000).sum() == 6
    assert (counts.sum(axis=1) == 0).sum() == 2


@pytest.mark.parametrize("compress", [False, True])
def test_genes_that_are_one_are_summed(packed, compress):
    part, counts = packed(compress=compress)
    merge = np.arange(12)
    merge[[4, 11]] = 2
    expected = counts.copy()
    expected[:, 2] += counts[:, 4] + counts[:, 11]
    expected[:, [4, 11]] = 0
    with open_store(part) as store:
        rows = source_rows(store)
        chosen = np.array([0, 1, 2, 80, 81, 200])
        found, space = read_all(store, chosen, merge=merge)
        np.testing.assert_array_equal(found, expected[rows[chosen]])
        np.testing.assert_array_equal(space.library_size[1:-1], counts[rows[chosen]].sum(axis=1))


def test_a_space_for_more_genes_is_filled_alike(packed):
    part, counts = packed()
    with open_store(part) as store:
        found, _ = read_all(store, np.arange(300), dtype=np.int32)
        np.testing.assert_array_equal(found, counts[source_rows(store)])


def test_a_space_that_is_too_small_is_refused(packed):
    part, _ = packed()
    with open_store(part) as store:
        n_entries = store.max_entries(np.arange(9))
        for short, rows in ((1, 9), (0, 8)):
            space = RowSpace(np.zeros(n_entries - short, np.uint16), np.zeros(n_entries, np.uint8), rows)
            with pytest.raises((ValueError, InputError), match="must hold the rows"):
                store.read_packed(np.arange(9), space, 0, 0)


def test_threads_share_a_store(packed):
    part, counts = packed(n_cells=2_000)
    with open_store(part) as store, ThreadPoolExecutor(8) as pool:
        rows = source_rows(store)
        blocks = [np.arange(at, min(at + 37, 2_000)) for at in range(0, 2_000, 37)] * 4
        for block, (found, _) in zip(blocks, pool.map(lambda block: read_all(store, block), blocks), strict=True):
            np.testing.assert_array_equal(found, counts[rows[block]])


@pytest.mark.parametrize("compress", [False, True])
def test_more_than_65536_genes(tmp_path, dense, compress):
    rows, columns = np.repeat(np.arange(90), 5), np.tile([0, 1, 65_535, 65_536, 69_999], 90)
    counts = sp.csr_matrix((np.arange(450) + 1.0, (rows, columns)), shape=(90, 70_000), dtype=np.float32)
    ad.AnnData(counts, var=pd.DataFrame(index=[f"g{i}" for i in range(70_000)])).write_h5ad(tmp_path / "lung.h5ad")
    config = PrepareConfig(files=(tmp_path / "lung.h5ad",), output=tmp_path / "store", compress=compress)
    with open_store(parts_of(prepare(config))[0]) as store:
        expected = counts[source_rows(store)].toarray()
        np.testing.assert_array_equal(dense(store.read(0, 90), 70_000), expected)
        np.testing.assert_array_equal(read_all(store, np.arange(90), dtype=np.int32)[0], expected)


def test_columns_of_obs_are_those_of_the_source(packed):
    part, _ = packed()
    with open_store(part) as store:
        rows = source_rows(store)
        assert store.obs_columns == ("sample_id", "cell_type")
        samples = store.obs("sample_id")
        assert list(samples) == [("a", "b", "c")[row % 3] for row in rows]
        kinds = [None if row == 7 else ("Mast cell", "T cell")[row % 2] for row in rows]
        assert [
            None if code < 0 else store.obs("cell_type").categories[code] for code in store.obs("cell_type").codes
        ] == kinds
        with pytest.raises(InputError, match="no 'donor'"):
            store.obs("donor")
        assert store.cell_ids(130, 132) == [f"lung.h5ad:{row}" for row in rows[130:132]]


def test_another_layer_than_the_store_holds_is_refused(packed):
    part, _ = packed()
    open_store(part, layer="X").close()
    with pytest.raises(InputError, match=r"got 'counts' asked for where X is in part-000.*--layer counts"):
        open_store(part, layer="counts")


def test_nothing_that_is_written_names_a_folder_of_the_machine(packed, tmp_path):
    part, _ = packed()
    for file in [part.parent / "store.json", *part.iterdir()]:
        assert str(tmp_path).encode() not in file.read_bytes(), file.name


def test_a_closed_store_reads_no_other_file(packed):
    part, _ = packed()
    with open_store(part) as store:
        pass
    with (part / "counts.bin").open("rb"), pytest.raises(InputError, match="readable"):
        store.read(0, 1)


FILES = {
    False: ["indices.bin", "counts.bin", "large.bin", "large_pointers.npy"],
    True: ["gaps.bin", "nibbles.bin", "large.bin", "wide_counts.bin", "wide_counts_pointers.npy"],
}
BESIDE = ["row_pointers.npy", "library_size.npy", "genes.tsv", "obs.parquet"]


@pytest.mark.parametrize(("compress", "name"), [(c, name) for c in FILES for name in [*FILES[c], *BESIDE]])
def test_a_cut_or_missing_file_is_refused_by_name(packed, compress, name):
    part, _ = packed(compress=compress)
    os.truncate(part / name, (part / name).stat().st_size - 1)
    with pytest.raises(InputError, match=rf"bytes where .* were written in part-000/{name}") as caught:
        open_store(part)
    assert caught.value.exit_code == 3
    (part / name).unlink()
    with pytest.raises(InputError, match=rf"no such file in part-000/{name}"):
        open_store(part)


@pytest.mark.parametrize("name", BESIDE)
def test_a_changed_small_file_is_refused_on_opening(packed, name):
    part, _ = packed()
    change(part / name)
    with pytest.raises(InputError, match=rf"other contents than were written in part-000/{name}"):
        open_store(part)


@pytest.mark.parametrize(("compress", "name"), [(c, name) for c in FILES for name in FILES[c]])
def test_any_changed_byte_is_found_by_verifying(packed, compress, name):
    part, _ = packed(compress=compress)
    verify(part)
    change(part / name)
    with pytest.raises(InputError, match=rf"other contents than were written in part-000/{name}"):
        verify(part)


def change(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(("name", "value"), [("indices.bin", b"\x0c\x00"), ("counts.bin", b"\x00")])
def test_an_entry_that_cannot_be_is_refused_when_it_is_read(packed, name, value):
    part, _ = packed()
    with (part / name).open("r+b") as file:
        file.seek(40 * len(value))
        file.write(value)
    with open_store(part) as store:
        space = RowSpace(np.zeros(9_000, np.uint16), np.zeros(9_000, np.uint8), 300)
        with pytest.raises(InputError, match=r"a gene out of range or a count of 0 in part-000/indices.bin"):
            store.read_packed(np.arange(300), space, 0, 0)
        with pytest.raises(InputError, match=r"a gene out of range or a count of 0"):
            store.read(0, 100)


def test_records_of_other_entries_are_refused_when_they_are_read(packed):
    part, _ = packed()
    fields = np.fromfile(part / "large.bin", np.uint32).reshape(-1, 2)
    for entry, value, text in ((2**31, 255, "do not rise"), (0, 17, "out of range")):
        changed = fields.copy()
        changed[0] = entry, value
        changed.tofile(part / "large.bin")
        with open_store(part) as store, pytest.raises(InputError, match=text):
            store.read(0, 300)


def test_a_file_cut_while_it_is_read_is_refused(packed):
    part, _ = packed()
    with open_store(part) as store:
        os.truncate(part / "counts.bin", 100)
        with pytest.raises(InputError, match="readable to its end"):
            store.read(0, 300)


def test_a_source_that_was_only_touched_is_no_other(packed, tmp_path):
    part, _ = packed()
    os.utime(tmp_path / "lung.h5ad", (1, 1))
    open_store(part).close()


def test_a_source_that_has_changed_makes_its_store_stale(packed, write_cohort, tmp_path):
    part, _ = packed()
    write_cohort(tmp_path / "lung.h5ad", n_cells=301)
    with pytest.raises(InputError, match=r"lung.h5ad, which has changed since in part-000\. Prepare it again"):
        open_store(part)


def test_a_source_that_is_gone_is_no_fault_nor_one_beside_a_moved_store(packed, write_cohort, tmp_path):
    part, _ = packed()
    moved = tmp_path / "elsewhere" / "store"
    moved.parent.mkdir()
    part.parent.rename(moved)
    write_cohort(tmp_path / "lung.h5ad", n_cells=301)
    open_store(moved / "part-000").close()
    (tmp_path / "lung.h5ad").rename(tmp_path / "elsewhere" / "lung.h5ad")
    with pytest.raises(InputError, match="changed since"):
        open_store(moved / "part-000")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"format": 1', '"format": 2'),
        lambda text: text.replace('"n_cells": 300', '"n_cells": -300'),
        lambda text: text.replace('"n_cells"', '"cells"'),
        lambda text: text.replace('"counts.bin"', '"../counts.bin"'),
        lambda text: text[:0] + "[]",
    ],
)
def test_a_description_that_cannot_be_is_refused(packed, damage):
    part, _ = packed()
    text = (part / "part.json").read_text()
    (part / "part.json").write_text(damage(text))
    with pytest.raises(InputError, match=r"in part-000/part.json"):
        open_store(part)


def test_sizes_that_the_files_do_not_have_are_refused(packed):
    part, _ = packed()
    stored = json.loads((part / "part.json").read_text())
    for name in ("n_cells", "n_entries", "n_genes"):
        (part / "part.json").write_text(json.dumps(stored | {name: stored[name] + 1}))
        with pytest.raises(InputError, match="part-000"):
            open_store(part)


def test_the_parts_of_a_store(packed, tmp_path):
    part, _ = packed()
    assert parts_of(part.parent) == [part]
    assert parts_of(part) == [part]
    assert parts_of(tmp_path) == []
    assert parts_of(tmp_path / "lung.h5ad") == []
    with open_store(part.parent) as store:
        assert store.n_cells == 300
    (part / "part.json").unlink()
    with pytest.raises(InputError, match=r"1 of 1 missing \(part-000\) in store. Run the same prepare command again"):
        parts_of(part.parent)


def test_a_link_in_place_of_a_file_is_refused(packed, tmp_path):
    part, _ = packed()
    (part / "counts.bin").rename(tmp_path / "counts.bin")
    Path(part / "counts.bin").symlink_to(tmp_path / "counts.bin")
    with pytest.raises(InputError, match=r"part-000/counts.bin"):
        open_store(part)
