import subprocess
import sys

import numpy as np
import pytest

import datamodules.shuffle
from datamodules.packed_part import PartInfo, parts_of
from datamodules.prepare import PrepareConfig, prepare
from datamodules.store import open_store
from schema.errors import OutputError

KILLED = """
import os, signal, sys
from pathlib import Path
import datamodules.shuffle
from datamodules.packed_writer import AppendedFiles
from datamodules.prepare import PrepareConfig, prepare

datamodules.shuffle.RUN_ENTRIES = 1
source, folder, compress = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "True"


def run(store, kill_at):
    moments = 0

    def watch(place, name):
        whole = getattr(place, name)

        def watched(*arguments, **named):
            nonlocal moments
            moments += 1
            if moments == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return whole(*arguments, **named)

        setattr(place, name, watched)

    child = os.fork()
    if child == 0:
        for place, name in ((os, "fsync"), (os, "replace"), (AppendedFiles, "append"), (Path, "unlink")):
            watch(place, name)
        prepare(PrepareConfig(files=(source,), output=store, compress=compress))
        os._exit(0)
    return os.waitpid(child, 0)[1]


prepare(PrepareConfig(files=(source,), output=folder / "whole", compress=compress))
kill_at, n_killed = 1, 0
while run(folder / f"killed{kill_at}", kill_at) == signal.SIGKILL:
    n_killed += 1
    assert run(folder / f"killed{kill_at}", 0) == 0
    kill_at += 31
print(n_killed)
"""


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("compress", [False, True])
def test_after_a_kill_at_any_moment_the_same_command_ends_with_the_same_bytes(tmp_path, write_cohort, compress):
    write_cohort(tmp_path / "lung.h5ad", n_cells=700)
    command = [sys.executable, "-c", KILLED, str(tmp_path / "lung.h5ad"), str(tmp_path), str(compress)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    stores = sorted(tmp_path.glob("killed*"))
    assert int(done.stdout) == len(stores) - 1 > 4
    whole = contents(tmp_path / "whole")
    assert len(whole) > 8
    for store in stores:
        assert contents(store) == whole, store.name


def test_finished_steps_are_not_done_again(tmp_path, monkeypatch, write_cohort):
    monkeypatch.setattr(datamodules.shuffle, "RUN_ENTRIES", 1)
    counts = write_cohort(tmp_path / "lung.h5ad", n_cells=700)
    route, starts = datamodules.shuffle.Shuffler.route, []

    def stop_at_the_third(self, start, target, files):
        starts.append(start)
        if len(starts) == 3:
            raise KeyboardInterrupt
        return route(self, start, target, files)

    monkeypatch.setattr(datamodules.shuffle.Shuffler, "route", stop_at_the_third)
    config = PrepareConfig(files=(tmp_path / "lung.h5ad",), output=tmp_path / "store")
    with pytest.raises(KeyboardInterrupt):
        prepare(config)
    assert not (tmp_path / "store" / "part-000").exists()
    (part,) = parts_of(prepare(config))
    assert starts[3] == starts[2] > starts[1] > starts[0] == 0
    assert sorted(file.name for file in part.parent.iterdir()) == ["part-000", "store.json"]
    with open_store(part) as store:
        assert store.read(0, 700).counts.sum() == counts.sum()


def test_a_part_says_how_it_was_made(tmp_path, write_cohort):
    counts = write_cohort(tmp_path / "lung.h5ad")
    (part,) = parts_of(prepare(PrepareConfig(files=(tmp_path / "lung.h5ad",), output=tmp_path / "store", seed=9)))
    info = PartInfo.load(part)
    assert (info.n_cells, info.n_genes, info.n_entries) == (300, 12, np.count_nonzero(counts))
    assert (info.seed, info.compressed, info.sample_column) == (9, False, "sample_id")
    with open_store(tmp_path / "lung.h5ad") as store:
        assert info.source.sha256 == store.fingerprint()["sha256"]
    assert (info.source.name, info.source.kind, info.source.path) == ("lung.h5ad", "h5ad", "../../lung.h5ad")
    assert set(info.files) | {"part.json"} == {file.name for file in part.iterdir()}
    assert {"neutrostage", "commit", "numpy"} <= set(info.program)


def test_samples_lie_together_and_their_rows_at_random(tmp_path, write_cohort):
    write_cohort(tmp_path / "lung.h5ad", n_cells=900)
    (part,) = parts_of(prepare(PrepareConfig(files=(tmp_path / "lung.h5ad",), output=tmp_path / "store")))
    with open_store(part) as store:
        samples = np.asarray(store.obs("sample_id").codes)
        assert np.count_nonzero(np.diff(samples)) == 2
        rows = np.array([int(name.split(":")[1]) for name in store.cell_ids(0, 900)])
        assert abs(np.corrcoef(rows[:300], np.arange(300))[0, 1]) < 0.3
        for start in range(0, 300, 60):
            assert 300 < rows[start : start + 60].mean() < 600


def test_a_column_with_more_values_than_labels_have_is_left_out(tmp_path, monkeypatch, write_cohort, caplog):
    monkeypatch.setattr("datamodules.packed_maker.MAX_VALUES", 2)
    write_cohort(tmp_path / "lung.h5ad")
    with caplog.at_level("INFO"):
        (part,) = parts_of(prepare(PrepareConfig(files=(tmp_path / "lung.h5ad",), output=tmp_path / "store")))
    assert "lung.h5ad: obs['sample_id'] is left out" in caplog.text
    with open_store(part) as store:
        assert store.obs_columns == ("cell_type",)


def test_a_full_disk_is_known_after_the_first_run(tmp_path, monkeypatch, write_cohort):
    monkeypatch.setattr(datamodules.shuffle, "RUN_ENTRIES", 1)
    monkeypatch.setattr("datamodules.packed_maker.shutil.disk_usage", lambda _: type("Usage", (), {"free": 5_000}))
    write_cohort(tmp_path / "lung.h5ad", n_cells=700)
    with pytest.raises(OutputError, match=r"room for its entries.*0.0 GB free.*in store") as caught:
        prepare(PrepareConfig(files=(tmp_path / "lung.h5ad",), output=tmp_path / "store"))
    assert caught.value.exit_code == 5
