"""The command: tables in, tables and pictures out, one-line errors with their exit codes."""

import subprocess
import sys

import pandas as pd
import pytest

from schema.command import run_command
from schema.comparisons import COMPARISON, PICTURES
from scoring import compare

HOSTILE = "<script>$x$ [red]"


@pytest.fixture
def tables(tmp_path, make_samples):
    """Write a samples.csv of eight made-up samples, the last without neutrophils, and metadata of four mice an arm."""
    names = [HOSTILE, *(f"m{i}" for i in range(1, 8))]
    samples = make_samples(names, lost=(7,))
    samples.to_csv(tmp_path / "samples.csv", index=False)
    arms = ["vehicle", "anti-Ly6G"] * 4
    stages = ["M0", "M0", "M1", "M1", "M2", "M2", "M3", "M3"]
    metadata = pd.DataFrame({"sample_id": names, "arm": arms, "tumor_stage": stages, "donor_id": names})
    metadata.to_csv(tmp_path / "meta.csv", index=False)
    return tmp_path


@pytest.fixture
def command(monkeypatch, capsys, tables):
    """Return a function that runs the command and returns its exit code, stdout and stderr."""

    def run(*arguments):
        given = [str(tables / "samples.csv"), "--metadata", str(tables / "meta.csv"), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", ["compare", *given])
        code = run_command("compare", compare.main)
        return code, *capsys.readouterr()

    return run


def test_the_terminal_gets_tables_of_burden_and_composition(command, caplog):
    code, out, _ = command("--by", "arm")
    assert code == 0
    for words in ("Burden by group", "vehicle − anti-Ly6G", "7 donors", "not assessable"):
        assert words in out
    assert "a depleting antibody hides Ly6G" in caplog.text


def test_a_folder_gets_the_table_and_the_pictures(command, tables):
    code, out, _ = command("--by", "tumor_stage", "--output", tables / "out")
    assert code == 0
    assert [line.rsplit("/", 1)[-1] for line in out.splitlines()] == [*PICTURES, COMPARISON]
    table = pd.read_csv(tables / "out/comparison.csv")
    trend = table[(table["measure"] == "burden") & (table["test"] == "trend")].iloc[0]
    assert (trend["group_a"], trend["group_b"], trend["n_units"]) == ("normal", "early carcinoma", 7)
    assert trend["n_not_assessable"] == 1
    for name in PICTURES:
        content = (tables / "out" / name).read_bytes()
        if name.endswith("png"):
            assert content.startswith(b"\x89PNG")
        else:
            assert b"<script" not in content
    assert "&lt;script&gt;$x$ [red]" in (tables / "out/burden_waterfall.svg").read_text()


def test_the_same_command_gives_the_same_bytes(command, tables):
    for folder in ("one", "two"):
        assert command("--by", "arm", "--output", tables / folder)[0] == 0
    for name in (COMPARISON, *PICTURES):
        assert (tables / "one" / name).read_bytes() == (tables / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--by", "arms"], 2, "nearest: arm"),
        (["--by", "predicted_tumor_stage"], 2, "predicted from the neutrophils"),
        (["--by", "arm", "--seed", "-1"], 2, "the seed must be >= 0"),
        (["--by", "arm", "--scale", "nothing"], 2, "a stage scale must be a known one"),
        (["--by", "tumor_stage", "--scale", "mouse_gland_development"], 3, "two axes"),
        ([], 2, "by"),
    ],
)
def test_errors_are_one_line(command, arguments, code, words):
    found, _, err = command(*arguments)
    assert found == code
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_results_are_not_replaced_unasked(command, tables):
    arguments = ["--by", "arm", "--output", tables / "out"]
    assert command(*arguments)[0] == 0
    assert command(*arguments)[0] == 5
    assert command(*arguments, "--overwrite", "true")[0] == 0


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "scoring.compare", "--help"], capture_output=True, text=True, check=True
    )
    for option in ("--by", "--metadata", "--donor", "--scale", "--output"):
        assert option in done.stdout
