import inspect
import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from benchmarks import loader_ours, loader_peers
from benchmarks.loader_bench import Bench
from benchmarks.loader_files import WorkFolder
from benchmarks.loader_jobs import SETTINGS, all_jobs
from benchmarks.loader_process import Loaded, Opened, consume, label_distance, measure, parse
from benchmarks.loader_set import SetConfig

CONFIG = SetConfig(n_cells=600, n_genes=700, n_entries=60, n_labels=3, n_donors=2)
FIRST = {name: settings[0] for name, settings in SETTINGS.items()}


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves one second at every look."""
    monkeypatch.setattr("benchmarks.loader_process.time.perf_counter", count().__next__)


def opened(n_batches):
    def epoch():
        for number in range(n_batches):
            yield Loaded(10, np.full(4, number))

    return Opened(epoch, ["a"])


@pytest.mark.parametrize(
    ("seconds", "limit", "n_batches"),
    [
        (0, 100, 3),  # cold: one epoch
        (4, 100, 6),  # the second epoch is read to its end
        (4, 5, 5),  # the limit cuts it
        (0, 2, 2),
    ],
)
@pytest.mark.usefixtures("clock")
def test_whole_epochs_are_read_until_the_time_is_over(seconds, limit, n_batches):
    got = consume(opened(3), seconds=seconds, limit_seconds=limit)
    assert (len(got.labels), got.n_cells, got.n_entries, got.seconds) == (
        n_batches,
        4 * n_batches,
        10 * n_batches,
        n_batches,
    )


def test_label_distance_is_the_total_variation():
    whole = np.array([0.5, 0.25, 0.25])
    assert label_distance([np.array([0, 0, 1, 2])], whole) == 0
    assert label_distance([np.array([0, 0, 0, 0])], whole) == 0.5
    assert label_distance([np.array([0, 0, 1, 2]), np.array([1, 1, 1, 1])], whole) == 0.375


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = WorkFolder.of(tmp_path_factory.mktemp("sets"), CONFIG)
    made.prepare()
    return made


def bench(folder):
    return Bench(folder=folder, interpreters={}, seconds=0.0, batch_size=256)


def test_every_job_has_a_command_that_its_process_reads(folder):
    for job in all_jobs(FIRST):
        options = parse(bench(folder).command(job, 7)[3:])
        assert (options.loader, options.state, options.seed) == (job.loader, job.state, 7)
        assert options.path == folder.path(job.kind)
        assert json.loads(options.setting) == dict(job.setting)


def test_every_setting_is_one_that_the_loader_takes():
    opens = {
        "ours": loader_ours.open_ours,
        "scDataset": loader_peers.open_scdataset,
        "AnnLoader": loader_peers.open_annloader,
        "sparse_dataset": loader_peers.open_sparse_dataset,
    }
    tried = [(name, setting) for name, settings in SETTINGS.items() for setting in settings]
    for name, setting in [*tried, *((job.loader, job.setting) for job in all_jobs(FIRST))]:
        if name in opens:
            inspect.signature(opens[name]).bind(Path("x"), 1, 0, **setting)


@pytest.mark.parametrize("state", ["warm", "cold"])
@pytest.mark.parametrize("name", ["ours", "scDataset", "AnnLoader", "AnnLoader, sparse", "sparse_dataset"])
def test_an_epoch_of_every_loader_is_all_cells_and_all_counts(folder, name, state):
    if name == "scDataset":
        pytest.importorskip("scdataset")
    wanted = "AnnLoader, without its conversion to dense" if name == "AnnLoader, sparse" else name
    job = next(j for j in all_jobs(FIRST) if j.name == wanted and j.kind == "raw h5ad")
    command = [text if text not in ("warm", "cold") else state for text in bench(folder).command(job, 1)]
    got = measure(parse(command[3:]))
    assert got["n_cells"] == 600
    entries = folder_entries(folder)
    assert got["entries_per_cell"] == (None if name == "AnnLoader" else pytest.approx(entries / 600))
    assert got["peak_mib"] >= got["imports_mib"] > 50
    assert 0 < got["label_distance"] < 0.3


def folder_entries(folder):
    import anndata as ad

    return ad.read_h5ad(folder.path("raw h5ad"), backed="r").X[:].nnz
