from pathlib import Path

import pytest

from benchmarks.loader import ideal_distance, parse
from benchmarks.loader_bench import Bench, Job, run_rounds
from benchmarks.loader_environment import annbatch_python
from benchmarks.loader_files import WorkFolder
from benchmarks.loader_jobs import SETTINGS, all_jobs, fastest
from benchmarks.loader_page import page
from benchmarks.loader_set import SetConfig
from benchmarks.loader_table import TARGETS, Target, disk_share, errors, judge, ratio, spread
from benchmarks.spread import Spread, figure

OURS, PEER = ("ours", "raw h5ad", "warm"), ("scDataset", "raw h5ad", "warm")


def row(number, case, speed, **more):
    name, kind, state = case
    of_process = {"setup_seconds": 1.0, "seconds": 5.0, "cells_per_second": speed, "cells_per_cpu_second": speed / 2}
    memory = {"imports_mib": 300.0, "peak_mib": 450.0, "label_distance": 0.04, "resident_share": float(state == "warm")}
    row = {"round": number, "name": name, "kind": kind, "state": state, "setting": {}, "entries_per_cell": 1_973.4}
    return row | of_process | memory | more


def disk(number, kind, speed):
    return {"round": number, "name": "disk", "kind": kind, "state": "cold", "seconds": 1.0, "bytes_per_second": speed}


ROWS = [row(0, OURS, 100.0), row(0, PEER, 20.0), row(1, OURS, 90.0), row(1, PEER, 30.0), row(2, OURS, 80.0)]
ROWS += [row(2, PEER, 10.0), {"round": 3, "name": "ours", "kind": "raw h5ad", "state": "warm", "error": "broke"}]


def test_the_spread_of_a_case_is_over_its_rounds():
    assert spread(ROWS, OURS, "cells_per_second") == Spread(90.0, 80.0, 100.0)
    assert spread(ROWS, ("ours", "zarr", "warm"), "cells_per_second") is None
    assert figure(Spread(1234.5, 1000, 2000), 1) == "1,234.5 (1,000.0-2,000.0)"
    assert figure(Spread(7, 7, 7)) == "7"


def test_ratios_are_taken_round_by_round():
    assert ratio(ROWS, OURS, PEER) == Spread(5.0, 3.0, 8.0)
    assert ratio(ROWS, OURS, ("AnnLoader", "raw h5ad", "warm")) is None


def test_the_disk_limit_is_of_the_same_file_in_the_same_round():
    cold = ("ours", "packed", "cold")
    rows = [row(0, cold, 90.0), disk(0, "packed", 1_000.0), disk(0, "zarr", 1.0), row(1, cold, 50.0)]
    assert disk_share([*rows, disk(1, "packed", 2_000.0)], cold, 10.0) == Spread(0.575, 0.25, 0.9)
    assert disk_share(rows[:1], cold, 10.0) is None


@pytest.mark.parametrize(("at_least", "met"), [(5, True), (5.01, False)])
def test_a_target_is_met_by_the_median(at_least, met):
    target = Target(words="x", at_least=at_least, case=OURS, against=PEER)
    assert judge(ROWS, target, {}) == (Spread(5.0, 3.0, 8.0), met)


def test_what_was_not_measured_is_neither_met_nor_missed():
    target = Target(words="x", at_least=1, case=OURS, against=("annbatch", "annbatch", "warm"))
    assert judge(ROWS, target, {}) == (None, None)
    assert errors([*ROWS, ROWS[-1]]) == ["ours, raw h5ad, warm: broke"]


def test_every_target_is_of_cases_that_are_measured():
    measured = {(job.name, job.kind, job.state) for job in all_jobs({name: s[0] for name, s in SETTINGS.items()})}
    for target in TARGETS:
        assert target.case in measured
        assert target.against is None or target.against in measured


class FakeBench(Bench):
    def run(self, job, number):
        return row(number, (job.name, job.kind, job.state), 1.0)

    def read_disk(self, kind, number):
        return disk(number, kind, 1.0)


def test_jobs_take_turns_and_each_round_begins_with_another(capsys):
    jobs = [Job(name=name, loader="ours", kind="zarr", state="warm") for name in "abcd"]
    bench = FakeBench(folder=WorkFolder(Path(), SetConfig()), interpreters={}, seconds=1.0)
    names = [row["name"] for row in run_rounds(bench, jobs, 2)]
    assert names == ["disk", "a", "b", "c", "d", "disk", "c", "d", "a", "b"]
    assert "round 2/2 b, zarr, warm: 1 cells/s" in capsys.readouterr().err


def test_a_process_that_fails_is_a_row_with_its_error(tmp_path):
    folder = WorkFolder(tmp_path, SetConfig())
    bench = Bench(folder=folder, interpreters={}, seconds=1.0)
    got = bench.run(Job(name="ours", loader="nobody's", kind="zarr", state="warm"), 0)
    assert "invalid choice" in got["error"]


def test_the_fastest_setting_is_taken_and_the_first_where_nothing_ran():
    case = ("scDataset", "raw h5ad", "warm")
    tried = [row(0, case, 5.0, setting={"a": 1}), row(0, case, 7.0, setting={"a": 2})]
    tried.append({"name": "scDataset", "setting": {"a": 3}, "error": "x"})
    assert fastest(tried, "scDataset") == {"a": 2}
    assert fastest([], "annbatch") == {"chunk_size": 512, "preload_nchunks": 32}


def test_the_ideal_distance_is_that_of_a_random_draw():
    assert ideal_distance([1, 1], 1) == 0.5
    assert ideal_distance([5, 5], 10) == 0.0
    assert ideal_distance([500, 500], 100) == pytest.approx(0.0378, abs=0.003)  # E|X/100 - 1/2|, hypergeometric


def test_a_python_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RuntimeError, match=r"Python >= 3\.12, and no-such-python is none"):
        annbatch_python("no-such-python", tmp_path)


def results(rows, **more):
    return {
        "command": "python -m benchmarks.loader",
        "date": "2026-01-01",
        "commit": "abc",
        "hardware": "2 CPU cores",
        "batch_size": 4096,
        "n_rounds": 3,
        "seconds": 5.0,
        "limit_seconds": 30.0,
        "quick": False,
        "versions": {"anndata": "1"},
        "set": vars(SetConfig()),
        "bytes_per_cell": {"raw h5ad": 15_800.0, "packed": 5_900.0},
        "entries_per_cell": 1_973.4,
        "ideal_distance": 0.03,
        "settings": {"scDataset": {"fetch_factor": 4}},
        "settings_tried": [],
        "notes": ["annbatch: no Python"],
        "rows": rows,
    } | more


def test_the_page_fills_every_place():
    cold = ("ours", "packed", "cold")
    rows = [*ROWS, row(0, cold, 95_000.0), disk(0, "packed", 590e6), row(0, ("ours", "packed", "warm"), 600.0)]
    text = page(results(rows))
    assert "2026-01-01, commit abc" in text
    assert "{" not in text
    assert "| raw h5ad, warm: times scDataset | >= 5 | 5.00 (3.00-8.00) | met |" in text
    assert "| raw h5ad, warm: times AnnLoader | >= 15 | - | not measured |" in text
    assert "| packed, cold: share of the disk limit | >= 0.9 | 0.95 | met |" in text
    assert "| packed, warm: times scDataset on raw h5ad | >= 25 | 30.00 | met |" in text
    assert "| ours | packed | 95,000 | 47,500 | 590 | 100,000 | 0.95 |" in text
    assert "| scDataset | raw h5ad | 20 (10-30) | 10 (5-15) | 5.0 (3.0-8.0) | 1.0 | 150 | 300 | 0.040 |" in text
    assert "- annbatch: no Python\n- ours, raw h5ad, warm: broke" in text
    assert "at least 100 %" in text
    assert "at most 0 %" in text
    assert "quick" not in text.split("## Settings")[0]


def test_a_quick_page_says_so_and_settings_that_were_tried_are_shown():
    tried = [row(0, PEER, 5_000.0, setting={"fetch_factor": 1}), {"name": "AnnLoader", "setting": {}, "error": "no"}]
    text = page(results(ROWS, quick=True, settings_tried=tried))
    assert "no figure here can be quoted" in text
    assert "| scDataset | fetch_factor 1 | 5,000 | 0.040 |" in text
    assert "| AnnLoader | none | fails: no | - |" in text


def test_quick_is_taken_from_the_environment(monkeypatch):
    monkeypatch.setenv("QUICK", "1")
    assert parse(["--output", "x"]).quick
    monkeypatch.setenv("QUICK", "")
    assert not parse(["--output", "x"]).quick
