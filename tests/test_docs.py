"""The pages keep their promises: every column is described, every command of the README exists."""

import re
import subprocess
from pathlib import Path

import pytest

from predict import FILES
from schema.batch import CellBatch
from schema.comparisons import COMPARISON_COLUMNS
from schema.predictions import (
    CELL_COLUMNS,
    COMPANION_COLUMNS,
    FILTER_COLUMNS,
    GENE_COLUMNS,
    SAMPLE_COLUMNS,
    STAGE_CELL_COLUMNS,
    STAGE_TYPE_COLUMNS,
)

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
DATA = (ROOT / "docs/data.md").read_text()


@pytest.mark.parametrize(
    "column",
    [
        *COMPARISON_COLUMNS,
        *CELL_COLUMNS,
        *SAMPLE_COLUMNS,
        *COMPANION_COLUMNS,
        *FILTER_COLUMNS,
        *GENE_COLUMNS,
        *STAGE_TYPE_COLUMNS,
        *STAGE_CELL_COLUMNS,
    ],
    ids=lambda column: column.name,
)
def test_every_column_is_described_as_the_contract_states_it(column):
    assert f"| `{column.name}` | {column.dtype} | {column.unit} | {column.meaning} |" in DATA


def test_every_field_of_a_batch_is_described():
    for name in CellBatch._fields:
        assert f"| `{name}` |" in DATA


def test_every_file_of_a_prediction_is_in_the_readme():
    for name in FILES:
        assert f"`{name}`" in README


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readmes_make_commands_exist():
    commands = set(re.findall(r"make ([a-z]+)", README))
    assert {"demo", "test", "real"} <= commands
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    assert commands <= {line.split()[0] for line in listed.splitlines() if line}


def test_configs_that_the_readme_names_exist():
    for path in re.findall(r"configs/[\w/]+\.yaml", README):
        assert (ROOT / path).exists(), path


def test_no_page_or_code_names_a_folder_of_a_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    for name in listed.stdout.splitlines():
        if name.endswith((".py", ".md", ".yaml", ".toml", ".tsv", "Makefile")):
            text = (ROOT / name).read_text()
            assert not re.search(r"(?<![\w.])/(home|root|Users)/\w", text.replace("(home|root|Users)", "")), name
